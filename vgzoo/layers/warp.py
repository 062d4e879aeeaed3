"""Frames fetched along optical flow.

The flow of frame t, at (x, y), is (dx, dy) in pixels: what is at (x, y) in frame t is at
(x + dx, y + dy) in frame t + 1. So looking up frame t + 1 there gives frame t again, wherever its
content is still in sight.
"""

from keras import ops

_HAIR = 1e-3  # float32 flow that ends on the border may end that far beyond, in pixels


def warp(frames, flow):
    """Fetches each pixel from where the flow says that it went, bilinearly.

    Args:
        frames: `(N, H, W, C)` float tensor, the later frames.
        flow: `(N, H, W, 2)` tensor of the same dtype, (dx, dy) in pixels from the earlier frames.

    Returns:
        The earlier frames as seen in the later ones, `(N, H, W, C)`; beyond the border the
        border's pixel is taken. And whether that was inside the frame, bool `(N, H, W)`.
    """
    height, width, channels = frames.shape[1:]
    x = flow[..., 0] + ops.arange(width, dtype=flow.dtype)
    y = flow[..., 1] + ops.arange(height, dtype=flow.dtype)[:, None]
    inside = (x >= -_HAIR) & (x <= width - 1 + _HAIR) & (y >= -_HAIR) & (y <= height - 1 + _HAIR)
    x, y = ops.clip(x, 0, width - 1), ops.clip(y, 0, height - 1)
    left, top = ops.floor(x), ops.floor(y)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")
    right, bottom = ops.minimum(left + 1, width - 1), ops.minimum(top + 1, height - 1)

    pixels = ops.reshape(frames, (-1, channels))
    first = ops.reshape(ops.arange(ops.shape(frames)[0], dtype="int32"), (-1, 1, 1))

    def fetch(row, column):
        return ops.take(pixels, (first * height + row) * width + column, axis=0)  # (N, H, W, C)

    upper = fetch(top, left) * (1 - right_share) + fetch(top, right) * right_share
    lower = fetch(bottom, left) * (1 - right_share) + fetch(bottom, right) * right_share
    return upper * (1 - bottom_share) + lower * bottom_share, inside
