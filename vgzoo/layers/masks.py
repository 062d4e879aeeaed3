"""Which pixels of a clip are known while a network learns to make the others."""

import numpy as np
from keras import ops

from vgzoo import random

KINDS = ("forecast", "interpolate", "inpaint")
_STRIDES = (2, 3, 4)  # of the frames known to one that interpolates
_SIDES = 0.25, 0.75  # of a box that is not known, as shares of the frame's


def draw(count, frames: int, height: int, width: int, *, share: float, seed: int, step, salt: int):
    """Masks for a training step: 1 where a pixel is known, `(count, frames, height, width, 1)`.

    Of a share of the clips something is known, each kind for a third of them: the frames before
    some moment; every second, third or fourth frame; or all but a box, which stands in all frames.
    Of clips of a single frame, all but a box.

    Args:
        count: how many; may be a tensor.
        frames, height, width: size of the clips.
        share: of those of which something is known.
        seed, step, salt: as for `vgzoo.random.uniform`.
    """
    number = random.uniform((count, 8), seed=seed, step=step, salt=salt)
    which, amount, phase, *box, _ = ops.split(number, 8, axis=1)
    time = np.arange(frames, dtype="float32")[None]
    moment = 1 + ops.floor(amount * (frames - 1))
    forecast = ops.less(time, moment)
    stride = _STRIDES[0] + ops.floor(amount * len(_STRIDES))
    place = time + ops.floor(phase * stride)
    interpolate = ops.less(place - stride * ops.floor(place / stride), 0.5)
    boxed = _inside(box[0], box[1], height)[:, :, None] & _inside(box[2], box[3], width)[:, None]
    inpaint = ops.logical_not(boxed)[:, None]  # (count, 1, height, width)
    # From 0 to `share` lie the three kinds, one after another, a single frame's all the third.
    kind = ops.floor(which / share * 3) if share else ops.full_like(which, 3.0)
    if frames == 1:
        kind = ops.maximum(kind, 2.0)
    known = (ops.equal(kind, 0) & forecast) | (ops.equal(kind, 1) & interpolate)
    some = ops.equal(kind, 2)[:, :, None, None] & inpaint
    return ops.cast(known[:, :, None, None] | some, "float32")[..., None]


def _inside(size, start, length: int):
    """Whether each place of an axis lies in a box: bool `(count, length)`."""
    least, most = _SIDES
    size = ops.floor((least + (most - least) * size) * length)
    start = ops.floor(start * (length - size + 1))
    places = np.arange(length, dtype="float32")[None]
    return ops.greater_equal(places, start) & ops.less(places, start + size)
