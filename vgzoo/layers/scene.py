"""A clip as layers that move: taken apart, found in a frame, and put together.

After Wang and Adelson 1994, "Representing moving images with layers"; learned, as in DDPAE (Hsieh
et al. 2018, arXiv 1806.04166).
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.placing import attention, coordinates
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, mean_around, space_to_depth

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


class Find(layers.Layer):
    """How far a layer lies from where it is looked for, by a matched filter.

    The layer, less the mean around each of its pixels, is laid on a frame in every way within
    reach; where light agrees best counts, so a layer is found to the pixel before anything is
    learned. Only how much best is better than good is.

    Args:
        reach: pixels, each way.
    """

    def __init__(self, reach: int, **kwargs):
        super().__init__(**kwargs)
        self.reach = reach

    def build(self, *shapes):
        self.sharpness = self.add_weight(name="sharpness", shape=(), initializer="zeros")

    def call(self, frame, template):
        """Frames and `template`s `(N, H, W, C)` → y and x, -1 … 1 a frame, and how well: `(N, 3)`.

        How well is the agreement as a share of the layer's with itself.
        """
        _, height, width, channels = frame.shape
        ways = 2 * self.reach + 1
        rows = ops.reshape(template, (-1, height, width * channels))
        columns = ops.transpose(rows, (0, 2, 1))
        wide = ops.pad(frame, ((0, 0), (0, 0), (self.reach, self.reach), (0, 0)))
        # Rows of the frame by rows of the layer, for each way across; then those as far apart.
        agree = [
            ops.matmul(ops.reshape(wide[:, :, x : x + width], (-1, *rows.shape[1:])), columns)
            for x in range(ways)
        ]
        agree = ops.reshape(ops.stack(agree, axis=1), (-1, ways, height * height))
        apart = np.subtract.outer(np.arange(height), np.arange(height)).ravel()
        which = apart[:, None] == np.arange(ways) - self.reach
        agree = ops.cast(ops.matmul(agree, ops.cast(which, agree.dtype)), "float32")
        agree = ops.reshape(agree, (-1, ways * ways))
        share = ops.softmax(agree * ops.exp(ops.cast(self.sharpness, "float32")), axis=-1)
        share = ops.reshape(share, (-1, ways, ways))
        steps = (np.arange(ways) - self.reach).astype("float32")
        y = ops.sum(ops.multiply(ops.sum(share, axis=1), steps * 2 / height), axis=-1)
        x = ops.sum(ops.multiply(ops.sum(share, axis=2), steps * 2 / width), axis=-1)
        itself = ops.sum(ops.cast(ops.square(rows), "float32"), axis=(1, 2)) + 1
        return ops.stack([y, x, ops.max(agree, axis=-1) / itself], axis=-1)


def template(drawn):
    """Layers less the mean of the 9×9 pixels around each."""
    return drawn - mean_around(drawn, 9)


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
