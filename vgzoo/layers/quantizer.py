"""Finite scalar quantisation (Mentzer et al. 2023, arXiv 2309.15505).

Each channel of a latent is bounded and rounded to one of a few levels; the code of a place is the
combination. No codebook is learned, so none can collapse.
"""

import math
from collections.abc import Sequence

import numpy as np
from keras import ops

from vgzoo.errors import VgzooError


class FSQ:
    """Finite scalar quantisation of the last axis.

    Args:
        levels: how many values each channel has, at least 2.

    Example:

    >>> FSQ((8, 5, 5, 5)).codes
    1000
    """

    def __init__(self, levels: Sequence[int]):
        if not levels or min(levels) < 2:
            raise VgzooError(f"levels must be whole numbers of at least 2, not {list(levels)}")
        self.levels = np.array(levels, "int32")
        self.codes = math.prod(levels)
        self.half = ((self.levels - 1) / 2).astype("float32")
        # An even number of levels has none in the middle: they lie at -4 … 3, not at ±3.5.
        self.offset = (self.half % 1).astype("float32")

    def __call__(self, x):
        """Any float32 `(…, C)` → its nearest code, levels scaled to about [-1, 1].

        The gradient passes the rounding as if it were not there.
        """
        # The outermost levels are reached well before the bound is.
        half = self.half * 1.001
        bounded = half * ops.tanh(x + np.arctanh(self.offset / half)) - self.offset
        return self._scaled(bounded + ops.stop_gradient(ops.round(bounded) - bounded))

    def nearest(self, latent):
        """Latents that are no codes → the nearest codes."""
        least, most = -(self.levels // 2), (self.levels - 1) // 2
        whole = ops.round(latent * (self.levels // 2).astype("float32"))
        return self._scaled(ops.clip(whole, least.astype("float32"), most.astype("float32")))

    def tokens(self, latent: np.ndarray) -> np.ndarray:
        """Codes `(…, C)` → their numbers, int32 `(…)` in 0 … codes - 1."""
        digits = np.round(np.asarray(latent) * (self.levels // 2)).astype("int32")
        return ((digits + self.levels // 2) * self._places()).sum(axis=-1, dtype="int32")

    def of_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """Numbers → codes, float32 `(…, C)`."""
        digits = np.asarray(tokens)[..., None] // self._places() % self.levels
        return ((digits - self.levels // 2) / (self.levels // 2)).astype("float32")

    def _places(self) -> np.ndarray:
        return np.concatenate([[1], np.cumprod(self.levels[:-1])]).astype("int32")

    def _scaled(self, whole):
        return whole / (self.levels // 2).astype("float32")
