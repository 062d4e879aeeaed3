"""A step of Glow (Kingma and Dhariwal 2018, arXiv 1807.03039), there and back."""

import keras
import numpy as np
from keras import layers, ops


class GlowStep(layers.Layer):
    """Frames `(N, H, W, C)` ↔ frames: scale and shift, mix channels, couple halves.

    - the scale and shift of each channel are learned from the first step on, not set by a batch;
    - the 1×1 convolution is P·L·(U + s): a fixed permutation, two triangles and a diagonal, of
      which only the diagonal counts in the determinant; it begins as a random rotation;
    - half of the channels are shifted and scaled by what a network of three convolutions makes of
      the other half; it begins as the identity.

    Args:
        filters: of that network.
        seed: of the rotation.
    """

    def __init__(self, filters: int, seed: int, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.seed = filters, seed

    def build(self, shape):
        channels = shape[-1]
        self.half = channels // 2
        rotation = np.linalg.qr(np.random.default_rng(self.seed).normal(size=(channels,) * 2))[0]
        permutation, lower, upper = _lu(rotation)
        diagonal = np.diag(upper)
        self.permutation, self.signs = permutation, np.sign(diagonal).astype("float32")

        def weight(name: str, value: np.ndarray):
            constant = keras.initializers.Constant(value.astype("float32"))
            return self.add_weight(
                name=name, shape=value.shape, initializer=constant, autocast=False
            )

        self.shift = weight("shift", np.zeros(channels))
        self.log_scale = weight("log_scale", np.zeros(channels))
        self.lower, self.upper = weight("lower", lower), weight("upper", upper)
        self.log_diagonal = weight("log_diagonal", np.log(np.abs(diagonal)))
        self.below = np.tril(np.ones_like(rotation), -1).astype("float32")

        def conv(filters: int, size: int, name: str, **options):
            return layers.Conv2D(filters, size, padding="same", name=name, **options)

        self.first = conv(self.filters, 3, "first", activation="relu")
        self.second = conv(self.filters, 1, "second", activation="relu")
        self.last = conv(2 * (channels - self.half), 3, "last", kernel_initializer="zeros")
        self.first.build((*shape[:-1], self.half))
        for layer in (self.second, self.last):
            layer.build((*shape[:-1], self.filters))

    def call(self, x):
        """→ frames, and log-determinants `(N,)`."""
        places = x.shape[1] * x.shape[2]
        x = (x + self.shift) * ops.exp(self.log_scale)
        x = ops.matmul(x, ops.transpose(self._mix()))
        kept, moved = ops.split(x, [self.half], axis=-1)
        shift, log_scale = self._affine(kept)
        moved = (moved + shift) * ops.exp(log_scale)
        same = places * (ops.sum(self.log_scale) + ops.sum(self.log_diagonal))
        return ops.concatenate([kept, moved], axis=-1), same + ops.sum(log_scale, axis=(1, 2, 3))

    def invert(self, x):
        """What `call` made, back."""
        kept, moved = ops.split(x, [self.half], axis=-1)
        shift, log_scale = self._affine(kept)
        x = ops.concatenate([kept, moved * ops.exp(-log_scale) - shift], axis=-1)
        x = ops.matmul(x, ops.transpose(ops.inv(self._mix())))
        return x * ops.exp(-self.log_scale) - self.shift

    def _affine(self, kept):
        h = self.last(self.second(self.first(ops.cast(kept, self.compute_dtype))))
        shift, log_scale = ops.split(ops.cast(h, "float32"), 2, axis=-1)
        return shift, ops.log_sigmoid(log_scale + 2)

    def _mix(self):
        below = ops.add(
            ops.multiply(self.lower, self.below), np.eye(len(self.below), dtype="float32")
        )
        above = ops.multiply(self.upper, self.below.T)
        above = above + ops.diag(ops.multiply(ops.exp(self.log_diagonal), self.signs))
        return ops.matmul(self.permutation, ops.matmul(below, above))


def _lu(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix as permutation, lower triangle of unit diagonal, and upper triangle."""
    size = len(matrix)
    permutation, lower, upper = np.eye(size), np.eye(size), matrix.astype("float64").copy()
    for i in range(size):
        pivot = i + np.abs(upper[i:, i]).argmax()
        upper[[i, pivot]] = upper[[pivot, i]]
        permutation[[i, pivot]] = permutation[[pivot, i]]
        lower[[i, pivot], :i] = lower[[pivot, i], :i]
        lower[i + 1 :, i] = upper[i + 1 :, i] / upper[i, i]
        upper[i + 1 :] -= lower[i + 1 :, i : i + 1] * upper[i]
    return permutation.T.astype("float32"), lower, upper
