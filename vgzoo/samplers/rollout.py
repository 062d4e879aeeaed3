"""Forecasts: clips that go on, each in several ways, some frames at a time.

A network gives a state for each forecast and, from a state and noise, some frames and the state
after them; how long a forecast is makes no difference to either.
"""

from collections.abc import Callable

import numpy as np
from keras import ops

from vgzoo import random

MOST = 1 << 20  # forecasts of one clip


def forecasts(
    begin: Callable,
    advance: Callable,
    clips: np.ndarray,
    *,
    frames: int,
    n: int,
    noise_shape: Callable[[int], tuple[int, ...]],
    length: int,
    seed: int,
    temperature: float,
    size: int,
    progress: Callable[[int], None],
) -> np.ndarray:
    """n forecasts of each clip.

    Forecast j of clip i depends on that clip, on the seed, on i and on j alone.

    Args:
        begin: `(clips, copies) → state`, that many copies of each clip's state, one after another.
        advance: `(state, noise) → uint8 (rows, frames, H, W, C), state`.
        clips: what they go on from, `(B, T, H, W, C)`.
        frames: length of a forecast.
        n: how many, at most `MOST`.
        noise_shape: shape of the noise of so many frames, which are its first axis.
        length: frames made at a time.
        seed: of all noise.
        temperature: factor on it.
        size: forecasts made at a time.
        progress: told how many are done.

    Returns:
        `(B, n, frames, H, W, C)`.
    """
    copies = min(n, size)
    together = min(max(1, size // n), len(clips))
    made = np.empty((len(clips), n, frames, *clips.shape[2:]), "uint8")
    done = 0
    shape = noise_shape(-(-frames // length) * length)
    for first in range(0, len(clips), together):
        # The last of both are filled up, so that one compiled function serves all.
        which = np.arange(first, first + together).clip(max=len(clips) - 1)
        for start in range(0, n, copies):
            state = begin(clips[which], copies)
            rows = [random.normal_rows(seed, i * MOST + start, copies, shape) for i in which]
            noise = (np.concatenate(rows) * temperature).astype("float32")
            left = len(clips) - first, n - start
            for t in range(0, frames, length):
                part, state = advance(state, noise[:, t : t + length])
                part = ops.convert_to_numpy(part).reshape(together, copies, length, *made.shape[3:])
                part = part[: left[0], : left[1], : frames - t]
                made[first : first + together, start : start + copies, t : t + length] = part
            done += min(together, left[0]) * min(copies, left[1])
            progress(done)
    return made
