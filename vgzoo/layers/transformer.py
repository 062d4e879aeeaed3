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
    """

    def __init__(self, width: int, heads: int, **kwargs):
        super().__init__(**kwargs)
        self.width, self.heads = width, heads
        self.before = layers.RMSNormalization(name="before")
        self.qkv = layers.Dense(3 * width, use_bias=False, name="qkv")
        self.query = layers.RMSNormalization(name="query")
        self.key = layers.RMSNormalization(name="key")
        # A layer begins as nothing, as residual blocks of this zoo do.
        self.out = layers.Dense(width, kernel_initializer="zeros", name="out")
        self.between = layers.RMSNormalization(name="between")
        self.wide = layers.Dense(4 * width, name="wide")
        self.narrow = layers.Dense(width, kernel_initializer="zeros", name="narrow")

    def build(self, shape):
        for layer in (self.before, self.qkv, self.between, self.wide):
            layer.build(shape)
        head = (*shape[:-1], self.heads, self.width // self.heads)
        for layer in (self.query, self.key):
            layer.build(head)
        self.out.build(shape)
        self.narrow.build((*shape[:-1], 4 * self.width))

    def call(self, x, mask, times, past=None):
        """Tokens `(B, L, width)` → the same, and their keys and values `(B, L, heads, ·)`.

        Args:
            x: the tokens.
            mask: bool `(L, M + L)`: what each may see, of M before them and of themselves.
            times: float32 `(L,)`; None where all are one.
            past: keys and values of the M tokens before.
        """
        h = self.qkv(self.before(x))
        h = ops.reshape(h, (-1, h.shape[1], 3 * self.heads, self.width // self.heads))
        q, k, v = ops.split(h, 3, axis=2)
        q, k = self.query(q), self.key(k)
        if times is not None:
            q, k = turned(q, times), turned(k, times)
        keys, values = k, v
        if past is not None:
            keys = ops.concatenate([ops.cast(past[0], k.dtype), k], axis=1)
            values = ops.concatenate([ops.cast(past[1], v.dtype), v], axis=1)
        score = ops.einsum("blhd,bmhd->bhlm", q * (self.width // self.heads) ** -0.5, keys)
        weight = ops.softmax(ops.where(mask, score, _LOWEST), axis=-1)
        seen = ops.einsum("bhlm,bmhd->blhd", weight, values)
        x = x + self.out(ops.reshape(seen, (-1, seen.shape[1], self.width)))
        return x + self.narrow(ops.square(ops.relu(self.wide(self.between(x))))), (k, v)

    def compute_output_spec(self, x, *args, **kwargs):
        head = (*x.shape[:-1], self.heads, self.width // self.heads)
        kept = keras.KerasTensor(head, self.compute_dtype)
        return keras.KerasTensor(x.shape, self.compute_dtype), (kept, kept)


def turned(x, times):
    """Each pair of halves of `x` `(B, L, heads, d)` turned by an angle that grows with time."""
    half = x.shape[-1] // 2
    speeds = (10_000.0 ** (-np.arange(half) / half)).astype("float32")
    angle = ops.multiply(ops.cast(times, "float32")[:, None, None], speeds)
    cosine, sine = (ops.cast(f(angle), x.dtype) for f in (ops.cos, ops.sin))
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate(
        [first * cosine - second * sine, first * sine + second * cosine], axis=-1
    )
