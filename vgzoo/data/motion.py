"""Moving digits: a few numbers for each clip, and one renderer that turns them into pixels.

Moving MNIST (Srivastava et al. 2015, arXiv 1502.04681) exactly as OpenSTL (Tan et al. 2023,
arXiv 2306.11249) generates it: two digits of 28 pixels on 64×64, uniform start and direction,
steps of 0.1 in a canvas of 36 pixels, clamped and turned around at its edges, whole-pixel
positions, the brighter digit on top.

Stochastic Moving MNIST exactly as SVG (Denton and Fergus 2018, arXiv 1802.07687) generates it: two
digits of 32 pixels, whole-pixel speeds of at most 4, drawn anew at an edge, so that what comes
after it cannot be known; where digits overlap they are added, up to white.

The numbers are drawn on the host, so that a clip is the same on every backend and in every batch
size; the renderer is written in `keras.ops`, so that it runs inside `tf.data` under TensorFlow and
on the device elsewhere.
"""

import functools

import numpy as np
from keras import ops
from PIL import Image

from vgzoo import random

SIDE = 64  # of a frame, in pixels
DIGIT = 28
STEP = 0.1  # of the canvas, for each frame
DRAWS = 4  # uniform numbers for a digit: which, y, x, direction

WANDERER = 32  # pixels of a digit of the stochastic kind
SPEED = 4
WANDER_DRAWS = 5  # for a digit: which, y, x and their speeds; for each frame one idle, four to turn
WANDER_ROWS = 1 << 16  # rows of numbers that a stochastic clip has: one, and one for each frame


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


def wander(table: np.ndarray) -> np.ndarray:
    """Paths of digits that take a new speed at every edge.

    Args:
        table: `(..., frames + 1, 4)` in [0, 1): y, x and their speeds at first; then for each frame
            the speed away from and along an edge of y, and along and away from one of x.

    Returns:
        int32 `(..., frames, 2)`: top and left edge in pixels, 0 … 31.
    """
    room = SIDE - WANDERER
    away, along = 1 + (SPEED * table).astype("int32"), _any_speed(table)
    y, x = np.moveaxis((room * table[..., 0, :2]).astype("int32"), -1, 0)
    dy, dx = along[..., 0, 2], along[..., 0, 3]
    path = np.empty((*table.shape[:-2], table.shape[-2] - 1, 2), "int32")
    for t in range(path.shape[-2]):
        up, side, up_after, side_after = np.moveaxis(along[..., t + 1, :], -1, 0)
        # An edge of x is looked at after one of y, and has the last word on both speeds.
        before, beyond = y < 0, y >= room
        turned = before | beyond
        dy = np.where(turned, np.where(before, 1, -1) * away[..., t + 1, 0], dy)
        dx = np.where(turned, side, dx)
        y = np.where(before, 0, np.where(beyond, room - 1, y))
        before, beyond = x < 0, x >= room
        turned = before | beyond
        dx = np.where(turned, np.where(before, 1, -1) * away[..., t + 1, 3], dx)
        dy = np.where(turned, up_after, dy)
        x = np.where(before, 0, np.where(beyond, room - 1, x))
        path[..., t, 0], path[..., t, 1] = y, x
        y, x = y + dy, x + dx
    return path


def draw_stochastic(
    bank: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    start: int,
    count: int,
    frames: int,
) -> dict[str, np.ndarray]:
    """As `draw`, but two digits of 32 pixels that wander: `"digits"` `(count, 2, 32, 32)`."""
    images, labels = bank
    rows = [
        random.uniform_rows(seed, clip * WANDER_ROWS, frames + 1, 2 * WANDER_DRAWS)
        for clip in range(start, start + count)
    ]
    table = np.stack(rows).reshape(count, frames + 1, 2, WANDER_DRAWS).transpose(0, 2, 1, 3)
    which = (table[:, :, 0, 0] * len(images)).astype("int64")  # (count, 2)
    digits = _enlarged(images[which.ravel()]).reshape(count, 2, WANDERER, WANDERER)
    return {"digits": digits, "path": wander(table[..., 1:]), "label": labels[which]}


def _any_speed(table: np.ndarray) -> np.ndarray:
    return ((2 * SPEED + 1) * table).astype("int32") - SPEED


def _enlarged(digits: np.ndarray) -> np.ndarray:
    """uint8 `(N, 28, 28, 1)` → `(N, 32, 32)`, bilinearly, as Pillow does it for SVG."""
    size = (WANDERER, WANDERER)
    resized = [Image.fromarray(d[..., 0]).resize(size, Image.Resampling.BILINEAR) for d in digits]
    return np.stack([np.asarray(picture) for picture in resized])


def render(digits, path, add: bool = False):
    """Digits on their paths.

    Args:
        digits: uint8 `(B, D, S, S)`.
        path: int32 `(B, D, T, 2)`, top and left edge, 0 … 64 - S.
        add: add overlapping digits, up to 255, instead of putting the brighter one on top.

    Returns:
        uint8 `(B, T, 64, 64, 1)`.
    """
    # Whole rows are gathered, never pixels: first the digit's columns, as rows of the transposed
    # image, then its rows. What lies outside the digit takes the black rim.
    count, rim = path.shape[1], digits.shape[-1] + 2
    columns = ops.pad(ops.transpose(digits, (0, 1, 3, 2)), ((0, 0), (0, 0), (1, 1), (1, 1)))
    columns = _take(columns, path[..., 1], rim)  # (B, D, T, 64 columns, S + 2 rows)
    rows = ops.transpose(columns, (0, 1, 2, 4, 3))
    drawn = [_take(rows[:, d], path[:, d, :, 0], rim) for d in range(count)]
    if not add:
        return functools.reduce(ops.maximum, drawn)[..., None]
    total = functools.reduce(ops.add, [ops.cast(d, "int16") for d in drawn])
    return ops.cast(ops.minimum(total, 255), "uint8")[..., None]


def _take(lines, position, rim: int):
    """Lines `(..., rim, width)` set at a position on a frame: `(*position.shape, 64, width)`."""
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
