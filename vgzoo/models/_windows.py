"""What a model that fills gaps makes of clips longer than it sees: window after window."""

from keras import ops


class Windows:
    """The part of a `VideoModel` that makes and continues clips by `fill`, one window at a time.

    A subclass has `fill` (`vgzoo.models._filling`) and says in `context` how many frames of those
    made or seen last each window goes on from.
    """

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        """A window, and as many frames as the following ones add."""
        more = -(-max(frames - self.frames, 0) // self.pace) * self.pace
        return (self.frames + more, self.height, self.width, self.channels)

    @property
    def pace(self) -> int:
        """Frames that a window adds to those known."""
        return self.frames - self.context

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        rows = ops.shape(noise)[0]
        size = (rows, self.pace, self.height, self.width, self.channels)
        first = noise[:, : self.frames]
        clip = self.fill(first, first, ops.zeros_like(first[..., :1]), labels, steps)
        more = (noise.shape[1] - self.frames) // self.pace
        if not more:
            return clip[:, :frames]

        def next_window(i, clips, last):
            new = ops.slice(noise, (0, self.frames + i * self.pace, 0, 0, 0), size)
            made = self._next(last, new, labels, steps)
            begin = (0, self.frames + i * self.pace, 0, 0, 0)
            return i + 1, ops.slice_update(clips, begin, made), self._last(last, made)

        clips = ops.concatenate([clip, ops.zeros_like(noise[:, self.frames :])], axis=1)
        _, clips, _ = ops.while_loop(
            lambda i, *_: i < more,
            next_window,
            (0, clips, clip[:, -self.context :]),
            maximum_iterations=more,
        )
        return clips[:, :frames]

    def _next(self, last, noise, labels=None, steps: int | None = None):
        """The frames after the last ones, `(B, context, ·)`, as many as there is noise for."""
        clip = ops.concatenate([last, noise], axis=1)
        known = ops.concatenate(
            [ops.ones_like(last[..., :1]), ops.zeros_like(noise[..., :1])], axis=1
        )
        return self.fill(clip, clip, known, labels, steps)[:, self.context :]

    def _last(self, last, made):
        return ops.concatenate([last, made], axis=1)[:, -self.context :]

    # -- forecasts -------------------------------------------------------------------------

    def forecast_noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.height, self.width, self.channels)

    def initial_state(self, context, copies: int = 1):
        return ops.repeat(ops.cast(context, "float32"), copies, axis=0)

    def rollout(self, state, noise):
        made = self._next(state, noise)
        return made, self._last(state, made)
