"""Flows in which each token is changed by what those before it say."""

import math

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.spacetime import he_normal, leaky
from vgzoo.layers.transformer import TransformerLayer

_TOLERANCE = 1e-5  # between two rounds of a block that is found at once


class AutoregressiveFlow(layers.Layer):
    """An affine flow: tokens of clips `(B, T, N, D)` ↔ noise of the same shape.

    The transformation of TARFlow (Zhai et al. 2024, arXiv 2412.06329): a token less a mean, over a
    scale, both from a causal transformer over the tokens before it, frame after frame. A token's
    own values hang together too: each is first less a learned share of those before it in the
    token, the same everywhere. That is a triangular matrix of determinant 1.

    Args:
        width, heads, depth: of the transformer.
        window: frames that a token attends to in each layer, its own included.
        backward: whether the tokens of a frame go from the last to the first.
        told: length of what else is known of a token, if anything.
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        depth: int,
        window: int,
        backward: bool = False,
        told: int = 0,
        **kwargs,
    ):
        # Tokens stay as exact as they come, whatever the transformer computes in.
        super().__init__(autocast=False, **kwargs)
        self.width, self.heads, self.window, self.backward = width, heads, window, backward
        self.known = told
        self.embed = layers.Dense(width, name="embed")
        self.told = layers.Dense(width, use_bias=False, name="told") if told else None
        self.layers_ = [TransformerLayer(width, heads, name=f"layer_{i}") for i in range(depth)]
        self.norm = layers.RMSNormalization(name="norm")
        self.hidden = layers.Dense(
            width, activation=leaky, kernel_initializer=he_normal(), name="hidden"
        )
        self.affine = None

    def build(self, shape):
        *_, tokens, values = shape
        seen, outputs = self._sizes(values)
        self.first = self.add_weight(name="first", shape=(seen,), initializer="zeros")
        self.place = self.add_weight(
            name="place", shape=(tokens, self.width), initializer="random_normal"
        )
        self._build_own(values)
        self.embed.build((None, None, seen * len(self.offsets)))
        if self.told:
            self.told.build((None, None, self.known))
        for layer in (*self.layers_, self.norm, self.hidden):
            layer.build((None, None, self.width))
        self.affine = layers.Dense(outputs, kernel_initializer="zeros", name="affine")
        self.affine.build((None, None, self.width))

    # What is done to a token, and what the tokens after it see of it.

    offsets = (1,)  # how many tokens ago those came that a token is told of directly

    def _sizes(self, values: int) -> tuple[int, int]:
        """Numbers of a token that are seen, and numbers that are said of it."""
        return values, 2 * values

    def _build_own(self, values: int) -> None:
        self.within = self.add_weight(
            name="within", shape=(values, values), initializer="zeros", autocast=False
        )

    def _seen(self, x, shown):
        """What the tokens after a token read of it."""
        return x

    def _to_noise(self, x, said, shown):
        """Tokens and what is said of them → noise, log-determinants `(B,)`."""
        mean, log_scale = _mean_and_scale(said)
        noise = (ops.matmul(x, self._less()) - mean) * ops.exp(-log_scale)
        return noise, -ops.sum(log_scale, axis=(1, 2))

    def _to_tokens(self):
        """The inverse: a function of noise, of what is said and of what is shown."""
        whole = ops.inv(self._less())

        def tokens(noise, said, shown):
            mean, log_scale = _mean_and_scale(said)
            return ops.matmul(noise * ops.exp(log_scale) + mean, whole)

        return tokens

    # Both ways.

    def call(self, x, about=None, shown=None):
        """→ noise, and the log-determinant `(B,)`.

        Args:
            x: tokens.
            about: `(B, T, N, told)`, what is known.
            shown: what else counts for each token, `(B, T, N, …)`.
        """
        _, frames, tokens, values = x.shape
        x, shown = self._in_line(x), self._in_line(shown)
        seen = self._seen(x, shown)
        before, _ = ops.split(seen, [frames * tokens - 1], axis=1)
        start = ops.zeros_like(ops.split(seen, [1], axis=1)[0]) + ops.cast(self.first, x.dtype)
        before = ops.concatenate([start] * max(self.offsets) + [before], axis=1)
        index = np.arange(frames * tokens)
        sees = self._sees(index, index, tokens)
        if 1 < self.window < frames:
            sees = self._window(frames, tokens)
        said, _ = self._read(
            self._told_of(before),
            ops.concatenate([self.place] * frames, axis=0),
            self._heard(about),
            sees,
            self._times(index, tokens),
        )
        noise, found = self._to_noise(x, said, shown)
        return self._turned(ops.reshape(noise, (-1, frames, tokens, values))), found

    def begin(self, noise):
        """What `invert` goes on from before the first frame; of `noise` only the shape counts."""
        rows, tokens = ops.shape(noise)[0], noise.shape[2]
        first = ops.cast(self.first, noise.dtype)
        last = ops.zeros((rows, max(self.offsets), first.shape[0])) + first
        kept = self._memory(rows, self.window * tokens)
        past = [(ops.zeros(kept, self.compute_dtype),) * 2 for _ in self.layers_]
        return ops.zeros((), "int32"), last, past

    def invert(self, noise, block: int = 1, about=None, state=None, shown=None):
        """Noise → tokens, so many tokens at a time; and the state that the next frames go on from.

        The tokens of a block are found together, by as many rounds as it takes (Jacobi's iteration,
        Song et al. 2021, arXiv 2002.03629): at most as many as they are, fewer where they hang
        little on each other. What was found before is kept as keys and values.

        Args:
            noise: `(B, T, N, D)`.
            block: a divisor of N; 1 finds one token after another.
            about, shown: as for `call`.
            state: what `begin` or the frames before gave; the beginning if None.
        """
        _, frames, tokens, values = noise.shape
        z, shown = self._in_line(noise), self._in_line(shown)
        heard = self._heard(about)
        rows, kept, to_tokens = ops.shape(z)[0], self.window * tokens, self._to_tokens()
        done, last, past = state or self.begin(noise)
        within = ops.arange(block, dtype="int32")
        # Keys and values are copied where some are added: the few of a group for each block, all of
        # them only after the group.
        group = block * _divisor(tokens // block)
        fresh = [(ops.zeros(self._memory(rows, group), self.compute_dtype),) * 2] * len(past)

        def next_block(at, begun, found, last, past, recent):
            def of_block(x):
                size = (rows, block, *x.shape[2:])
                return ops.slice(x, (0, at, *[0] * (len(size) - 2)), size)

            ours = of_block(z)
            told = None if heard is None else keras.tree.map_structure(of_block, heard)
            ways = None if shown is None else of_block(shown)
            index = done + at + within
            places = ops.take(self.place, index % tokens, axis=0)
            memory = done + begun - kept + ops.arange(kept + group, dtype="int32")
            memory = ops.where(memory < done + at, memory, -1)  # none yet, as before all
            mask = self._sees(index, ops.concatenate([memory, index]), tokens)
            times = self._times(index, tokens)
            parts = list(zip(past, recent, strict=True))

            def again(round_, change, guess, news):
                seen = self._seen(guess, ways)[:, : block - 1]
                before = ops.concatenate([last, seen], axis=1)
                before = self._told_of(before)
                said, news = self._read(before, places, told, mask, times, parts)
                better = to_tokens(ours, said, ways)
                return round_ + 1, ops.max(ops.abs(better - guess)), better, news

            news = [(ops.zeros(self._memory(rows, block), self.compute_dtype),) * 2 for _ in past]
            _, _, made, news = ops.while_loop(
                lambda round_, change, *_: ops.logical_and(round_ < block, change > _TOLERANCE),
                again,
                (0, ops.full((), np.inf, "float32"), ours, news),
                maximum_iterations=block,
            )
            recent = keras.tree.map_structure(
                lambda old, new: ops.slice_update(old, (0, 0, at - begun, 0), new), recent, news
            )
            found = ops.slice_update(found, (0, at, 0), made)
            last = ops.concatenate([last, self._seen(made, ways)], axis=1)[:, block:]
            return at + block, begun, found, last, past, recent

        def next_group(at, found, last, past):
            at, _, found, last, _, recent = ops.while_loop(
                lambda now, begun, *_: now < begun + group,
                next_block,
                (at, at, found, last, past, fresh),
                maximum_iterations=group // block,
            )
            past = keras.tree.map_structure(
                lambda old, new: ops.concatenate([old[:, :, group:], new], axis=2), past, recent
            )
            return at, found, last, past

        count, found, last, past = ops.while_loop(
            lambda at, *_: at < frames * tokens,
            next_group,
            (0, ops.zeros_like(z), last, past),
            maximum_iterations=frames * tokens // group,
        )
        found = self._turned(ops.reshape(found, (-1, frames, tokens, values)))
        return found, (done + count, last, past)

    def _memory(self, rows, tokens: int) -> tuple:
        """The shape of keys and of values of some tokens."""
        return rows, self.heads, tokens, self.width // self.heads

    def _heard(self, about):
        """What is known of tokens in the order in which they come, `(B, T·N, width)`."""
        if about is None:
            return None
        return self.told(self._in_line(about))

    def _less(self):
        """What a token is multiplied by: `(D, D)`, of unit diagonal, 0 below it."""
        above = np.triu(np.ones(self.within.shape, "float32"), 1)
        return ops.subtract(np.eye(len(above), dtype="float32"), ops.multiply(self.within, above))

    def _times(self, index, tokens: int):
        return None if self.window == 1 else ops.cast(index // tokens, "float32")

    def _told_of(self, before):
        """What tokens saw that came before each, of all those before → of those at the offsets."""
        furthest = max(self.offsets)
        count = before.shape[1] + 1 - furthest
        parts = [
            ops.split(before, [furthest - i, furthest - i + count], axis=1)[1] for i in self.offsets
        ]
        return ops.concatenate(parts, axis=-1)

    def _in_line(self, x):
        """`(B, T, N, …)` → `(B, T·N, …)`, in the order in which tokens come."""
        if x is None:
            return None
        x = self._turned(x)
        return ops.reshape(x, (-1, x.shape[1] * x.shape[2], *x.shape[3:]))

    def _turned(self, x):
        return ops.flip(x, axis=2) if self.backward else x

    def _sees(self, index, others, tokens: int):
        """Which tokens read which: those before and themselves, of the window, none before all."""
        ages = index[:, None] // tokens - others[None] // tokens
        return (others[None] <= index[:, None]) & (ages < self.window) & (others[None] >= 0)

    def _window(self, frames: int, tokens: int) -> np.ndarray:
        """As `_sees`, of each frame what it may see of the window: `(T, N, window·N)`."""
        ages = np.repeat(np.arange(self.window)[::-1], tokens)
        within = np.tile(np.arange(tokens), self.window)
        earlier = (ages > 0) | (within <= np.arange(tokens)[:, None])
        return earlier & (ages <= np.arange(frames)[:, None, None])

    def _read(self, before, places, told, mask, times, past=None):
        """What tokens say of those after them, float32, and their keys and values.

        Of `past`, if there is any, each layer has keys and values in parts.
        """
        x = self.embed(ops.cast(before, self.compute_dtype)) + ops.cast(places, self.compute_dtype)
        x = x if told is None else x + told
        news = []
        for i, layer in enumerate(self.layers_):
            x, new = layer(x, mask, times, past[i] if past else ())
            news.append(new)
        return ops.cast(self.affine(self.hidden(self.norm(x))), "float32"), news


def _divisor(number: int) -> int:
    """The largest divisor that is not above the square root."""
    return max(d for d in range(1, math.isqrt(number) + 1) if number % d == 0)


def _mean_and_scale(said):
    mean, log_scale = ops.split(said, 2, axis=-1)
    return mean, 4 * ops.tanh(log_scale / 4)
