"""The last of a motion that is nearly known, found by least squares.

After Lucas and Kanade 1981, "An iterative image registration technique with an application to
stereo vision": where a neighbour was fetched to is nearly right, so what is left to differ is its
gradient times what is left of the motion, which is taken to be the same in a small window. There
is nothing to learn, and no gradient goes through it: what is found is added to a motion that has
its own.
"""

from keras import ops

from vgzoo.layers.fusing import fused
from vgzoo.layers.warp import fetch

_STEPS = 2
_WINDOW = 7  # pixels, of a mean that is taken twice
_LEAST = 1e-2  # squared gradient, of values in [-1, 1], below which motion is not believed
_FARTHEST = 1.0  # pixels, in each step


def registered(frame, flat, motion, offsets):
    """Motion along which neighbours fit a frame better, and each other where it is unknown.

    Args:
        frame: `(B, H, W, C)`, of which the last channel is 1 where it is known; else all are 0.
        flat: its K neighbours, `(B·K, H, W, C)`, alike.
        motion: from the frame to each of them, `(B, H, W, K·2)` in pixels.
        offsets: how many frames later each of them is, `(B, K)`; the nearer, the more it counts.

    Returns:
        The motion, float32.
    """
    frame, flat, offsets = (ops.cast(x, "float32") for x in (frame, flat, offsets))
    frame, flat, offsets = (ops.stop_gradient(x) for x in (frame, flat, offsets))
    closeness = 1 / ops.square(ops.square(offsets))[:, :, None, None, None]
    for _ in range(_STEPS):
        rest = fused(_rest, frame, flat, ops.stop_gradient(motion), closeness)
        motion = motion + ops.stop_gradient(rest)
    return motion


def _rest(frame, flat, motion, closeness):
    """What is left of the motion, `(B, H, W, K·2)`."""
    sums = _sums(frame, flat, motion, closeness)
    for _ in range(2):
        for window in ((_WINDOW, 1), (1, _WINDOW)):
            sums = ops.average_pool(sums, window, strides=1, padding="same")
    _, height, width, _ = sums.shape
    xx, xy, yy, xe, ye = ops.split(sums, 5, axis=-1)
    xx, yy = xx + _LEAST, yy + _LEAST
    rest = ops.concatenate([xy * ye - yy * xe, xy * xe - xx * ye], axis=-1)
    rest = ops.clip(rest / (xx * yy - xy * xy), -_FARTHEST, _FARTHEST)
    rest = ops.reshape(rest, (-1, closeness.shape[1], height, width, 2))
    rest = ops.transpose(rest, (0, 2, 3, 1, 4))
    return ops.reshape(rest, (-1, *motion.shape[1:]))


def _sums(frame, flat, motion, closeness):
    """Of each pixel what least squares are made of, `(B·K, H, W, 5)`."""
    _, height, width, channels = frame.shape
    count = closeness.shape[1]
    near = fetch(flat, motion, count)
    near = ops.reshape(near, (-1, count, height, width, channels))
    near, known = ops.split(near, [channels - 1], axis=-1)
    colour, there = ops.split(frame, [channels - 1], axis=-1)
    # An unknown frame is taken to look as its neighbours do in the mean.
    mean = ops.sum(closeness * near, axis=1) / (ops.sum(closeness * known, axis=1) + 1e-3)
    error = near - (colour + (1 - there) * mean)[:, None]
    across, down = gradient(near, 3), gradient(near, 2)
    products = [(across, across), (across, down), (down, down), (across, error), (down, error)]
    sums = [ops.sum(known * a * b, axis=-1, keepdims=True) for a, b in products]
    return ops.reshape(ops.concatenate(sums, axis=-1), (-1, height, width, len(sums)))


def gradient(x, axis: int):
    """Half the difference of the next and the last value along an axis, of a border its own."""
    size = x.shape[axis]
    first, rest = ops.split(x, [1], axis=axis)
    body, last = ops.split(x, [size - 1], axis=axis)
    after = ops.concatenate([rest, last], axis=axis)
    return (after - ops.concatenate([first, body], axis=axis)) / 2
