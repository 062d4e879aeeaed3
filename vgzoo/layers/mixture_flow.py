"""The step of a flow that knows what the frame before showed: pixels are what moved there, or new.

A pixel's level is drawn from a mixture: one component for each way in which the frame before may
have moved, which is sure of the level; and learned patches for what is new, of which each pixel has
a distribution of its own (a codebook, so to say, that is not looked up but mixed). What explained
the pixels of a patch so far explains the next one too, unless another component takes over (weights
after Bayes, a share of which starts anew at each pixel: the fixed share of Herbster and Warmuth
1998). The mixture's cumulative distribution, turned into that of a Gaussian, is an exact step of a
flow (as mixtures of logistics are in Flow++, Ho et al. 2019, arXiv 1902.00275). What is black and
stays so costs nothing then, and a patch that moved costs little more than to say whereto.
"""

import math

import keras
import numpy as np
from keras import ops

from vgzoo.layers import probit
from vgzoo.layers.anticipation import mismatch
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import LEVELS, PACE, levels

_NEW = 1e-4  # of probability, at least, that a pixel is new
_ANY = 1e-3  # of that, shared by all levels alike
_TURNED = 0.05  # of probability that the motion seen last says nothing
_ANEW = 0.01  # of weights, at least, that start anew at each pixel
_BINS = 18  # that a learned patch tells apart: black, white, and levels between in sixteens


