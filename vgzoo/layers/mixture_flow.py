"""The step of a flow that knows what the frame before showed: pixels are what moved there, or new.

A pixel's level is drawn from a mixture: one component for each way in which the frame before may
have moved, which is sure of the level, and one that knows only how often levels come at all. What
explained the pixels of a patch so far explains the next one too, unless the way changes (weights
after Bayes, a share of which starts anew at each pixel: the fixed share of Herbster and Warmuth
1998). The mixture's cumulative distribution, turned into that of a Gaussian, is an exact step of a
flow (as mixtures of logistics are in Flow++, Ho et al. 2019, arXiv 1902.00275). What is black and
stays so costs nothing then, and a patch that moved costs little more than to say whereto.
"""

import math

from keras import ops

from vgzoo.layers import probit
from vgzoo.layers.anticipation import mismatch
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import LEVELS, levels

_NEW = 1e-4  # of probability, at least, that a pixel is new
_ANY = 1e-3  # of that, shared by all levels alike
_ANEW = 0.01  # of weights, at least, that start anew at each pixel


class MixtureFlow(AutoregressiveFlow):
    """Tokens of pixels in (-1, 1) ↔ values that are about standard normal.

    A causal transformer says the mixture's weights for each token: of the tokens before it in the
    frame it knows by which motion they came.

    Args:
        ways: components for motion; `shown` holds as many for each value of a token, as levels.
        columns: tokens of a row of the frame.
        further: arguments of `AutoregressiveFlow`.
    """

    def __init__(self, *, ways: int, columns: int, **further):
        super().__init__(**further)
        self.ways, self.columns = ways, columns

    def _sizes(self, values: int) -> tuple[int, int]:
        return values + self.ways, self.ways + 2

    def _build_own(self, values: int) -> None:
        self.logits = self.add_weight(
            name="logits", shape=(LEVELS,), initializer="zeros", autocast=False
        )

    def _times(self, index, tokens: int):
        """Rows and columns in place of times: tokens see those of their frame alone."""
        place = ops.convert_to_tensor(index) % tokens
        return ops.stack([place // self.columns, place % self.columns], axis=-1)

    def _seen(self, x, shown):
        # Levels, not what lies within them: they are exact, however exact the rest is.
        level = levels(x)
        return ops.concatenate([level / (LEVELS / 2) - 1, mismatch(level, shown)], axis=-1)

    def _to_noise(self, x, said, shown):
        level = levels(x)
        inside = ops.unstack((x + 1) * (LEVELS / 2) - level, axis=-1)
        mixture, values, slopes = self._mixture(said), [], []
        pixels = zip(ops.unstack(level, axis=-1), ops.unstack(shown, axis=2), inside, strict=True)
        for level, ways, within in pixels:
            (below, share, above), mixture = self._parts(level, ways, mixture)
            value = probit.quantile(below + share * within, above + share * (1 - within))
            values.append(value)
            density = -0.5 * ops.square(value) - 0.5 * math.log(2 * math.pi)
            slopes.append(ops.log(share * (LEVELS / 2)) - density)
        return ops.stack(values, axis=-1), ops.sum(ops.stack(slopes, axis=-1), axis=(1, 2))

    def _to_tokens(self):
        def tokens(noise, said, shown):
            mixture, found = self._mixture(said), []
            pixels = zip(ops.unstack(noise, axis=-1), ops.unstack(shown, axis=2), strict=True)
            for value, ways in pixels:
                below, above = probit.tails(value)
                level = ops.zeros_like(value)
                # The highest level that does not begin above the value, by bisection; where the
                # value is high, what is left above it counts, which is exact there.
                for bit in reversed(range(int(math.log2(LEVELS)))):
                    higher = level + 2**bit
                    (under, at, over), _ = self._parts(higher, ways, mixture)
                    reached = ops.where(value < 0, under <= below, at + over >= above)
                    level = ops.where(reached, higher, level)
                (under, share, over), mixture = self._parts(level, ways, mixture)
                inside = ops.where(value < 0, below - under, share - (above - over)) / share
                # A level's last point belongs to the next one.
                found.append(level + ops.clip(inside, 0.0, 1 - 1e-4))
            return ops.stack(found, axis=-1) * (2 / LEVELS) - 1

        return tokens

    def _mixture(self, said):
        """Weights of ways `(B, L, ways)` and of what is new `(B, L, 1)`, now and at the start.

        And the share that starts anew, and for each level what of all that is new lies below it, at
        it and above it.
        """
        weights, anew = ops.split(said, [self.ways + 1], axis=-1)
        moved, new = ops.split(ops.softmax(weights, axis=-1), [self.ways], axis=-1)
        start = (1 - _NEW) * moved, (1 - _NEW) * new + _NEW
        anew = _ANEW + (1 - _ANEW) * ops.sigmoid(anew - 3)
        return start, start, anew, self._tables()

    @staticmethod
    def _parts(level, ways, mixture):
        """Probability below a level `(B, L)`, of it, and above it, and the mixture after it."""
        (moved, new), start, anew, tables = mixture
        index, level = ops.cast(level, "int32"), ops.cast(level, ways.dtype)[..., None]
        total, share = [], None
        for compare, table in zip((ops.less, ops.equal, ops.greater), tables, strict=True):
            parts = ops.where(compare(ways, level), moved, 0.0)
            fresh = new * ops.take(table, index)[..., None]
            total.append(ops.sum(parts, axis=-1) + fresh[..., 0])
            if compare is ops.equal:
                share = parts, fresh
        keep = (1 - anew) / total[1][..., None]
        after = tuple(keep * p + anew * s for p, s in zip(share, start, strict=True))
        return total, (after, start, anew, tables)

    def _tables(self):
        """Of what is new: probability below each level, of it, and above it, `(256,)` each."""
        share = ops.softmax(30 * self.logits) * (1 - _ANY) + _ANY / LEVELS
        return ops.cumsum(share) - share, share, ops.flip(ops.cumsum(ops.flip(share))) - share
