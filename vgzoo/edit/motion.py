"""How the camera moves from each frame to the next: shift, turn and growth of the picture.

The same four numbers are found in two ways. On tensors, phase correlation (C. Kuglin and D. Hines,
"The phase correlation image alignment method", 1975) gives the shift, and from there brightness is
aligned in Gauss-Newton steps (S. Baker and I. Matthews, "Lucas-Kanade 20 years on", 2004), in which
pixels that fit badly count less. On files OpenCV follows corners, and of their ways those count
that agree on one motion (RANSAC). Where no motion is found, as at a cut, the camera stands still.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import opencv
from vgzoo.edit.kernels import bordered, gaussian, shifted
from vgzoo.edit.sampling import sample

_STEPS = 8  # of Gauss-Newton
_DOUBTED = 0.5  # of the usual misfit, from which a pixel counts half
_ALIKE = 0.35  # correlation of the slopes of two aligned frames, below which they show no one scene
_CORNERS = 300
_AGREE = 0.4  # share of the corners that have to move as one


def shifts(grey: Any) -> Any:
    """How far the content moves from each frame to the next, to a part of a pixel.

    Args:
        grey: float32 (B, T, H, W, 1), T at least 2.

    Returns:
        float32 (B, T - 1, 2), right and down in pixels.
    """
    frames, height, width = grey.shape[1:4]
    window = _window(height, width)
    pictures = grey[..., 0] - ops.mean(grey[..., 0], (2, 3), keepdims=True)
    pictures = pictures * window
    real, imaginary = ops.fft2((pictures, ops.zeros_like(pictures)))
    a, b = real[:, :-1], imaginary[:, :-1]
    c, d = real[:, 1:], imaginary[:, 1:]
    cross = a * c + b * d, a * d - b * c  # the later one times the earlier one's conjugate
    size = ops.sqrt(cross[0] ** 2 + cross[1] ** 2) + 1e-6
    peak, _ = ops.ifft2((cross[0] / size, cross[1] / size))
    flat = ops.reshape(peak, (-1, height * width))
    best = ops.cast(ops.argmax(flat, -1), "int32")
    row, column = best // width, best % width

    def at(down: int, right: int) -> Any:
        place = (row + down) % height * width + (column + right) % width
        return ops.take_along_axis(flat, place[:, None], axis=1)[:, 0]

    middle = at(0, 0)

    def part(before: Any, behind: Any) -> Any:
        """Where between its neighbours a parabola through the peak is highest."""
        bend = before - 2.0 * middle + behind
        return ops.clip(0.5 * (before - behind) / ops.minimum(bend, -1e-9), -0.5, 0.5)

    x = ops.cast(column, "float32") + part(at(0, -1), at(0, 1))
    y = ops.cast(row, "float32") + part(at(-1, 0), at(1, 0))
    x = ops.where(x > width / 2, x - width, x)
    y = ops.where(y > height / 2, y - height, y)
    return ops.reshape(ops.stack([x, y], -1), (-1, frames - 1, 2))


def motions(grey: Any) -> Any:
    """How the content moves from each frame to the next: a similarity about the frame's middle.

    Args:
        grey: float32 (B, T, H, W, 1), T at least 2.

    Returns:
        float32 (B, T - 1, 4): right and down in pixels, the turn clockwise in radians, and the
        logarithm of the growth. Zeros where two frames show no one scene.
    """
    grey = gaussian("stabilise", grey, 1.0, min(3, *(size - 1 for size in grey.shape[2:4])))
    first, then = grey[:, :-1], grey[:, 1:]
    pairs, (height, width) = ops.shape(first)[:2], grey.shape[2:4]
    y, x = (
        ops.convert_to_tensor(axis.astype("float32"))
        for axis in np.mgrid[:height, :width] - np.array([height - 1, width - 1])[:, None, None] / 2
    )
    slopes = _slopes(first)
    slope_x, slope_y = slopes[..., 0], slopes[..., 1]
    # What a small shift right and down, turn and growth would change: (B, T - 1, H, W, 4)
    change = ops.stack([slope_x, slope_y, slope_y * x - slope_x * y, slope_x * x + slope_y * y], -1)
    found = ops.concatenate([shifts(grey), ops.zeros((*pairs, 2))], -1)
    window = _window(height, width)
    ridge = 1e-6 * np.eye(4, dtype="float32")  # an even picture has no motion, and no inverse
    for _ in range(_STEPS):
        aligned, seen = _followed(then, found, x, y)
        apart = (aligned - first)[..., 0]
        seen = seen * window
        usual = ops.sum(ops.abs(apart) * seen, (2, 3)) / (ops.sum(seen, (2, 3)) + 1e-6) + 1e-3
        weight = seen / (1.0 + (apart / (_DOUBTED * usual[..., None, None])) ** 2)
        weighted = change * weight[..., None]
        normal = ops.einsum("bthwi,bthwj->btij", weighted, change) + ridge
        side = ops.einsum("bthwi,bthw->bti", weighted, apart)
        found = _without(found, ops.solve(normal, side[..., None])[..., 0])
    aligned, seen = _followed(then, found, x, y)
    alike = _correlation(slopes, _slopes(aligned), (seen * window)[..., None])
    enough = _ALIKE + 8 / (height * width) ** 0.5  # small pictures are alike by chance
    return ops.where(alike[..., None] > enough, found, 0.0)


def _slopes(grey: Any) -> Any:
    """(B, T, H, W, 1) to (B, T, H, W, 2): how it rises to the right and down, by central
    differences."""
    around = bordered("stabilise", grey, 1, 1, "edge")
    right = shifted(around, 1, 1, 0, 1) - shifted(around, 1, 1, 0, -1)
    down = shifted(around, 1, 1, 1, 0) - shifted(around, 1, 1, -1, 0)
    return ops.concatenate([right, down], -1) / 2


def _window(height: int, width: int) -> np.ndarray:
    """The middle counts for more: what leaves the frame at its borders has no place to go to."""
    down, across = np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1]
    return (down[:, None] * across).astype("float32")


def similar(motion: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Points around the middle, moved by (…, 4) as in `motions`."""
    right, down, turn, growth = (motion[..., i, None, None] for i in range(4))
    cos, sin = ops.exp(growth) * ops.cos(turn), ops.exp(growth) * ops.sin(turn)
    return cos * x - sin * y + right, sin * x + cos * y + down


