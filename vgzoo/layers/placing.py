"""Sprites set on frames by two small matrix products, and where on them something is.

After the write attention of DRAW (Gregor et al. 2015, arXiv 1502.04623): the weights of a bilinear
interpolation along one axis are a matrix, so it runs on every backend, fast, and its gradient moves
the sprite.
"""

import numpy as np
from keras import ops


def place(sprite, path, height: int, width: int):
    """Sets sprites on empty frames, by bilinear interpolation.

    Args:
        sprite: `(B, h, w, C)`.
        path: float32 `(B, T, 3)`, as `Trajectory` gives it.
        height, width: of the frames, in the sprite's pixels.

    Returns:
        `(B, T, height, width, C)`, 0 where the sprite is not.
    """
    rows, columns, channels = sprite.shape[1:]
    scale = 2 ** path[..., 2]
    down = _hats(path[..., 0], scale, height, rows)  # (B, T, height, h)
    across = _hats(path[..., 1], scale, width, columns)  # (B, T, width, w)
    frames = path.shape[1]
    # Rows first, all frames of a clip in one product; then the columns, one for each frame.
    down = ops.cast(ops.reshape(down, (-1, frames * height, rows)), sprite.dtype)
    x = ops.matmul(down, ops.reshape(sprite, (-1, rows, columns * channels)))
    x = ops.reshape(x, (-1, frames, height, columns, channels))
    return ops.matmul(ops.cast(across, sprite.dtype)[:, :, None], x)


def set_back(frame, place_):
    """A frame as a sprite of its size sees it from where it is: the inverse of `place`.

    Args:
        frame: `(B, H, W, C)`.
        place_: float32 `(B, 3)`, one place of a path.
    """
    centre, octaves = ops.split(place_, [2], axis=-1)
    back = ops.concatenate([-centre * 2**-octaves, -octaves], axis=-1)
    return place(frame, back[:, None], *frame.shape[1:3])[:, 0]


def coordinates(x):
    """y and x of the places of `x` `(B, H, W, ·)`, -1 … 1 from edge to edge: `(B, H, W, 2)`."""
    _, rows, columns, _ = x.shape
    axes = np.linspace(-1, 1, rows), np.linspace(-1, 1, columns)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype("float32")
    return ops.zeros_like(ops.split(x, [2], axis=-1)[0]) + ops.cast(grid, x.dtype)


def attention(sprite, patch: int):
    """Where on a grid of patches a sprite is bright: `(B, H, W, C)` → `(B, places)`, of sum 1."""
    x = ops.average_pool(_mass(sprite)[..., None], patch, strides=patch)
    x = ops.reshape(x, (-1, x.shape[1] * x.shape[2]))
    return x / ops.sum(x, axis=-1, keepdims=True)


def moments(sprite):
    """Centre and spread of what is bright, y and x each, -1 … 1 from edge to edge: `(B, 4)`."""
    mass = _mass(sprite)
    total = ops.sum(mass, axis=(1, 2))[:, None]
    centres, spreads = [], []
    for axis in (1, 2):
        share = ops.sum(mass, axis=3 - axis) / total
        places = np.linspace(-1, 1, mass.shape[axis]).astype("float32")
        centre = ops.sum(ops.multiply(share, places), axis=1, keepdims=True)
        far = ops.square(ops.subtract(centre, places))
        spread = ops.sum(share * far, axis=1, keepdims=True)
        centres.append(centre)
        spreads.append(ops.sqrt(spread))
    return ops.concatenate(centres + spreads, axis=-1)


def waves(x):
    """Values and their sines and cosines, so that a network tells near values apart.

    After Tancik et al. 2020 (arXiv 2006.10739): `(B, D)` → `(B, 11·D)`.
    """
    turns = [np.pi / 2 * 2**i * x for i in range(5)]
    return ops.concatenate([x, *map(ops.sin, turns), *map(ops.cos, turns)], axis=-1)


def _mass(sprite):
    """Brightness `(B, H, W)`; never nothing at all."""
    return ops.mean(ops.relu(ops.cast(sprite, "float32")), axis=-1) + 1e-5


def _hats(centre, scale, size: int, count: int):
    """Interpolation weights `(B, T, size, count)` of `count` source pixels for `size` places."""
    places = ops.arange(size, dtype="float32") - (size - 1) / 2
    source = ops.subtract(places, size / 2 * centre[..., None])
    source = source / scale[..., None] + (count - 1) / 2
    distance = source[..., None] - ops.arange(count, dtype="float32")
    return ops.relu(1 - ops.abs(distance))
