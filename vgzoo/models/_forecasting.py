"""What models that forecast share: the loop that makes clips go on."""

from collections.abc import Callable
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from vgzoo.errors import VgzooError
from vgzoo.samplers import rollout
from vgzoo.video import as_uint8

_FRAMES = 10  # of a forecast, made at a time


class Forecasting:
    """The part of a `VideoModel` that makes clips go on.

    A subclass writes `initial_state` (context → state) and `rollout` (state and noise → clip and
    state), says in `noise_shape` how much noise so many frames take, and has in `context` how many
    frames it must have seen.
    """

    pace: ClassVar[int | None] = None  # frames made at a time, where that cannot be chosen

    def forecast_noise_shape(self, frames: int) -> tuple[int, ...]:
        """Shape of the noise of one forecast, frames first."""
        return self.noise_shape(frames)

    def initial_state(self, context, copies: int = 1):
        """What is known after a context `(B, context, H, W, C)` in [-1, 1], so often for each."""
        raise self._does_not("forecast")

    def rollout(self, state, noise):
        """State and noise `(B, *noise_shape(T))` → clip `(B, T, H, W, C)` in [-1, 1], state."""
        raise self._does_not("forecast")

    def forecast(
        self,
        clips,
        frames: int | None = None,
        *,
        n: int | None = None,
        seed: int = 0,
        temperature: float = 1.0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Go on with clips.

        Forecast j of clip i depends on that clip, the seed, i and j alone: not on how many there
        are of either, not on the batch size, not on any global random state. A longer one begins
        as a shorter one.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], of at least
                `self.context` frames, of which the last ones count.
            frames: how many to add; as many as the clips trained on had if None.
            n: how many forecasts of each clip; one, without an axis for it, if None.
            seed: which forecasts, an integer ≥ 0.
            temperature: factor on the noise; below 1 the futures are more typical, less varied.
            batch_size: forecasts at a time; 16 if None.
            verbose: 1 shows a progress bar.

        Returns:
            uint8 `(B, n, frames, H, W, C)`, what comes after the clips; without B for one clip,
            without n if it is None.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: a model that does not forecast, frames of another size or kind, or an
                argument out of its range.
        """
        if "forecast" not in self.tasks:
            raise self._does_not("forecast")
        frames = self.frames - self.context if frames is None else frames
        batch_size = 16 if batch_size is None else batch_size
        count = 1 if n is None else n
        check_numbers(count, frames, seed, batch_size, temperature)
        if count > rollout.MOST:
            raise VgzooError(f"n must be at most {rollout.MOST}, not {n}")
        single = np.ndim(clips) == 4
        clips = self.checked_clips(clips, least=self.context)[:, -self.context :]
        made = rollout.forecasts(
            self._begin,
            self._coder("advance", self._advance),
            clips,
            frames=frames,
            n=count,
            noise_shape=self.forecast_noise_shape,
            length=self.pace or min(frames, _FRAMES),
            seed=seed,
            temperature=temperature,
            size=batch_size,
            progress=progress_bar(count * len(clips), "forecast", verbose),
        )
        made = made[:, 0] if n is None else made
        return made[0] if single else made

    def checked_clips(self, clips, *, least: int) -> np.ndarray:
        """Clips of the model's size and of at least so many frames: uint8 `(B, T, H, W, C)`."""
        clips = as_uint8(clips)
        clips = clips[None] if clips.ndim == 4 else clips
        _, length, *size = clips.shape
        if size != [self.height, self.width, self.channels] or length < least:
            raise VgzooError(
                f"clips of {length} frames of {'×'.join(map(str, size))} came; {self.name} takes "
                f"{least} or more of {self.height}×{self.width}×{self.channels}"
            )
        return clips

    def _begin(self, clips, copies: int):
        def run(clips):
            context = ops.cast(clips, self.compute_dtype) / 127.5 - 1
            return self.initial_state(context, copies)

        return self._coder(f"begin {copies}", run)(clips)

    def _advance(self, state, noise):
        clip, state = self.rollout(state, noise)
        return to_uint8(clip), state

    def _does_not(self, act: str) -> VgzooError:
        return VgzooError(f"{self.name} does not {act}; its tasks are: {', '.join(self.tasks)}")


def check_numbers(n, frames, seed, batch_size, temperature) -> None:
    """Raises where an argument of `generate` or `forecast` is out of its range."""
    checks = (("n", n, 1), ("frames", frames, 1), ("seed", seed, 0), ("batch_size", batch_size, 1))
    for name, value, least in checks:
        if not isinstance(value, int | np.integer) or value < least:
            raise VgzooError(f"{name} must be a whole number of at least {least}, not {value}")
    if not temperature >= 0:
        raise VgzooError(f"temperature must be 0 or more, not {temperature}")


def progress_bar(total: int, unit: str, verbose: int) -> Callable[[int], None]:
    """What to tell how many are done."""
    if not verbose:
        return lambda done: None
    return keras.utils.Progbar(total, unit_name=unit).update


def to_uint8(clip):
    """A network's clip, about [-1, 1], as clips are shown."""
    clip = ops.cast(clip, "float32")
    return ops.cast(ops.clip(ops.round((clip + 1) * 127.5), 0, 255), "uint8")
