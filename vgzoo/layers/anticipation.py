"""What two frames say of the one after them."""

import keras
from keras import layers, ops

from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import he_normal, leaky, mean_around, space_to_depth

_BLOCK = 4  # pixels that move as one
_STRICT = 2.0  # a square of a difference against a square of light


class Anticipation(keras.Model):
    """Two frames `(B, 2, H, W, C)` in [-1, 1], the last one last → `(B, places, filters)`.

    What is shown is carried on as it moved, and a convolutional network reads that and both frames.

    Args:
        patch: side of a place in pixels.
        filters, blocks: channels and residual blocks of the network.
        reach: pixels that anything moves from frame to frame, each way, at most.
    """

    def __init__(self, *, patch: int, filters: int, blocks: int, reach: int, **kwargs):
        super().__init__(**kwargs)
        self.patch, self.reach = patch, reach
        self.pixels = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=he_normal(), name="pixels"
        )
        self.blocks = [Block(filters, time=False, name=f"block_{i}") for i in range(blocks)]

    def call(self, before):
        earlier, last = ops.unstack(ops.cast((before + 1) / 2, "float32"), axis=1)
        x = ops.concatenate([carried_on(earlier, last, self.reach), last, earlier], axis=-1)
        x = self.pixels(space_to_depth(ops.cast(x, self.compute_dtype), self.patch))
        for block in self.blocks:
            x = block(x)
        return ops.reshape(leaky(x), (-1, x.shape[1] * x.shape[2], x.shape[3]))


def carried_on(earlier, last, reach: int):
    """The frame after two, if all goes on as it moved: each block as its likeliest motion says.

    A block shows what came to it by the motion along which both frames show much that is the same
    (as a video decoder may search motion by itself, Kamp and Wien 2012). Of equals the slowest.

    Args:
        earlier, last: `(B, H, W, C)`, float32 in [0, 1].
        reach: pixels from frame to frame, each way, that are searched.
    """
    _, height, width, _ = last.shape
    beyond = ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0))

    def back(frame, y: int, x: int):
        """A frame moved by y and x pixels."""
        up, left = max(-y, 0), max(-x, 0)
        frame = ops.pad(frame, ((0, 0), (max(y, 0), up), (max(x, 0), left), (0, 0)))
        return frame[:, up : up + height, left : left + width]

    ways = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    shown = best = None
    for y, x in sorted(ways, key=lambda way: way[0] ** 2 + way[1] ** 2):
        here, there = back(last, y, x), back(earlier, 2 * y, 2 * x)
        same = ops.mean(here * there - _STRICT * ops.square(here - there), axis=-1, keepdims=True)
        same = ops.average_pool(ops.pad(same, beyond), _BLOCK, strides=_BLOCK)
        same = mean_around(same, 3)
        if shown is None:
            shown, best = here, same + 1e-4  # so that noise moves nothing
            continue
        better = same > best
        best = ops.where(better, same, best)
        better = ops.repeat(ops.repeat(better, _BLOCK, axis=1), _BLOCK, axis=2)
        shown = ops.where(better[:, :height, :width], here, shown)
    return shown
