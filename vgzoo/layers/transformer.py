"""A transformer's layer over tokens of clips, with what it remembers of tokens before them."""

import keras
import numpy as np
from keras import layers, ops

_LOWEST = -1e9  # what a token that may not be seen scores


class TransformerLayer(layers.Layer):
    """Attention, then a feed-forward network of four times the width, each behind a norm.

    After Vaswani et al. 2017 (arXiv 1706.03762). Queries and keys are normalised (Henry et al.
    2020, arXiv 2010.04245) and turned by their time (RoPE, Su et al. 2021, arXiv 2104.09864): only
    how far apart two tokens are counts, so clips may be of any length. What is between the two
    matrices of the feed-forward network is squared ReLU (So et al. 2021, arXiv 2109.08668): with
    GELU a training step takes a third longer on a CPU.

    Args:
        width: of a token.
        heads: of the attention; each is `width / heads` wide, an even number.
        gated: whether the feed-forward network is a gated one (SwiGLU, Shazeer 2020, arXiv
            2002.05202) in place of squared ReLU.
        style: length of a style vector, which scales and shifts what is behind the norms and scales
            what each half adds (AdaLN, Peebles and Xie 2022, arXiv 2212.09748); 0 for none.
    """

    def __init__(self, width: int, heads: int, style: int = 0, gated: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads, self.style, self.gated = width, heads, style, gated
        self.before = layers.RMSNormalization(name="before")
        self.qkv = layers.Dense(3 * width, use_bias=False, name="qkv")
        self.query = layers.RMSNormalization(name="query")
        self.key = layers.RMSNormalization(name="key")
        # A layer begins as nothing, as residual blocks of this zoo do.
        self.out = layers.Dense(width, kernel_initializer="zeros", name="out")
        self.between = layers.RMSNormalization(name="between")
        # A gate takes a third matrix: two thirds of the width make as many weights as without.
        self.inner = (8 * width // 3 + 7) // 8 * 8 if gated else 4 * width
        self.wide = layers.Dense(2 * self.inner if gated else self.inner, name="wide")
        self.narrow = layers.Dense(width, kernel_initializer="zeros", name="narrow")
        self.modulation = None
        if style:
            self.modulation = layers.Dense(6 * width, kernel_initializer="zeros", name="modulation")

    def build(self, shape):
        for layer in (self.before, self.qkv, self.between, self.wide):
            layer.build(shape)
        head = (*shape[:-1], self.heads, self.width // self.heads)
        for layer in (self.query, self.key):
            layer.build(head)
        self.out.build(shape)
        self.narrow.build((*shape[:-1], self.inner))
        if self.modulation:
            self.modulation.build((None, self.style))

    def call(self, x, mask, places, past=(), style=None):
        """Tokens `(B, L, width)` → the same, and their keys and values `(B, heads, L, ·)`.

        Args:
            x: the tokens.
            mask: bool `(L, M + L)`: what each may see, of M before them and of themselves; None
                where each sees all. Or `(T, N, W·N)`, of T frames of N tokens: what each may see of
                the W - 1 frames before and of its own, at a cost that grows with T alone.
            places: float32 `(L,)` or `(L, axes)`, times or places in time and space; None where all
                are one.
            past: keys and values of the M tokens before, in as many parts as they come in: to put
                them together would mean to copy them.
            style: `(B, style)`, where the layer has one.
        """
        tune = [lambda h: h, lambda h: h] * 2
        if self.modulation:
            parts = ops.split(self.modulation(style)[:, None], 6, axis=-1)
            tune = [_affine(parts[0], parts[1]), _gate(parts[2])]
            tune += [_affine(parts[3], parts[4]), _gate(parts[5])]
        h = self.qkv(tune[0](self.before(x)))
        h = ops.reshape(h, (-1, h.shape[1], 3 * self.heads, self.width // self.heads))
        q, k, v = ops.split(h, 3, axis=2)
        q, k = self.query(q), self.key(k)
        if places is not None:
            q, k = turned(q, places), turned(k, places)
        q = q * (self.width // self.heads) ** -0.5
        q, *own = (ops.swapaxes(part, 1, 2) for part in (q, k, v))
        if mask is not None and len(mask.shape) == 3:
            seen = _attend_within(q, *own, mask)
        else:
            seen = _attend(q, [*past, own], mask)
        seen = ops.reshape(ops.swapaxes(seen, 1, 2), (-1, x.shape[1], self.width))
        x = x + tune[1](self.out(seen))
        h = self.wide(tune[2](self.between(x)))
        if self.gated:
            gate, h = ops.split(h, 2, axis=-1)
            h = ops.silu(gate) * h
        else:
            h = ops.square(ops.relu(h))
        return x + tune[3](self.narrow(h)), tuple(own)

    def compute_output_spec(self, x, *args, **kwargs):
        head = (x.shape[0], self.heads, x.shape[1], self.width // self.heads)
        kept = keras.KerasTensor(head, self.compute_dtype)
        return keras.KerasTensor(x.shape, self.compute_dtype), (kept, kept)


def turned(x, places):
    """Pairs of values of `x` `(B, L, heads, d)` turned by angles that grow with time or place.

    The pairs, `x[i]` and `x[i + d/2]`, are shared out among the axes of `places`, `(L,)` or
    `(L, axes)`.
    """
    if len(places.shape) == 1:
        places = ops.expand_dims(places, -1)
    axes, half = places.shape[1], x.shape[-1] // 2
    counts = [(half + axis) // axes for axis in reversed(range(axes))]
    angles = [
        ops.multiply(place, (10_000.0 ** (-np.arange(count) / count)).astype("float32"))
        for place, count in zip(
            ops.split(ops.cast(places, "float32"), axes, axis=1), counts, strict=True
        )
    ]
    angle = ops.concatenate(angles, axis=-1)[:, None]
    cosine, sine = (ops.cast(f(angle), x.dtype) for f in (ops.cos, ops.sin))
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate(
        [first * cosine - second * sine, first * sine + second * cosine], axis=-1
    )


def _attend(q, memory, mask):
    """What queries `(…, L, d)` see of keys and values, which come in parts `(…, M, d)`."""
    scores = [ops.matmul(q, ops.swapaxes(ops.cast(k, q.dtype), -1, -2)) for k, _ in memory]
    score = ops.concatenate(scores, axis=-1)
    if mask is not None:
        score = ops.where(mask, score, _LOWEST)
    weight = ops.softmax(score, axis=-1)
    ends = np.cumsum([part.shape[-1] for part in scores])[:-1].tolist()
    weights = ops.split(weight, ends, axis=-1) if ends else [weight]
    return sum(
        ops.matmul(part, ops.cast(values, q.dtype))
        for part, (_, values) in zip(weights, memory, strict=True)
    )


def _attend_within(q, keys, values, mask):
    """The same of T·N tokens in a row, each frame of which sees those of a window."""
    frames, tokens, wide = mask.shape
    q = ops.reshape(q, (-1, q.shape[1], frames, tokens, q.shape[3]))
    seen = _attend(q, [[_windows(x, frames, wide // tokens) for x in (keys, values)]], mask)
    return ops.reshape(seen, (-1, seen.shape[1], frames * tokens, seen.shape[4]))


def _windows(x, frames: int, window: int):
    """Tokens `(B, heads, T·N, d)` → of each frame those of the window: `(B, heads, T, W·N, d)`."""
    _, heads, length, size = x.shape
    tokens = length // frames
    shown = []
    for ago in reversed(range(window)):
        seen = x
        if ago:
            seen = ops.split(x, [max(frames - ago, 0) * tokens], axis=2)[0]
            seen = ops.pad(seen, ((0, 0), (0, 0), (min(ago, frames) * tokens, 0), (0, 0)))
        shown.append(ops.reshape(seen, (-1, heads, frames, tokens, size)))
    return ops.concatenate(shown, axis=3)


def _affine(scale, shift):
    return lambda h: h * (1 + scale) + shift


def _gate(scale):
    return lambda h: h * (1 + scale)
