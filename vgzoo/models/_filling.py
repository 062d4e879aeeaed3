"""What models that fill gaps share: clips of any length of which a part is known."""

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.models._forecasting import check_numbers, progress_bar, to_uint8


class Filling:
    """The part of a `VideoModel` that makes what is missing in clips.

    A subclass writes `fill` for one window of `frames` frames, and has in `context` how many of
    them the next window begins with.
    """

    def fill(self, noise, clip, known, labels=None, steps: int | None = None):
        """Noise, a clip in [-1, 1] and where it is known → the clip, made whole."""
        raise self._does_not("inpaint")

    def inpaint(
        self,
        clips,
        mask,
        *,
        labels=None,
        seed: int = 0,
        steps: int | None = None,
        temperature: float = 1.0,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> np.ndarray:
        """Make parts of clips anew, to go with the rest.

        Clip i depends on itself, its mask, the seed and i alone. Longer clips than those trained
        on are made window after window, and each goes on from the end of the last one.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], of any length.
            mask: what to make: bool, or 0 and 1, `(H, W)`, `(T, H, W)` or `(B, T, H, W)`.
            labels: classes, as for `generate`; of none in particular if None.
            seed: which of all that would fit, an integer ≥ 0.
            steps: network evaluations; the model's own number if None.
            temperature: factor on the noise; below 1 gives more typical, less varied clips.
            batch_size: clips at a time; 16 if None.
            verbose: 1 shows a progress bar.

        Returns:
            uint8, of the clips' shape; where the mask is 0, as they came.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: a model that does not inpaint, frames of another size or kind, a mask that
                does not fit, or an argument out of its range.
        """
        if "inpaint" not in self.tasks:
            raise self._does_not("inpaint")
        check_steps(steps)
        return self.in_windows(
            clips,
            mask,
            self._coder(f"fill {steps} {labels is None}", self._filler(steps)),
            labels,
            seed=seed,
            temperature=temperature,
            batch_size=batch_size,
            verbose=verbose,
        )

    def interpolate(self, clips, factor: int = 2, **options) -> np.ndarray:
        """Put new frames between those of clips, as if these had been every `factor`-th.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], of two frames or more.
            factor: frames for each that came, 2 or more.
            options: `labels`, `seed`, `steps`, `temperature`, `batch_size` and `verbose`, as for
                `inpaint`.

        Returns:
            uint8 `(B, factor · (T - 1) + 1, H, W, C)`, without B for one clip; the frames that came
            are as they came.

        Raises:
            VideoError, VgzooError: as for `inpaint`.
        """
        if "interpolate" not in self.tasks:
            raise self._does_not("interpolate")
        if not isinstance(factor, int | np.integer) or factor < 2:
            raise VgzooError(f"factor must be a whole number of at least 2, not {factor}")
        single = np.ndim(clips) == 4
        clips = self.checked_clips(clips, least=2)
        # What is not known does not count: each frame is repeated where the new ones will be.
        stretched = np.repeat(clips, factor, axis=1)[:, : factor * (clips.shape[1] - 1) + 1]
        new = np.arange(stretched.shape[1]) % factor > 0
        mask = np.broadcast_to(new[:, None, None], stretched.shape[1:4])
        made = self.inpaint(stretched, mask, **options)
        return made[0] if single else made

    def in_windows(
        self,
        clips,
        mask,
        run,
        *labels,
        seed: int,
        draws: int = 1,
        temperature: float = 1.0,
        batch_size: int | None,
        verbose: int,
    ) -> np.ndarray:
        """What `run` makes of clips where a mask says so, some at a time, window after window.

        Args:
            clips, mask: as for `inpaint`; everywhere if the mask is None.
            run: `(noise, clip, gap, source, *labels) → clip`, of a window: noise `(B, T, draws, H,
                W, C)`, the clip as made so far, where it is missing, and as it came.
            labels: classes, as for `generate`, or None; of each kind that `run` wants.
            seed, temperature: of the noise.
            draws: of noise, for each pixel.
            batch_size, verbose: as for `inpaint`.

        Returns, Raises: as for `inpaint`.
        """
        batch_size = 16 if batch_size is None else batch_size
        single = np.ndim(clips) == 4
        clips = self.checked_clips(clips, least=1)
        check_numbers(len(clips), clips.shape[1], seed, batch_size, temperature)
        missing = checked_mask(
            np.ones(clips.shape[2:4], bool) if mask is None else mask, clips.shape[:4]
        )
        told = [
            each if each is None else self.checked_labels(each, len(clips), seed) for each in labels
        ]
        progress = progress_bar(len(clips), "clip", verbose)
        size, made = min(batch_size, len(clips)), clips.copy()
        for start in range(0, len(clips), size):
            # The last batch is filled up, so that one compiled function serves all.
            rows = np.arange(start, start + size).clip(max=len(clips) - 1)
            ours = [None if each is None else each[rows] for each in told]

            def noise(length: int, rows=rows):
                shape = (length, draws, *clips.shape[2:])
                drawn = [random.normal_rows(seed, i, 1, shape) for i in rows]
                return (np.concatenate(drawn) * temperature).astype("float32")

            whole = self._window_by_window(clips[rows], missing[rows], noise, run, ours)
            made[start : start + size] = whole[: len(clips) - start]
            progress(min(start + size, len(clips)))
        return made[0] if single else made

    def _window_by_window(self, clips, missing, noise, run, told) -> np.ndarray:
        length, window = clips.shape[1], self.frames
        starts = range(0, max(length - self.context, 1), window - self.context)
        beyond = ((0, 0), (0, starts[-1] + window - length))
        clips = np.pad(clips, (*beyond, (0, 0), (0, 0), (0, 0)), mode="edge")
        missing = np.pad(missing, (*beyond, (0, 0), (0, 0)), constant_values=True)
        source, noise = clips.copy(), noise(clips.shape[1])
        for start in starts:
            part = slice(start, start + window)
            gap = missing[:, part, ..., None]
            if not gap[:, : length - start].any():
                continue
            made = run(noise[:, part], clips[:, part], gap, source[:, part], *told)
            clips[:, part] = np.where(gap, ops.convert_to_numpy(made), clips[:, part])
            missing[:, part] = False
        return clips[:, :length]

    def _filler(self, steps: int | None):
        def run(noise, clip, gap, source, labels):
            clip = ops.cast(clip, "float32") / 127.5 - 1
            known = 1 - ops.cast(gap, "float32")
            return to_uint8(self.fill(noise[:, :, 0], clip, known, labels, steps))

        return run


def check_steps(steps: int | None) -> None:
    """Raises where a number of network evaluations is none."""
    if steps is not None and (not isinstance(steps, int | np.integer) or steps < 1):
        raise VgzooError(f"steps must be at least 1, not {steps}")


def checked_mask(mask, shape: tuple[int, ...]) -> np.ndarray:
    """A mask as bool `(B, T, H, W)`."""
    mask = np.asarray(mask)
    if mask.shape not in (shape, shape[1:], shape[2:]):
        raise VgzooError(
            f"a mask of shape {mask.shape} came; wanted {shape}, {shape[1:]} or {shape[2:]}"
        )
    if mask.dtype != bool and not np.isin(mask, (0, 1)).all():
        raise VgzooError("a mask must be bool, or 0 where to keep and 1 where to make anew")
    return np.broadcast_to(mask, shape).astype(bool)
