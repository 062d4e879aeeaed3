"""The step of a flow that knows what the frame before showed: pixels are what moved there, or new.

A pixel's level is drawn from a mixture: one component for each way in which the frame before may
have moved, which is sure of the level, and one that knows only how often levels come at all. Where
the mixture has less of a level, the pixel is less likely; its cumulative distribution, turned into
that of a Gaussian, is an exact step of a flow (as mixtures of logistics are in Flow++, Ho et al.
2019, arXiv 1902.00275). What is black and stays so costs nothing then, and what moves little.
"""

import math

from keras import ops

from vgzoo.layers import probit
from vgzoo.layers.anticipation import mismatch
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import LEVELS

_NEW = 1e-4  # of probability, at least, that a pixel is new
_ANY = 1e-3  # of that, shared by all levels alike


class MixtureFlow(AutoregressiveFlow):
    """Tokens of pixels in (-1, 1) ↔ values that are about standard normal.

    A causal transformer says the mixture's weights for each token: of the tokens before it in the
    frame it knows by which motion they came.

    Args:
        ways: components for motion; `shown` holds as many for each token, as levels.
        further: arguments of `AutoregressiveFlow`.
    """

    def __init__(self, *, ways: int, **further):
        super().__init__(**further)
        self.ways = ways

    def _sizes(self, values: int) -> tuple[int, int]:
        return values + self.ways, self.ways + 1

    def _build_own(self, values: int) -> None:
        self.logits = self.add_weight(
            name="logits", shape=(LEVELS,), initializer="zeros", autocast=False
        )

    def _seen(self, x, shown):
        # Levels, not what lies within them: they are exact, however exact the rest is.
        level = _levels(x)
        return ops.concatenate([level / (LEVELS / 2) - 1, mismatch(level, shown)], axis=-1)

    def _to_noise(self, x, said, shown):
        level = _levels(x)
        inside = (x + 1) * (LEVELS / 2) - level
        new, moved = self._weights(said)
        tables = self._tables()
        below, share, above = (
            moved(compare(shown, level[:, :, None])) + new * ops.take(table, _index(level))
            for compare, table in zip((ops.less, ops.equal, ops.greater), tables, strict=True)
        )
        value = probit.quantile(below + share * inside, above + share * (1 - inside))
        density = -0.5 * ops.square(value) - 0.5 * math.log(2 * math.pi)
        return value, ops.sum(ops.log(share * (LEVELS / 2)) - density, axis=(1, 2))

    def _to_tokens(self):
        tables = self._tables()

        def tokens(noise, said, shown):
            new, moved = self._weights(said)
            below, above = probit.tails(noise)
            # The highest level that does not begin above the value, by bisection; where the value
            # is high, what is left above it counts, which is exact there.
            level = ops.zeros_like(noise)
            for bit in reversed(range(int(math.log2(LEVELS)))):
                higher = level + 2**bit
                under = moved(ops.less(shown, higher[:, :, None]))
                over = moved(ops.greater_equal(shown, higher[:, :, None]))
                first = _index(higher)
                under = under + new * ops.take(tables[0], first)
                over = over + new * (ops.take(tables[1], first) + ops.take(tables[2], first))
                reached = ops.where(noise < 0, under <= below, over >= above)
                level = ops.where(reached, higher, level)
            under, share, over = (
                moved(compare(shown, level[:, :, None])) + new * ops.take(table, _index(level))
                for compare, table in zip((ops.less, ops.equal, ops.greater), tables, strict=True)
            )
            inside = ops.where(noise < 0, below - under, share - (above - over)) / share
            # A level's last point belongs to the next one.
            return (level + ops.clip(inside, 0.0, 1 - 1e-4)) * (2 / LEVELS) - 1

        return tokens

    def _weights(self, said):
        """The weight of what is new, and a function that adds up those of what moved.

        That takes bool `(B, L, ways, D)`, of each way whether it counts.
        """
        weights = ops.softmax(said, axis=-1) * (1 - _NEW)
        moved, new = ops.split(weights, [self.ways], axis=-1)

        def total(counts):
            return ops.matmul(moved[:, :, None], ops.cast(counts, moved.dtype))[:, :, 0]

        return new + _NEW, total

    def _tables(self):
        """Of what is new: probability below each level, of it, and above it, `(256,)` each."""
        share = ops.softmax(30 * self.logits) * (1 - _ANY) + _ANY / LEVELS
        return ops.cumsum(share) - share, share, ops.flip(ops.cumsum(ops.flip(share))) - share


def _levels(x):
    return ops.clip(ops.floor((x + 1) * (LEVELS / 2)), 0.0, LEVELS - 1.0)


def _index(level):
    return ops.cast(level, "int32")