class MixtureFlow(AutoregressiveFlow):
    """Tokens of pixels in (-1, 1) ↔ values that are about standard normal.

    A causal transformer says the mixture's weights for each token. Of the tokens beside and above
    it, it is told by which motion they came; that neighbours move alike, and go on as they moved,
    it need not learn. What is known of tokens, `about`, comes with how likely each way is if they
    go on so, `(B, T, N, ways)`: `(about, likely)`.

    Args:
        ways: components for motion; `shown` holds as many for each value of a token, as levels.
        patches: components for what is new.
        columns: tokens of a row of the frame.
        further: arguments of `AutoregressiveFlow`.
    """

    def __init__(self, *, ways: int, patches: int, columns: int, **further):
        super().__init__(**further)
        self.ways, self.patches, self.columns = ways, patches, columns
        # Beside, above to the right, above, above to the left.
        self.offsets = tuple(dict.fromkeys((1, max(columns - 1, 1), columns, columns + 1)))

    def _sizes(self, values: int) -> tuple[int, int]:
        return values + self.ways, self.ways + self.patches + 1

    def _build_own(self, values: int) -> None:
        self.logits = self.add_weight(
            name="logits", shape=(LEVELS,), initializer="zeros", autocast=False
        )
        self.codebook = self.add_weight(
            name="codebook",
            shape=(values * _BINS * self.patches,),
            initializer=keras.initializers.RandomNormal(stddev=1 / PACE),
            autocast=False,
        )
        self.alike = self.add_weight(
            name="alike",
            shape=(len(self.offsets),),
            initializer=keras.initializers.Constant(4.0),
            autocast=False,
        )

    def _times(self, index, tokens: int):
        """Rows and columns in place of times: tokens see those of their frame alone."""
        place = ops.convert_to_tensor(index) % tokens
        return ops.stack([place // self.columns, place % self.columns], axis=-1)

    def _heard(self, about):
        if about is None:
            return None
        likely = ops.cast(self._in_line(about[1]), "float32")
        return super()._heard(about[0]), ops.log((1 - _TURNED) * likely + _TURNED / self.ways)

    def _read(self, before, places, told, *where):
        told, likely = told or (None, 0.0)
        said, news = super()._read(before, places, told, *where)
        values = before.shape[2] // len(self.offsets) - self.ways
        away = [
            ops.split(part, [values], axis=-1)[1]
            for part in ops.split(before, len(self.offsets), axis=-1)
        ]
        weights = ops.unstack(ops.convert_to_tensor(self.alike))
        alike = sum(weight * part for weight, part in zip(weights, away, strict=True))
        return said + ops.pad(likely - alike, ((0, 0), (0, 0), (0, self.patches + 1))), news

    def _seen(self, x, shown):
        # Levels, not what lies within them: they are exact, however exact the rest is.
        level = levels(x)
        return ops.concatenate([level / (LEVELS / 2) - 1, mismatch(level, shown)], axis=-1)

    def _to_noise(self, x, said, shown):
        level = levels(x)
        inside = ops.unstack((x + 1) * (LEVELS / 2) - level, axis=-1)
        mixture, values, slopes = self._mixture(said), [], []
        patches, within = self._tables()
        pixels = zip(
            ops.unstack(level, axis=-1),
            ops.unstack(shown, axis=2),
            zip(*(ops.unstack(table, axis=0) for table in patches), strict=True),
            strict=True,
        )
        for i, (pixel, ways, tables) in enumerate(pixels):
            (below, share, above), mixture = self._parts(pixel, ways, mixture, (tables, within))
            value = probit.quantile(below + share * inside[i], above + share * (1 - inside[i]))
            values.append(value)
            density = -0.5 * ops.square(value) - 0.5 * math.log(2 * math.pi)
            slopes.append(ops.log(share * (LEVELS / 2)) - density)
        return ops.stack(values, axis=-1), ops.sum(ops.stack(slopes, axis=-1), axis=(1, 2))

    def _to_tokens(self):
        patches, within = self._tables()

        def tokens(noise, said, shown):
            start, *mixture = self._mixture(said)
            # A loop, not its steps one by one: they would take many times as long to compile.
            noise, shown = ops.moveaxis(noise, -1, 0), ops.moveaxis(shown, 2, 0)

            def pixel(i, found, moved, new):
                of_pixel = [ops.take(x, i, axis=0) for x in (noise, shown, *patches)]
                value, ways, tables = of_pixel[0], of_pixel[1], (of_pixel[2:], within)
                below, above = probit.tails(value)
                level = ops.zeros_like(value)
                # The highest level that does not begin above the value: its sixteen, then itself.
                for step in (16, 1):
                    # Not `ops.add`: where tokens are 16 it would take these for a bias of theirs.
                    tried = level[..., None] + ops.arange(0, 16 * step, step, dtype="float32")
                    begun = self._begun(tried, ways, (moved, new), tables, below, above)
                    level = level + step * (ops.sum(ops.cast(begun, "float32"), axis=-1) - 1)
                parts, after = self._parts(level, ways, ((moved, new), *mixture), tables)
                under, share, over = parts
                inside = ops.where(value < 0, below - under, share - (above - over)) / share
                # A level's last point belongs to the next one.
                level = level + ops.clip(inside, 0.0, 1 - 1e-4)
                return i + 1, ops.slice_update(found, (i, 0, 0), level[None]), *after[0]

            count = noise.shape[0]
            _, found, *_ = ops.while_loop(
                lambda i, *_: i < count,
                pixel,
                (0, ops.zeros_like(noise), *start),
                maximum_iterations=count,
            )
            return ops.moveaxis(found, 0, -1) * (2 / LEVELS) - 1

        return tokens

    def _mixture(self, said):
        """Weights of ways `(B, L, ways)` and patches `(B, L, patches)`, now and at the start.

        And the share that starts anew.
        """
        weights, anew = ops.split(said, [self.ways + self.patches], axis=-1)
        moved, new = ops.split(ops.softmax(weights, axis=-1), [self.ways], axis=-1)
        start = (1 - _NEW) * moved, (1 - _NEW) * new + _NEW / self.patches
        anew = _ANEW + (1 - _ANEW) * ops.sigmoid(anew - 3)
        return start, start, anew

    @staticmethod
    def _parts(level, ways, mixture, tables):
        """Probability that a value lies below a level `(B, L)`, is it, and lies above.

        And the mixture after it is.
        """
        (moved, new), start, anew = mixture
        (under, itself, over), within = tables
        index = ops.cast(level, "int32")
        bins, level = ops.take(_BIN_OF, index), ops.cast(level, ways.dtype)[..., None]
        total, share = [], None
        compares = ops.less, ops.equal, ops.greater
        itself = ops.take(itself, bins, axis=0)
        for compare, whole, table in zip(compares, (under, None, over), within, strict=True):
            parts = ops.where(compare(ways, level), moved, 0.0)
            # Of a patch: bins that lie wholly there, and that part of the level's own bin.
            chance = itself * ops.take(table, index)[..., None]
            if whole is not None:
                chance = chance + ops.take(whole, bins, axis=0)
            fresh = new * chance
            total.append(ops.sum(parts, axis=-1) + ops.sum(fresh, axis=-1))
            if compare is ops.equal:
                share = parts, fresh
        keep = (1 - anew) / total[1][..., None]
        after = tuple(keep * p + anew * s for p, s in zip(share, start, strict=True))
        return total, (after, start, anew)

    @staticmethod
    def _begun(level, ways, weights, tables, below, above):
        """Whether levels `(B, L, S)` of a value begin no later than where so much lies below.

        Where less lies above, that counts: it is exact there.
        """
        (moved, new), ((lowest, itself, highest), (under, share, over)) = weights, tables
        index = ops.cast(level, "int32")
        bins, level = ops.take(_BIN_OF, index), ops.cast(level, ways.dtype)[..., None]
        lower, moved = ops.less(ways[:, :, None], level), moved[:, :, None]
        first = ops.sum(ops.where(lower, moved, 0.0), axis=-1)
        rest = ops.sum(ops.where(lower, 0.0, moved), axis=-1)
        itself = ops.take(itself, bins, axis=0)

        def fresh(whole, table):
            chance = itself * ops.take(table, index)[..., None] + ops.take(whole, bins, axis=0)
            return ops.sum(new[:, :, None] * chance, axis=-1)

        first = first + fresh(lowest, under)
        rest = rest + fresh(highest, share + over)
        return ops.where(
            (below < above)[..., None], first <= below[..., None], rest >= above[..., None]
        )

    def _tables(self):
        """What learned patches have below, in and above each bin, and levels within their bins.

        The first three are `(values, bins, patches)`: probability of the bins that lie wholly
        below, of the bin itself, and of those wholly above. The second are `(256,)`: what share of
        its bin lies below a level, is it, and lies above it.
        """
        chance = ops.reshape(PACE * self.codebook, (-1, _BINS, self.patches))
        chance = ops.softmax(chance, axis=1)
        chance = chance * (1 - _ANY) + _ANY * _WIDTHS[:, None] / LEVELS
        above = ops.flip(ops.cumsum(ops.flip(chance, axis=1), axis=1), axis=1) - chance
        below = ops.cumsum(chance, axis=1) - chance
        share = ops.softmax(PACE * self.logits) * (1 - _ANY) + _ANY / LEVELS
        mass = ops.matmul(_MEMBERS, ops.matmul(ops.transpose(_MEMBERS), share[:, None]))[:, 0]
        share = share / mass
        under = ops.matmul(_UNDER, share[:, None])[:, 0]
        over = ops.matmul(_UNDER.T, share[:, None])[:, 0]
        return (below, chance, above), (under, share, over)


# Which bin a level is in; how many levels a bin has; and which levels of a bin lie below others.
_BIN_OF = np.minimum((np.arange(LEVELS) + 15) // 16 + (np.arange(LEVELS) >= 253), _BINS - 1)
_BIN_OF = _BIN_OF.astype("int32")
_WIDTHS = np.bincount(_BIN_OF, minlength=_BINS).astype("float32")
_MEMBERS = (_BIN_OF[:, None] == np.arange(_BINS)).astype("float32")
_UNDER = ((_BIN_OF[:, None] == _BIN_OF) & np.tri(LEVELS, k=-1, dtype=bool)).astype("float32")
