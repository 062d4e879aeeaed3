"""Frames fetched along optical flow.

The flow of frame t, at (x, y), is (dx, dy) in pixels: what is at (x, y) in frame t is at
(x + dx, y + dy) in frame t + 1. So looking up frame t + 1 there gives frame t again, wherever its
content is still in sight.
"""

from keras import ops

_HAIR = 1e-3  # float32 flow that ends on the border may end that far beyond, in pixels


def warp(frames, flow, kernel: str = "linear"):
    """Fetches each pixel from where the flow says that it went.

    Args:
        frames: `(N, H, W, C)` float tensor, the later frames.
        flow: `(N, H, W, 2)` tensor of the same dtype, (dx, dy) in pixels from the earlier frames.
        kernel: "linear", or "cubic" (Keys 1981, "Cubic convolution interpolation for digital image
            processing"), which blurs less and overshoots at edges.

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
    shares = _KERNELS[kernel]
    across, down = shares((x - left)[..., None]), shares((y - top)[..., None])
    left, top = ops.cast(left, "int32"), ops.cast(top, "int32")

    pixels = ops.reshape(frames, (-1, channels))
    first = ops.reshape(ops.arange(ops.shape(frames)[0], dtype="int32"), (-1, 1, 1)) * height
    columns = {i: ops.clip(left + i, 0, width - 1) for i in across}

    def line(i: int):
        row = (first + ops.clip(top + i, 0, height - 1)) * width
        return sum(
            ops.take(pixels, row + columns[j], axis=0) * share for j, share in across.items()
        )

    return sum(line(i) * share for i, share in down.items()), inside


def fetch(flat, motion, count: int, sharp: bool = False):
    """Frames `(B·K, H, W, C)` along motion `(B, H, W, K·2)`: of their shape.

    Args:
        flat: frames.
        motion: in pixels.
        count: K.
        sharp: by cubic convolution where all around is known, as the last channel says.
    """
    channels = flat.shape[-1]
    flat32, motion = ops.cast(flat, "float32"), ops.cast(each(motion, count), "float32")
    found, _ = warp(flat32, motion)
    if sharp:
        colour, known = ops.split(found, [channels - 1], axis=-1)
        sharper, share = ops.split(warp(flat32, motion, "cubic")[0], [channels - 1], axis=-1)
        # Of what is taken from farther off some may be unknown: little of the whole.
        sharper = sharper / ops.maximum(share, 0.5) - colour
        # Its gradient, which would cost most of a step, is nearly that of what is less sharp.
        colour = colour + ops.stop_gradient(ops.where(known > 0.999, sharper, 0.0))
        found = ops.concatenate([colour, known], axis=-1)
    return ops.cast(found, flat.dtype)


def each(motion, count: int):
    """`(B, H, W, K·2)` → `(B·K, H, W, 2)`."""
    _, height, width, _ = motion.shape
    motion = ops.reshape(motion, (-1, height, width, count, 2))
    return ops.reshape(ops.transpose(motion, (0, 3, 1, 2, 4)), (-1, height, width, 2))


def _linear(t):
    """How much the pixels count between which a place lies, by how far it is behind the first."""
    return {0: 1 - t, 1: t}


def _cubic(t):
    """The same of the four around it."""
    u = 1 - t
    return {
        -1: -0.5 * t * u * u,
        0: 1 + t * t * (1.5 * t - 2.5),
        1: 1 + u * u * (1.5 * u - 2.5),
        2: -0.5 * u * t * t,
    }


_KERNELS = {"linear": _linear, "cubic": _cubic}
