"""A clip as layers that move: taken apart, found in a frame, and put together.

After Wang and Adelson 1994, "Representing moving images with layers"; learned, as in DDPAE (Hsieh
et al. 2018, arXiv 1806.04166).
"""

import keras
from keras import layers, ops

from vgzoo.layers.placing import attention, coordinates
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth

PATCH = 4  # pixels, each way, to one place of the networks


class TakeApart(keras.Model):
    """Context `(B, T, H, W, C)` in [0, 1] → layers `(B·K, H, W, C)`, features `(B·K, filters)`."""

    def __init__(self, *, count: int, channels: int, filters: int, blocks: int):
        super().__init__(name="encoder")
        self.count = count
        self.pixels = _conv(filters, "pixels")
        self.blocks = [Block(filters, time=False, name=f"block_{i}") for i in range(blocks)]
        self.around = [layers.Dense(filters, name=f"around_{i}") for i in range(blocks)]
        values = count * channels * PATCH**2
        self.share = layers.Conv2D(values, 3, padding="same", name="share")
        self.rest = layers.Conv2D(
            values, 3, padding="same", kernel_initializer="zeros", name="rest"
        )

    def call(self, context):
        _, frames, height, width, channels = context.shape
        x = ops.transpose(context, (0, 2, 3, 1, 4))
        x = space_to_depth(ops.reshape(x, (-1, height, width, frames * channels)), PATCH)
        _, rows, columns, _ = x.shape
        x = self.pixels(ops.concatenate([x, coordinates(x)], axis=-1))
        for block, around in zip(self.blocks, self.around, strict=True):
            # What is far away counts too: it says which of two things is the first layer.
            x = block(x + around(ops.mean(leaky(x), axis=(1, 2), keepdims=True)))
        x = leaky(x)
        _, last = ops.split(context, [frames - 1], axis=1)
        last = ops.concatenate([last[:, 0]] * self.count, axis=-1)
        drawn = ops.sigmoid(depth_to_space(self.share(x), PATCH)) * last
        drawn = drawn + depth_to_space(self.rest(x), PATCH)
        drawn = ops.reshape(drawn, (-1, height, width, self.count, channels))
        drawn = ops.reshape(ops.transpose(drawn, (0, 3, 1, 2, 4)), (-1, height, width, channels))
        weights = ops.reshape(attention(drawn, PATCH), (-1, self.count, rows * columns))
        features = ops.reshape(x, (-1, rows * columns, x.shape[-1]))
        features = ops.matmul(ops.cast(weights, x.dtype), features)
        return drawn, ops.reshape(features, (-1, x.shape[-1]))


class Look(keras.Model):
    """How a layer lies in a frame: `(N, H, W, C)` twice → `(N, filters)`."""

    def __init__(self, *, filters: int):
        super().__init__(name="look")
        self.convs = [_conv(filters, f"conv_{i}") for i in (0, 1)]

    def call(self, frame, drawn):
        x = space_to_depth(ops.concatenate([frame, ops.cast(drawn, frame.dtype)], axis=-1), PATCH)
        for conv in self.convs:
            x = leaky(conv(x))
        x = ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3]))
        return ops.matmul(ops.cast(attention(drawn, PATCH), x.dtype)[:, None], x)[:, 0]


class PutTogether(keras.Model):
    """Layers `(B, T, H, W, K, C)`, each in its place → logits of pixels `(B, T, H, W, C)`."""

    def __init__(self, *, channels: int, filters: int):
        super().__init__(name="screen")
        self.detail = _conv(filters, "detail")
        self.out = layers.Conv2D(
            4 * channels, 3, padding="same", kernel_initializer="zeros", name="out"
        )

    def call(self, placed):
        _, frames, height, width, count, channels = placed.shape
        x = ops.reshape(placed, (-1, height, width, count * channels))
        x = depth_to_space(self.out(leaky(self.detail(space_to_depth(x, 2)))), 2)
        x = ops.reshape(ops.cast(x, "float32"), (-1, frames, height, width, channels))
        # Nowhere flat, so that a layer learns of all that it covers and misses.
        return 8 * ops.sum(ops.cast(placed, "float32"), axis=4) - 4 + x


def _conv(filters: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=he_normal(), name=name)
