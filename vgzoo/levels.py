"""The 256 levels of a pixel, as a density takes them: each a width of values."""

from typing import Any

import numpy as np

from vgzoo import random
from vgzoo.video import as_uint8

LEVEL = 1 / 128  # the width of one of 256 levels in [-1, 1]
_STEPS = 1 << 16


def dequantise(clips: Any, *, seed: int = 0, start: int = 0) -> np.ndarray:
    """8-bit clips plus uniform noise of one level's width, as a density wants them.

    Level x becomes a value strictly between x/128 - 1 and (x + 1)/128 - 1, exact in float32, so
    the level can be read back. Clip i has its noise by `seed` and `start + i` alone.

    Args:
        clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1] (then rounded to 8 bits).
        seed: which noise.
        start: number of the first clip, so that batches of one set get different noise.

    Returns:
        float32 in (-1, 1), of the shape that came.

    Raises:
        VideoError: an array that is no clip.

    Example:

    >>> clip = np.full((2, 4, 4, 1), 255, "uint8")
    >>> noisy = dequantise(clip, seed=3)
    >>> noisy.shape, bool((noisy > 127 / 128).all() and (noisy < 1).all())
    ((2, 4, 4, 1), True)
    """
    clips = as_uint8(clips)
    rows = 1 if clips.ndim == 4 else len(clips)
    noise = random.uniform_rows(seed, start, rows, clips.size // rows).reshape(clips.shape)
    # Multiples of 2^-16, plus half of one: 24 bits with the level's, which float32 holds exactly.
    noise = (np.floor(noise * _STEPS) + 0.5) / _STEPS
    return ((clips + noise) * LEVEL - 1).astype("float32")
