"""How bright pixels are at all, made Gaussian: the first step of a flow over 8-bit pixels.

A pixel is drawn by noise of one level's width, so its density has 256 steps; in clips of digits one
of them, black, holds most of it. No affine flow makes a step of a Gaussian. Here the learned
distribution of single pixels does, piecewise linear as the density is constant on each level
(marginal Gaussianisation, Chen and Gopinath 2000; Laparra et al. 2011, arXiv 1602.00229).
"""

import math

from keras import layers, ops

LEVELS = 256
_EDGE = 1e-6  # of probability, beyond which a value counts as this
PACE = 30.0  # of logits: a level may come ten thousand times as often as another


class Marginal(layers.Layer):
    """Pixels `(..., C)` in (-1, 1) ↔ values that are standard normal over all of them.

    One distribution for each channel, at first uniform.
    """

    def __init__(self, **kwargs):
        super().__init__(dtype="float32", **kwargs)

    def build(self, shape):
        self.logits = self.add_weight(
            name="logits", shape=(shape[-1] * LEVELS,), initializer="zeros", dtype="float32"
        )

    def call(self, x):
        """→ values, and the logarithms of their derivatives, float32 of the shape of `x`."""
        place = ops.clip((ops.cast(x, "float32") + 1) * (LEVELS / 2), 0.0, LEVELS - 1e-4)
        level = ops.floor(place)
        below, share = (self._at(level, table) for table in self._tables())
        quantile = ops.clip(below + share * (place - level), _EDGE, 1 - _EDGE)
        value = math.sqrt(2) * ops.erfinv(2 * quantile - 1)
        density = -0.5 * ops.square(value) - 0.5 * math.log(2 * math.pi)
        return value, ops.log(share * (LEVELS / 2)) - density

    def invert(self, value):
        """Values → pixels in (-1, 1), float32."""
        quantile = 0.5 * (1 + ops.erf(ops.cast(value, "float32") / math.sqrt(2)))
        below, share = self._tables()
        channels = []
        for c, q in enumerate(ops.unstack(quantile, axis=-1)):
            level = ops.searchsorted(below[c], ops.reshape(q, (-1,)), side="right") - 1
            level = ops.reshape(ops.clip(level, 0, LEVELS - 1), ops.shape(q))
            inside = (q - ops.take(below[c], level)) / ops.take(share[c], level)
            channels.append(ops.cast(level, "float32") + ops.clip(inside, 0.0, 1.0))
        return ops.stack(channels, axis=-1) * (2 / LEVELS) - 1

    def _tables(self):
        """Probability below each level, and of it: `(C, 256)` each."""
        share = ops.softmax(PACE * ops.reshape(self.logits, (-1, LEVELS)), axis=-1)
        return ops.cumsum(share, axis=-1) - share, share

    def _at(self, level, table):
        """What a table `(C, 256)` has at levels `(..., C)`."""
        channels = table.shape[0]
        index = ops.cast(level, "int32") + LEVELS * ops.arange(channels, dtype="int32")
        return ops.take(ops.reshape(table, (-1,)), index)


def levels(x):
    """The levels, 0 … 255, of pixels in (-1, 1), float: exact, however exact pixels are."""
    return ops.clip(ops.floor((x + 1) * (LEVELS / 2)), 0.0, LEVELS - 1.0)
