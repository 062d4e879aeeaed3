"""Bits per dimension of 8-bit pixels: what a model's density of real clips comes to.

A density has no probability for a point, so uniform noise of one level's width is added first, and
the density of the noisy clip, times the width, is a lower bound of the level's probability (Theis,
van den Oord and Bethge 2016, "A note on the evaluation of generative models", arXiv 1511.01844).
Uniform noise over 256 levels costs 8 bits; what lossless codecs need is in `vgzoo.metrics.codecs`.
"""

from typing import Any

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.levels import LEVEL, dequantise
from vgzoo.metrics.base import MeanMetric, at_least_one, per_clip

__all__ = ["BitsPerDim", "dequantise"]


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
