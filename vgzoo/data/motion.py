"""Moving digits: a few numbers for each clip, and one renderer that turns them into pixels.

Moving MNIST (Srivastava et al. 2015, arXiv 1502.04681) exactly as OpenSTL (Tan et al. 2023,
arXiv 2306.11249) generates it: two digits of 28 pixels on 64×64, uniform start and direction,
steps of 0.1 in a canvas of 36 pixels, clamped and turned around at its edges, whole-pixel
positions, the brighter digit on top.

The numbers are drawn on the host, so that a clip is the same on every backend and in every batch
size; the renderer is written in `keras.ops`, so that it runs inside `tf.data` under TensorFlow and
on the device elsewhere.
"""

import functools

import numpy as np
from keras import ops

from vgzoo import random

SIDE = 64  # of a frame, in pixels
DIGIT = 28
STEP = 0.1  # of the canvas, for each frame
DRAWS = 4  # uniform numbers for a digit: which, y, x, direction


def trajectory(start: np.ndarray, direction: np.ndarray, frames: int) -> np.ndarray:
    """Paths of digits that bounce.

    Args:
        start: float `(..., 2)`, y and x in [0, 1].
        direction: float `(...)`, radians.
        frames: how many positions; the first is one step from the start.

    Returns:
        int32 `(..., frames, 2)`: top and left edge in pixels, 0 … 36.
    """
    position = start.copy()
    velocity = np.stack([np.sin(direction), np.cos(direction)], axis=-1)
    path = np.empty((*direction.shape, frames, 2), "int32")
    for t in range(frames):
        position += STEP * velocity
        outside = (position <= 0) | (position >= 1)
        position = np.clip(position, 0, 1)
        velocity = np.where(outside, -velocity, velocity)
        path[..., t, :] = (SIDE - DIGIT) * position
    return path


def draw(
    bank: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    start: int,
    count: int,
    frames: int,
    digits: int = 2,
) -> dict[str, np.ndarray]:
    """Numbers of clips `start … start + count` of an endless, seeded sequence.

    Args:
        bank: uint8 images `(N, 28, 28, 1)` and labels `(N,)`.
        seed: which sequence.
        start, count: which of its clips.
        frames: length of a clip.
        digits: digits in a clip.

    Returns:
        `"digits"` uint8 `(count, digits, 28, 28)`, `"path"` int32 `(count, digits, frames, 2)`,
        `"label"` int32 `(count, digits)`.
    """
    images, labels = bank
    table = random.uniform_rows(seed, start, count, DRAWS * digits).reshape(count, digits, DRAWS)
    which = (table[..., 0] * len(images)).astype("int64")
    path = trajectory(table[..., 1:3], 2 * np.pi * table[..., 3], frames)
    return {"digits": images[which][..., 0], "path": path, "label": labels[which]}


def render(digits, path):
    """Digits on their paths.

    Args:
        digits: uint8 `(B, D, 28, 28)`.
        path: int32 `(B, D, T, 2)`, top and left edge.

    Returns:
        uint8 `(B, T, 64, 64, 1)`.
    """
    # Whole rows are gathered, never pixels: first the digit's columns, as rows of the transposed
    # image, then its rows. What lies outside the digit takes the black rim.
    count, frames = path.shape[1:3]
    columns = ops.pad(ops.transpose(digits, (0, 1, 3, 2)), ((0, 0), (0, 0), (1, 1), (1, 1)))
    rim = DIGIT + 2
    columns = _take(columns, path[..., 1], rim)  # (B, D, T, 64 columns, 30 rows)
    rows = ops.transpose(columns, (0, 1, 2, 4, 3))
    drawn = [_take(rows[:, d], path[:, d, :, 0], rim) for d in range(count)]
    return functools.reduce(ops.maximum, drawn)[..., None]


def _take(lines, position, rim: int):
    """Lines `(..., 30, width)` set at a position on a frame: `(*position.shape, 64, width)`."""
    *outer, _, width = lines.shape
    outer[0] = ops.shape(lines)[0]
    tables = functools.reduce(lambda a, b: a * b, outer)
    # One table for each digit, or for each digit and frame: `position` has the outer axes, and
    # perhaps one more, for the frames that share a table.
    first = ops.arange(tables, dtype="int32") * rim
    first = ops.reshape(first, (*outer, *[1] * (len(position.shape) - len(outer)), 1))
    inside = ops.arange(SIDE, dtype="int32") + 1 - position[..., None]
    index = first + ops.clip(inside, 0, rim - 1)
    return ops.take(ops.reshape(lines, (-1, width)), index, axis=0)
