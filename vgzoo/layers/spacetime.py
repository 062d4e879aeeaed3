"""Factorised space and time convolutions.

A clip travels as `(B·T, H, W, C)`, so that a spatial convolution is a plain Conv2D; a temporal one
folds the clip to `(B, T, H·W, C)` and is a Conv2D of kernel (k, 1). Both are matrix products that
every backend compiles well, which 3-D convolutions are not (Tran et al. 2018, arXiv 1711.11248,
found the factorised form at least as good).
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.causal import Past


class TimeConv(layers.Layer):
    """Convolution along time, `(B·T, H, W, C)` → `(B·T, H, W, filters)`, zero-padded.

    Args:
        filters: output channels.
        kernel_size: frames seen, odd.
        causal: whether these are a frame and those before it.
    """

    def __init__(self, filters: int, kernel_size: int = 3, causal: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size, self.causal = kernel_size, causal
        self.conv = layers.Conv2D(
            filters,
            (kernel_size, 1),
            padding="valid" if causal else "same",
            kernel_initializer=he_normal(),
            name="conv",
        )

    def build(self, shape):
        self.conv.build((None, None, None, shape[-1]))

    def call(self, x, frames: int, past: Past | None = None):
        _, height, width, channels = x.shape
        x = ops.reshape(x, (-1, frames, height * width, channels))
        if self.causal:
            x = (past or Past()).precede(self.conv.kernel.path, x, self.kernel_size - 1)
        return ops.reshape(self.conv(x), (-1, height, width, self.filters))

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.filters)


def leaky(x):
    """Leaky ReLU of slope 0.2."""
    return ops.leaky_relu(x, negative_slope=0.2)


def he_normal(gain: float = 1.0) -> keras.initializers.Initializer:
    """He et al. 2015 for a leaky ReLU of slope 0.2: variance gain² · 2 / (1.04 · fan-in)."""
    return keras.initializers.VarianceScaling(gain**2 * 2 / (1 + 0.2**2), "fan_in", "normal")


def upsample(x):
    """Twice the height and width: each pixel repeated, then a mean of 3×3.

    The mean leaves 2/3 of the pixel and 1/3 of its neighbour along each axis, close to bilinear;
    without it the blocks of the 4×4 base show in what is made. The repetition is written with
    concatenations, whose gradient is a sum of slices: that of a broadcast is a strided reduction,
    many times slower on a CPU.
    """
    _, height, width, channels = x.shape
    x = ops.concatenate([x, x], axis=-1)  # each pixel twice along the row
    x = ops.reshape(x, (-1, height, 2 * width * channels))
    x = ops.concatenate([x, x], axis=-1)  # each row twice
    x = ops.reshape(x, (-1, 2 * height, 2 * width, channels))
    # Padded by hand: backends differ in what a "same" mean counts at the edge.
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return ops.average_pool(x, 3, strides=1, padding="valid")


def downsample(x):
    """Half the height and width, mean of 2×2."""
    return ops.average_pool(x, 2, strides=2)  # under JAX, Keras 3.15 fails on strides left out


def mean_around(x, size: int):
    """`(N, H, W, C)` → the mean of the size×size pixels around each, of those that there are.

    What backends count in a "same" mean at the edge differs; an odd size is padded by hand here.
    """
    beside = size // 2
    padded = ops.pad(x, ((0, 0), (beside, beside), (beside, beside), (0, 0)))
    mean = ops.average_pool(padded, size, strides=1, padding="valid")
    there = [np.convolve(np.ones(n), np.ones(size))[beside : beside + n] for n in x.shape[1:3]]
    return mean / ops.cast(np.outer(*there)[:, :, None] / size**2, x.dtype)


def space_to_depth(x, block: int):
    """`(N, …, H, W, C)` → `(N, …, H/block, W/block, C·block²)`."""
    _, *between, height, width, channels = x.shape
    x = ops.reshape(x, (-1, height // block, block, width // block, block, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    size = height // block, width // block, block * block * channels
    return ops.reshape(x, (-1, *between, *size))


def depth_to_space(x, block: int):
    """The inverse of `space_to_depth`."""
    _, height, width, depth = x.shape
    channels = depth // (block * block)
    x = ops.reshape(x, (-1, height, width, block, block, channels))
    x = ops.transpose(x, (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, height * block, width * block, channels))
