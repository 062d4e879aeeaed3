"""Bits per dimension of 8-bit pixels: what a model's density of real clips comes to.

A density has no probability for a point, so uniform noise of one level's width is added first, and
the density of the noisy clip, times the width, is a lower bound of the level's probability (Theis,
van den Oord and Bethge 2016, "A note on the evaluation of generative models", arXiv 1511.01844).
Uniform noise over 256 levels costs 8 bits; what lossless codecs need is in `vgzoo.metrics.codecs`.
"""

from typing import Any

import keras
import numpy as np

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.metrics.base import MeanMetric, at_least_one, per_clip
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


@keras.saving.register_keras_serializable("vgzoo")
class BitsPerDim(MeanMetric):
    """Bits that a model needs for one value (pixel and channel); less is better.

    Args:
        level: width of one of the 256 levels where the density was taken: 1/128 for `dequantise`
            and networks in [-1, 1], 1/256 for [0, 1], 1 for probabilities of the levels themselves.
        name: of the metric.

    Raises:
        VgzooError: `level` is not above 0.

    Example:

    >>> values = 20 * 64 * 64
    >>> uniform = np.full(3, -values * np.log(2))  # density 1/2 on [-1, 1], three clips
    >>> BitsPerDim()(uniform, values)
    8.0
    """

    def __init__(self, level: float = LEVEL, name: str = "bits_per_dim"):
        if not 0 < level < np.inf:
            raise VgzooError(f"level must be a width above 0, such as 1/128, not {level}")
        super().__init__(name)
        self.level = level

    def update_state(self, log_prob: Any, dimensions: int) -> None:
        """Takes log-probabilities of clips.

        Args:
            log_prob: `(B,)`, nats, of whole clips; a lower bound will do.
            dimensions: values in a clip, `frames * height * width * channels`.

        Raises:
            VgzooError: another shape, NaN, or dimensions below 1.
        """
        log_prob = per_clip("log_prob", log_prob)
        count = at_least_one("dimensions", dimensions) * len(log_prob)
        self.add(-log_prob.sum() / np.log(2) - count * np.log2(self.level), count)

    def get_config(self) -> dict:
        return {"level": self.level, "name": self.name}
