"""Colours that flicker less: the mean of what they are along the motion."""

from keras import ops

from vgzoo.layers.damage import grey
from vgzoo.layers.warp import fetch

TIMES = 3  # that it is done: each draws on the frames that the last one drew on
_ALIKE = 0.05  # difference of grey, of 1, up to which two pixels are taken for the same thing


def steadied(frame, near):
    """A frame with the mean of its colours and of those that lie there in others.

    Its grey stays as it is.

    Args:
        frame: `(B, H, W, 4 + K·2)`: colour in [0, 1], 1 where it is known, and its neighbours'
            motion in pixels.
        near: its K neighbours, `(B, K, H, W, 4)`.

    Returns:
        `(B, H, W, 3)`.
    """
    colour, _, motion = ops.split(frame, [3, 4], axis=-1)
    luma = grey(colour)
    found = fetch(ops.reshape(near, (-1, *near.shape[2:])), motion, near.shape[1])
    found, there = ops.split(ops.reshape(found, (-1, *near.shape[1:])), [3], axis=-1)
    lumas = grey(found)
    apart = ops.mean(ops.square(lumas - luma[:, None]), axis=-1, keepdims=True)
    share = there * ops.exp(-apart / (2 * _ALIKE**2))
    total = colour - luma + ops.sum(share * (found - lumas), axis=1)
    return luma + total / (1 + ops.sum(share, axis=1))
