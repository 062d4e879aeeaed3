"""What a clip that is worked on in parts needs: what came before, and time halved and doubled.

After the causal autoencoders of MAGVIT-v2 (Yu et al. 2023, arXiv 2310.05737) and Wan (2025,
arXiv 2503.20314): nothing looks ahead, and the first frame stands alone, so that a picture is a
clip of one frame. A clip of 1 + 2k frames has 1 + k at half the rate; in parts, the first one has
an odd number of frames and the later ones an even number, and whatever a part needs of those
before it is kept in a `Past`.
"""

from keras import layers, ops


class Past:
    """What causal layers remember of the parts of a clip that went before.

    Args:
        kept: what another `Past` kept after the part before this one; none before the first part.
    """

    def __init__(self, kept: dict | None = None):
        self.kept = dict(kept or {})
        self.first = not self.kept

    def precede(self, key: str, x, count: int):
        """`x` `(B, T, ·, C)` behind the `count` frames that came before it, zeros at the start."""
        if self.first:
            x = ops.pad(x, ((0, 0), (count, 0), (0, 0), (0, 0)))
        else:
            x = ops.concatenate([ops.cast(self.kept[key], x.dtype), x], axis=1)
        self.kept[key] = x[:, -count:]
        return x


class HalveTime(layers.Layer):
    """`(B·T, H, W, C)` → `(B·⌈T/2⌉, H, W, filters)`: two frames become one; the first stays alone.

    Args:
        filters: output channels.
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.mix = layers.Dense(filters, name="mix")

    def build(self, shape):
        self.mix.build((None, 2 * shape[-1]))

    def call(self, x, frames: int):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, frames, height * width * channels))
        if frames % 2:
            x = ops.pad(x, ((0, 0), (1, 0), (0, 0)))
        pairs = (frames + 1) // 2
        x = ops.reshape(x, (-1, pairs, 2, height, width, channels))
        x = ops.concatenate(ops.unstack(x, axis=2), axis=-1)
        return self.mix(ops.reshape(x, (-1, height, width, 2 * channels)))


class DoubleTime(layers.Layer):
    """The way back: `(B·T, H, W, C)` → `(B·T', H, W, filters)`, T' = 2T, or 2T - 1 from the first.

    Args:
        filters: output channels.
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.mix = layers.Dense(2 * filters, name="mix")

    def build(self, shape):
        self.mix.build((None, shape[-1]))

    def call(self, x, frames: int, past: Past):
        _, height, width, _ = x.shape
        x = ops.reshape(self.mix(x), (-1, frames, height, width, 2 * self.filters))
        x = ops.stack(ops.split(x, 2, axis=-1), axis=2)
        x = ops.reshape(x, (-1, 2 * frames, height, width, self.filters))
        x = ops.split(x, [1], axis=1)[1] if past.first else x
        return ops.reshape(x, (-1, height, width, self.filters))
