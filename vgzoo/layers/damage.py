"""What clips suffer, drawn anew for each training step: the other side of restoring them.

All of it is `keras.ops` over a few frames of each clip, so that it is done on the device, and
`vgzoo.random`, so that a step is the same on every replica. Filters are products with small
matrices, one for each axis, whose entries may differ from clip to clip.
"""

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.layers.resampling import matrix

KINDS = ("restore", "superresolve2", "superresolve4", "inpaint", "colorize", "interpolate")
LUMA = np.array([0.2126, 0.7152, 0.0722], "float32")  # BT.709
_NOISE = 50 / 255  # most, of values in [0, 1]
_BLUR = 0.3, 1.8  # deviation, pixels
_QUALITY = 10.0, 80.0  # of JPEG
_BOXES = 6  # of a mask
_SPEED = 2.0  # of a mask, pixels a frame, at most
_CASES = 4  # of a restorer's damage: noise, blur, blocks, and any of these together
_TABLES = (
    np.array(
        [
            [16, 11, 10, 16, 24, 40, 51, 61],
            [12, 12, 14, 19, 26, 58, 60, 55],
            [14, 13, 16, 24, 40, 57, 69, 56],
            [14, 17, 22, 29, 51, 87, 80, 62],
            [18, 22, 37, 56, 68, 109, 103, 77],
            [24, 35, 55, 64, 81, 104, 113, 92],
            [49, 64, 78, 87, 103, 121, 120, 101],
            [72, 92, 95, 98, 112, 100, 103, 99],
        ],
        "float32",
    ),
    np.array(
        [
            [17, 18, 24, 47, 99, 99, 99, 99],
            [18, 21, 26, 66, 99, 99, 99, 99],
            [24, 26, 56, 99, 99, 99, 99, 99],
            [47, 66, 99, 99, 99, 99, 99, 99],
            *[[99] * 8] * 4,
        ],
        "float32",
    ),
)  # ITU-T T.81, tables K.1 of luma and K.2 of chroma
TO_YCC = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)  # JFIF
_GREY = np.array([128, 0, 0], "float32")
# Blocks of 8×8 → frequencies: the cosine transform of both axes at once.
_WAVES = np.sqrt(np.where(np.arange(8) == 0, 1, 2) / 8)[:, None] * np.cos(
    np.pi / 16 * np.arange(8)[:, None] * (2 * np.arange(8) + 1)
)
_WAVES = np.kron(_WAVES, _WAVES).astype("float32")


def grey(clip):
    """`(…, 3)` in [0, 1] → its luma in all three channels."""
    return ops.repeat(ops.sum(ops.multiply(clip, LUMA), axis=-1, keepdims=True), 3, axis=-1)


def along(clip, down, across):
    """Matrices over the rows and columns of frames.

    Args:
        clip: `(B, T, H, W, C)`.
        down, across: `(H', H)` and `(W', W)`, or one for each clip, `(B, ·, ·)`.
    """
    _, frames, height, width, channels = clip.shape
    high, wide = down.shape[-2], across.shape[-2]
    down, across = (m[:, None] if len(m.shape) == 3 else m for m in (down, across))
    x = ops.matmul(down, ops.reshape(clip, (-1, frames, height, width * channels)))
    x = ops.transpose(ops.reshape(x, (-1, frames, high, width, channels)), (0, 1, 3, 2, 4))
    x = ops.matmul(across, ops.reshape(x, (-1, frames, width, high * channels)))
    return ops.transpose(ops.reshape(x, (-1, frames, wide, high, channels)), (0, 1, 3, 2, 4))


def cubic(size: int, factor: int) -> np.ndarray:
    """The matrix float32 `(factor · size, size)` of bicubic enlargement."""
    return matrix(size, factor * size, "cubic")