def _followed(then: Any, motion: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """The later frames as the earlier ones saw them, and 1 where they did."""
    height, width = then.shape[2:4]
    x, y = similar(motion, x, y)
    x, y = x + (width - 1) / 2, y + (height - 1) / 2
    seen = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return sample(then, x, y), ops.cast(seen, "float32")


def _without(motion: Any, step: Any) -> Any:
    """A motion after the inverse of a small one, held to what a camera may do between frames."""
    turn = ops.clip(motion[..., 2:3] - step[..., 2:3], -0.5, 0.5)
    growth = ops.clip(motion[..., 3:4] - step[..., 3:4], -0.5, 0.5)
    linear = ops.concatenate([ops.zeros_like(step[..., :2]), turn, growth], -1)
    x, y = similar(linear, step[..., 0, None, None], step[..., 1, None, None])
    back = ops.concatenate([x[..., 0], y[..., 0]], -1)
    return ops.concatenate([motion[..., :2] - back, turn, growth], -1)


def _correlation(first: Any, second: Any, weight: Any) -> Any:
    """Of the slopes of pairs of frames (B, T, H, W, 2): float32 (B, T), -1 to 1.

    Of slopes, as any two pictures may have light and shade in the same places.
    """
    both, one, other = (
        ops.sum(product * weight, (2, 3, 4))
        for product in (first * second, first * first, second * second)
    )
    return both / ops.sqrt(one * other + 1e-12)


def followed_corners(first: np.ndarray, then: np.ndarray) -> np.ndarray:
    """The motion from one frame to the next, as in `motions`, by the ways of corners.

    Args:
        first, then: uint8 (H, W).

    Returns:
        float64 (4,).
    """
    cv2, still = opencv(), np.zeros(4)
    corners = cv2.goodFeaturesToTrack(first, _CORNERS, 0.01, 5)
    if corners is None or len(corners) < 6:
        return still
    ends, come, _ = cv2.calcOpticalFlowPyrLK(first, then, corners, None)
    returned, back, _ = cv2.calcOpticalFlowPyrLK(then, first, ends, None)
    # A corner that is followed back to another place was lost on its way.
    kept = (come & back).astype(bool)[:, 0]
    kept &= np.abs(returned - corners).reshape(-1, 2).max(1) < 0.5
    if kept.sum() < max(6, _AGREE * len(corners)):
        return still
    middle = (np.array(first.shape[::-1]) - 1) / 2
    starts, ends = (points.reshape(-1, 2)[kept] - middle for points in (corners, ends))
    matrix, agree = cv2.estimateAffinePartial2D(starts, ends, ransacReprojThreshold=1.5)
    if matrix is None or agree.sum() < max(6, _AGREE * len(corners)):
        return still
    cos, sin = matrix[0, 0], matrix[1, 0]
    return np.array([*matrix[:, 2], np.arctan2(sin, cos), np.log(np.hypot(cos, sin))])
