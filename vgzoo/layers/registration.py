"""Where things that keep their shape are to the pixel, once it is known roughly.

A place that is a pixel off in every other frame makes no difference to what a clip is likely to
show, and all the difference to what is left when a thing is taken away from there. So places and
shapes are brought into agreement, in turn: a thing looks like the mean of what is seen from its
places, and is in each frame where it explains that frame best, beside the other things.
"""

import itertools

import numpy as np
from keras import ops

_REACH = 2  # pixels, each way, that a place moves in a round


def align(path, frames, size: int, *, rounds: int = 2):
    """Places from which each thing looks the same in all frames.

    Args:
        path: int `(B, K, T, 2)`, top and left edges, each at most 2 pixels off for each round.
        frames: `(B, T, H, W, 1)` in [0, 1], which show in each pixel the brightest thing there.
        size: side of a thing in pixels.

    Returns:
        int32 `(B, K, T, 2)`.
    """
    frames = ops.cast(frames, "float32")[:, None, ..., 0]
    sides = frames.shape[3:]
    room = np.array(sides, "int32") - size
    # Of equally good places the nearest one counts.
    moves = sorted(
        itertools.product(range(-_REACH, _REACH + 1), repeat=2), key=lambda move: np.hypot(*move)
    )
    moves = np.array(moves, "int32")
    path = ops.cast(path, "int32")
    for _ in range(rounds):
        lines = _lines(path, size, sides)
        looks = ops.mean(_cut(frames, *lines), axis=2, keepdims=True)
        others = _others(_set(looks, *lines))
        errors = []
        for move in moves:
            lines = _lines(_moved(path, move, room), size, sides)
            shown = ops.maximum(looks, _cut(others, *lines))
            off = ops.square(_cut(frames, *lines) - shown)
            errors.append(ops.sum(off, axis=(3, 4)))
        best = ops.argmin(ops.stack(errors), axis=0)
        path = _moved(path, ops.take(moves, best, axis=0), room)
    return path


def _moved(path, by, room):
    return ops.minimum(ops.maximum(ops.add(path, by), 0), room)


def _lines(path, size: int, sides):
    """Rows and columns of things, as matrices that select them: `(B, K, T, size, H)`, `(…, W)`."""
    at = ops.add(path[..., None, :], np.arange(size, dtype="int32")[:, None])
    return [ops.one_hot(at[..., i], side) for i, side in enumerate(sides)]


def _cut(frames, rows, columns):
    return ops.matmul(ops.matmul(rows, frames), ops.transpose(columns, (0, 1, 2, 4, 3)))


def _set(looks, rows, columns):
    return ops.matmul(ops.matmul(ops.transpose(rows, (0, 1, 2, 4, 3)), looks), columns)


def _others(shown):
    """Of frames with one thing each, `(B, K, T, H, W)`, those with all others."""
    each = ops.unstack(shown, axis=1)
    nothing = ops.zeros_like(each[0])
    return ops.stack(
        [
            ops.max(ops.stack([nothing, *each[:i], *each[i + 1 :]]), axis=0)
            for i in range(len(each))
        ],
        axis=1,
    )
