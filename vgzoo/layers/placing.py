"""Sprites set on frames by two small matrix products.

After the write attention of DRAW (Gregor et al. 2015, arXiv 1502.04623): the weights of a bilinear
interpolation along one axis are a matrix, so it runs on every backend, fast, and its gradient moves
the sprite.
"""

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


def _hats(centre, scale, size: int, count: int):
    """Interpolation weights `(B, T, size, count)` of `count` source pixels for `size` places."""
    places = ops.arange(size, dtype="float32") - (size - 1) / 2 - size / 2 * centre[..., None]
    source = places / scale[..., None] + (count - 1) / 2
    distance = source[..., None] - ops.arange(count, dtype="float32")
    return ops.relu(1 - ops.abs(distance))
