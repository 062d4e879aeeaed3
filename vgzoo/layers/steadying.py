"""Colours that flicker less: the mean of what they are along the motion, and nearby.

What is steadied is the ratio of colours to grey, not their difference: where a thing gets brighter
its colours do so alike.
"""

from keras import ops

from vgzoo.layers.damage import grey
from vgzoo.layers.fusing import fused
from vgzoo.layers.warp import fetch

TIMES = 5  # that it is done: each draws on the frames that the last one drew on
_ALIKE = 0.05  # difference of grey, of 1, up to which two pixels are taken for the same thing
_NEARBY = 0.15  # the same of two that are side by side
_ROUNDS = 5  # of means of what is side by side
_DARK = 0.02  # grey, of 1, below which colours are not believed


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
    return fused(_steadied, frame, near)


def _steadied(frame, near):
    colour, _, motion = ops.split(frame, [3, 4], axis=-1)
    luma = grey(colour)
    found = fetch(ops.reshape(near, (-1, *near.shape[2:])), motion, near.shape[1])
    found, there = ops.split(ops.reshape(found, (-1, *near.shape[1:])), [3], axis=-1)
    lumas = grey(found)
    apart = ops.mean(ops.square(lumas - luma[:, None]), axis=-1, keepdims=True)
    share = there * ops.exp(-apart / (2 * _ALIKE**2))
    hues = (found + _DARK) / (lumas + _DARK)
    hue = (colour + _DARK) / (luma + _DARK) + ops.sum(share * hues, axis=1)
    hue = _smooth(hue / (1 + ops.sum(share, axis=1)), luma[..., :1])
    return (luma + _DARK) * hue - _DARK


def _smooth(hue, luma):
    """Means of 3×3 pixels that are alike in grey (Tomasi and Manduchi 1998, "Bilateral filtering
    for gray and color images"), again and again."""
    height, width = luma.shape[1:3]
    around = ((0, 0), (1, 1), (1, 1), (0, 0))
    places = [(i, j) for i in range(3) for j in range(3)]

    def shifted(x):
        x = ops.pad(x, around)
        return [x[:, i : i + height, j : j + width] for i, j in places]

    inside = shifted(ops.ones_like(luma))
    shares = [
        there * ops.exp(ops.square(other - luma) / (-2 * _NEARBY**2))
        for there, other in zip(inside, shifted(luma), strict=True)
    ]
    total = sum(shares)
    for _ in range(_ROUNDS):
        hue = sum(share * x for share, x in zip(shares, shifted(hue), strict=True)) / total
    return hue
