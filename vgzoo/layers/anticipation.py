"""What a few frames say of the one after them: what may be shown, where, and how it moved so far.

What video shows it mostly showed before, a few pixels away. So for each patch of a frame all that
the frame before shows within reach is laid out (as motion compensation in video codecs has it), and
how far each of these shifts is from what came is kept: a cost volume, as in networks for optical
flow (Sun et al. 2018, "PWC-Net", arXiv 1709.02371).
"""

import math

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import he_normal, leaky, space_to_depth

_AROUND = ((3, 2.0), (7, 1.0))  # patches across, and nats for each that does not match


def ways(reach: int) -> list[tuple[int, int]]:
    """All shifts, down and right in pixels, of at most `reach` each way."""
    steps = range(-reach, reach + 1)
    return [(y, x) for y in steps for x in steps]


def shifts(frame, patch: int, reach: int):
    """Each patch as it is if the frame moves: `(B, H, W, C)` → `(B, places, C·patch², ways)`.

    Of levels, float in and uint8 out: there are many. Places and values are ordered as by
    `space_to_depth`, ways as by `ways`. What comes in from beyond the edge is 0.
    """
    channels = frame.shape[-1]
    wide = patch + 2 * reach
    frame = ops.pad(frame, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    around = ops.image.extract_patches(frame, wide, strides=patch, data_format="channels_last")
    index = np.arange(wide * wide * channels).reshape(wide, wide, channels)
    index = np.stack(
        [
            index[reach - y : reach - y + patch, reach - x : reach - x + patch].ravel()
            for y, x in ways(reach)
        ],
        axis=-1,
    )
    places = around.shape[1] * around.shape[2]
    around = ops.cast(ops.reshape(around, (-1, around.shape[3])), "uint8")
    return ops.reshape(ops.take(around, index, axis=-1), (-1, places, *index.shape))


def mismatch(tokens, shown):
    """Share of a patch's values that are not as shifted: `(B, N, D)` → `(B, N, ways)`.

    Args:
        tokens: levels of the frame's patches.
        shown: as `shifts` gives it of the levels of the frame before, `(B, N, D, ways)`.
    """
    other = ops.not_equal(ops.cast(tokens, shown.dtype)[..., None], shown)
    return ops.mean(ops.cast(other, "float32"), axis=-2)


def steady(moved, columns: int):
    """How likely each way is of each patch, if what is around it goes on as it moved last.

    The pixels at whole places of what moves on steadily alternate between two ways an axis, so the
    ways beside the one seen last are likely too.

    Args:
        moved: mismatches of the last pair of frames, `(B, N, ways)`.
        columns: patches of a row of the frame.

    Returns:
        float32 of the same shape; the sum over ways is 1 or, next to the farthest, less.
    """
    _, count, number = moved.shape
    x = ops.reshape(ops.cast(moved, "float32"), (-1, count // columns, columns, number))
    against = 0.0
    for side, weight in _AROUND:
        edge = side // 2
        wide = ops.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        around = ops.average_pool(wide, side, strides=1, data_format="channels_last")
        against = against + weight * side**2 * around
    last = ops.reshape(ops.softmax(-against, axis=-1), (-1, count, number))
    return ops.matmul(last, _beside(math.isqrt(number)))


def _beside(side: int) -> np.ndarray:
    """From each of `side²` ways to those beside it: a binomial filter of 3×3 as a matrix."""
    away = np.abs(np.arange(side)[:, None] - np.arange(side))
    line = np.where(away < 2, 0.5 - 0.25 * away, 0.0)
    return np.kron(line, line).astype("float32")


class Anticipation(keras.Model):
    """Frames, and how each moved from the one before, → features `(B, places, filters)`.

    Args:
        patch: side of a place in pixels.
        filters, blocks: channels and residual blocks of the network.
    """

    def __init__(self, *, patch: int, filters: int, blocks: int, **kwargs):
        super().__init__(**kwargs)
        self.patch = patch
        self.pixels = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=he_normal(), name="pixels"
        )
        self.blocks = [Block(filters, time=False, name=f"block_{i}") for i in range(blocks)]

    def call(self, frames, moved):
        """Of levels `(B, past, H, W, C)`, 0 … 255, and mismatches `(B, past - 1, N, ways)`."""
        _, past, height, width, channels = frames.shape
        rows, columns = height // self.patch, width // self.patch
        x = ops.transpose(ops.cast(frames / 127.5 - 1, self.compute_dtype), (0, 2, 3, 1, 4))
        x = space_to_depth(ops.reshape(x, (-1, height, width, past * channels)), self.patch)
        moved = ops.transpose(ops.cast(moved, x.dtype), (0, 2, 1, 3))
        moved = ops.reshape(moved, (-1, rows, columns, moved.shape[2] * moved.shape[3]))
        x = self.pixels(ops.concatenate([x, moved], axis=-1))
        for block in self.blocks:
            x = block(x)
        return ops.reshape(leaky(x), (-1, rows * columns, x.shape[3]))