def coarse(clip, factor: int):
    """Clips whose pixels are means of `factor`×`factor`, enlarged again."""
    height, width = clip.shape[2:4]
    down, across = (
        cubic(n // factor, factor) @ matrix(n, n // factor, "area") for n in (height, width)
    )
    return along(clip, down, across)


def blurred(clip, deviation):
    """Gaussian blur; `deviation` `(B,)` in pixels."""
    matrices = []
    for size in clip.shape[2:4]:
        apart = np.square(np.arange(size)[:, None] - np.arange(size)).astype("float32")
        share = ops.exp(-apart / (2 * ops.square(deviation)[:, None, None]))
        matrices.append(share / ops.sum(share, axis=-1, keepdims=True))
    return along(clip, *matrices)


def blocky(clip, quality):
    """What JPEG of a quality `(B,)`, 1 to 100, leaves of frames: as libjpeg does it, in 4:2:0.

    No frame is coded, so no bit is counted.
    """
    scale = ops.where(quality < 50, 50.0 / quality, 2.0 - quality / 50.0)[:, None, None]
    sides = clip.shape[2:4]
    # Frames are filled up by their last rows and columns to whole blocks of chroma.
    whole = [np.eye(n, dtype="float32")[np.arange(-(-n // 16) * 16).clip(max=n - 1)] for n in sides]
    x = ops.round(255.0 * ops.matmul(clip, TO_YCC.T.astype("float32")))
    x = ops.subtract(x, _GREY)
    luma, chroma = ops.split(along(x, *whole), [1], axis=-1)
    half = [matrix(len(m), len(m) // 2, "area") for m in whole]
    chroma = along(chroma, *half)
    rest = np.resize(np.array([0.25, 0.5], "float32"), (chroma.shape[3], 1))  # libjpeg's rounding
    # Not `ops.add`: as many frames it would take for what the numbers are of.
    chroma = _quantised(ops.floor(chroma + ops.convert_to_tensor(rest)), _TABLES[1], scale)
    double = [matrix(len(m), 2 * len(m), "linear") for m in half]
    x = ops.concatenate([_quantised(luma, _TABLES[0], scale), along(chroma, *double)], axis=-1)
    x = along(x, *(np.eye(n, len(m), dtype="float32") for n, m in zip(sides, whole, strict=True)))
    return ops.matmul(ops.add(x, _GREY), np.linalg.inv(TO_YCC).T.astype("float32")) / 255.0


def _quantised(x, table: np.ndarray, scale):
    """Frames `(B, T, H, W, C)` of whole blocks, whose frequencies are multiples of a table's."""
    _, frames, height, width, channels = x.shape
    x = ops.reshape(x, (-1, frames, height // 8, 8, width // 8, 8, channels))
    x = ops.transpose(x, (0, 1, 2, 4, 6, 3, 5))
    x = ops.reshape(x, (-1, frames * height * width * channels // 64, 64))
    step = ops.clip(ops.floor(scale * table.reshape(64) + 0.5), 1.0, 255.0)
    x = ops.matmul(ops.round(ops.matmul(x, _WAVES.T) / step) * step, _WAVES)
    x = ops.reshape(x, (-1, frames, height // 8, width // 8, channels, 8, 8))
    return ops.reshape(
        ops.transpose(x, (0, 1, 2, 5, 3, 6, 4)), (-1, frames, height, width, channels)
    )


def holes(number, times, height: int, width: int):
    """Masks that stand or move: one box, or thin ones like strokes of writing.

    Args:
        number: uniform numbers `(B, 4 · boxes + 3)`.
        times: when each frame is, `(B, T)`.
        height, width: of a frame.

    Returns:
        `(B, T, height, width, 1)`, 1 in the hole.
    """
    style, places = ops.split(number, [3], axis=1)
    places = ops.reshape(places, (-1, _BOXES, 4))
    thin = ops.cast(style[:, :1] < 0.5, "float32")[..., None]  # (B, 1, 1)
    whole = np.arange(_BOXES).reshape(1, -1, 1) == 0
    size, start = ops.split(places, 2, axis=-1)
    flip = ops.cast(ops.less(size[..., :1], 0.5), "float32")
    flip = ops.concatenate([flip, 1 - flip], axis=-1)
    strokes = 0.03 + 0.04 * size + flip * (0.1 + 0.4 * size)
    box = ops.where(whole, 0.2 + 0.3 * size, ops.zeros_like(size))
    size = thin * strokes + (1 - thin) * box  # shares of a side
    speed = (2 * style[:, 1:] - 1) * _SPEED * ops.cast(style[:, 1:2] > 0.6, "float32")
    inside = []
    for axis, side in enumerate((height, width)):
        long = ops.round(size[..., axis] * side)[..., None]
        first = ops.floor(start[..., axis] * side - size[..., axis] * side / 2)[..., None]
        first = first + ops.round(speed[:, axis, None, None] * times[:, None])  # (B, boxes, T)
        at = np.arange(side, dtype="float32")
        first, last = first[..., None], (first + long)[..., None]
        inside.append(ops.logical_and(ops.less_equal(first, at), ops.greater(last, at)))
    both = ops.logical_and(inside[0][..., None], inside[1][..., None, :])
    return ops.cast(ops.any(both, axis=1), "float32")[..., None]


def suffer(clip, kind, times, *, seed: int, step):
    """Clips as each kind of damage leaves them.

    Args:
        clip: `(B, T, H, W, 3)` float32 in [0, 1].
        kind: int `(B,)`, of `KINDS`; "interpolate" leaves all as it is.
        times: `(B, T)`, as for `holes`.
        seed, step: as for `vgzoo.random.uniform`.

    Returns:
        The clips, and 1 where a pixel is known, `(B, T, H, W, 1)`.
    """
    rows, (height, width) = ops.shape(clip)[0], clip.shape[2:4]
    number = random.uniform((rows, 7), seed=seed, step=step, salt=10)
    mask = random.uniform((rows, 3 + 4 * _BOXES), seed=seed, step=step, salt=11)
    noise = random.normal(ops.shape(clip), seed=seed, step=step, salt=12)

    def only(which, changed, same):
        return ops.where(ops.reshape(which, (-1, 1, 1, 1, 1)), changed, same)

    case = ops.floor(_CASES * number[:, 6])

    def some(which: int):
        """Where it is the only damage, or one of several."""
        return (case == which) | ((case == _CASES - 1) & (number[:, which] < 0.5))

    worn = only(some(1), blurred(clip, _between(_BLUR, number[:, 3])), clip)
    sigma = ops.reshape(_NOISE * number[:, 4], (-1, 1, 1, 1, 1))
    worn = only(some(0), ops.clip(worn + sigma * noise, 0.0, 1.0), worn)
    worn = only(some(2), blocky(worn, _between(_QUALITY, number[:, 5])), worn)
    hole = only(
        ops.equal(kind, 3), holes(mask, times, height, width), ops.zeros_like(clip[..., :1])
    )
    made = clip
    for number_of, changed in (
        (0, worn),
        (1, coarse(clip, 2)),
        (2, coarse(clip, 4)),
        (4, grey(clip)),
    ):
        made = only(ops.equal(kind, number_of), changed, made)
    return ops.clip(made, 0.0, 1.0), 1 - hole


def _between(ends: tuple[float, float], share):
    low, high = ends
    return low + (high - low) * share
