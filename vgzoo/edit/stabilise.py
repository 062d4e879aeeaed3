"""A steadier camera: its way is found from frame to frame, smoothed, and the frames moved onto it.

The way is one of shifts, turns and zooms: shifts by phase correlation (Kuglin and Hines 1975), the
rest from there by least squares. Small frames are enough to find it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import WHOLE, Footage, When, opencv
from vgzoo.edit.colour import luma
from vgzoo.edit.frame import host_resized, resized, whole
from vgzoo.edit.kernels import bordered, gaussian
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import Warp, sample, size_of
from vgzoo.errors import VgzooError

_SEEN = 128  # pixels of the longer side of the frames in which motion is sought
_LEAST = 16  # pixels of the shorter one, below which only shifts are
_STEPS = 8


_MOTION = ("right", "down", "turn", "grow")


def _scales(old: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """What motion in a small frame is in the old one."""
    return np.float32([old[1] / small[1], old[0] / small[0], 1, 1])


def _small(height: int, width: int) -> tuple[int, int]:
    scale = min(1.0, _SEEN / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shifts(grey: Any) -> Any:
    """How far the content moves from each frame to the next, to a part of a pixel.

    Args:
        grey: float32 (B, T, H, W, 1), T at least 2.

    Returns:
        float32 (B, T - 1, 2), right and down in pixels.
    """
    frames, height, width = grey.shape[1:4]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]).astype("float32")
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
    """How the content moves from each frame to the next: shifted, turned and enlarged.

    From the shifts on, a few steps of least squares on the frames' differences, of which the
    Jacobian is that of the earlier frame (Baker and Matthews 2004, "Lucas-Kanade 20 years on").
    Where those do not bring the frames closer, the shift stands.

    Args:
        grey: float32 (B, T, H, W, 1), T at least 2.

    Returns:
        float32 (B, T - 1, 4): right and down in pixels, the turn in radians, clockwise as seen,
        and the logarithm of the enlargement, the last two around the frame's middle.
    """
    frames, height, width = grey.shape[1:4]
    shift = shifts(grey)
    start = ops.concatenate([shift, ops.zeros_like(shift)], -1)
    if min(height, width) < _LEAST:
        return start
    grey = gaussian("stabilise", grey, 1.0, 3)  # so that a step reaches further
    earlier, later = grey[:, :-1], grey[:, 1:]
    x = np.arange(width, dtype="float32") - (width - 1) / 2
    y = (np.arange(height, dtype="float32") - (height - 1) / 2)[:, None]
    size = max(height, width) / 2  # turns and enlargements are sought in pixels at this distance
    around = bordered("stabilise", earlier, 1, 1, "edge")[..., 0]
    right = 0.5 * (around[:, :, 1:-1, 2:] - around[:, :, 1:-1, :-2])
    down = 0.5 * (around[:, :, 2:, 1:-1] - around[:, :, :-2, 1:-1])
    slopes = [right, down, (x * down - y * right) / size, (x * right + y * down) / size]
    window = (np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]).astype("float32")
    flat = (-1, frames - 1, height * width)
    slopes = ops.stack([ops.reshape(s * window, flat) for s in slopes], 2)  # (B, T - 1, 4, H·W)
    square = ops.matmul(slopes, ops.swapaxes(slopes, -1, -2))
    square = square + 1e-6 * (1.0 + square[..., :1, :1] + square[..., 1:2, 1:2]) * np.eye(
        4, dtype="f4"
    )

    def error(moved: Any) -> Any:
        place = _moved(x, y, *(moved[..., i, None, None] for i in range(4)))
        at = sample(later, place[0] + (width - 1) / 2, place[1] + (height - 1) / 2)
        return ops.reshape((at - earlier)[..., 0] * window, flat)

    moved = start
    for _ in range(_STEPS):
        wrong = ops.matmul(slopes, error(moved)[..., None])
        step = ops.solve(square, wrong)[..., 0] / np.float32([1, 1, size, size])
        turn, grow = moved[..., 2] - step[..., 2], moved[..., 3] - step[..., 3]
        back = _moved(step[..., 0], step[..., 1], 0.0, 0.0, turn, grow)
        moved = ops.stack([moved[..., 0] - back[0], moved[..., 1] - back[1], turn, grow], -1)
    before, after = (ops.sum(error(m) ** 2, -1, keepdims=True) for m in (start, moved))
    return ops.where(after < before, moved, start)


def _moved(x: Any, y: Any, right: Any, down: Any, turn: Any, grow: Any) -> tuple[Any, Any]:
    """Places around the middle, after a turn, an enlargement and a shift."""
    scale = ops.exp(grow)
    cos, sin = scale * ops.cos(turn), scale * ops.sin(turn)
    return cos * x - sin * y + right, sin * x + cos * y + down


def _smoothing(frames: int, radius: int) -> np.ndarray:
    """float64 (frames, frames): the weights of the way at each frame, summing to one."""
    apart = np.arange(frames)[:, None] - np.arange(frames)
    weights = np.exp(-0.5 * (apart / (radius / 2)) ** 2) * (np.abs(apart) <= radius)
    return weights / weights.sum(1, keepdims=True)


@register("stabilise")
class Stabilise(Warp):
    """Takes the shaking out of a hand-held clip.

    Args:
        radius: 1 to 250 frames before and behind over which the camera's way is smoothed.
        zoom: 1 to 2, which keeps the moved borders out of sight; beyond them the border's pixel
            is seen.
    """

    ranges = {"zoom": (1, 2)}
    affine = True

    def __init__(self, radius: int = 12, zoom: Value = 1.05, **kwargs: Any) -> None:
        whole("stabilise", "radius", radius, 1)
        if radius > 250:
            raise VgzooError(f"stabilise: radius={radius} came; wanted 1 to 250 frames")
        super().__init__(radius=radius, zoom=zoom, **kwargs)

    def field(
        self, x: Any, y: Any, size: tuple[int, int], /, zoom: Any, **jitter: Any
    ) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        x, y = _moved((x - middle_x) / zoom, (y - middle_y) / zoom, **jitter)
        return x + middle_x, y + middle_y

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames, (height, width) = clip.shape[1], size_of("stabilise", clip)
        if frames is None:
            raise VgzooError("stabilise: the clip's length is unknown here; fix it with set_shape")
        if frames == 1:
            return super().run(clip, when, **dict.fromkeys(_MOTION, 0.0), **values)
        small = _small(height, width)
        steps = motions(resized(luma(clip), small, "area"))
        way = ops.cumsum(steps * _scales((height, width), small), 1)
        way = ops.concatenate([ops.zeros_like(way[:, :1]), way], 1)  # (B, T, 4)
        off = (np.eye(frames) - _smoothing(frames, self.radius)).astype("float32")
        jitter = ops.einsum("ts,bsc->btc", off, way)[:, :, None, None, None]
        jitter = {name: jitter[..., i] for i, name in enumerate(_MOTION)}
        return super().run(clip, when, **jitter, **values)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        footage = Footage(len(clip), when.fps or 25.0, lambda: iter([clip]))
        return np.concatenate(list(self._steady(footage, when)))

    def stream(self, footage: Footage) -> Footage:
        return replace(footage, chunks=lambda: self._steady(footage))

    def _steady(self, footage: Footage, when: When = WHOLE) -> Iterator[np.ndarray]:
        held: deque[np.ndarray] = deque()
        way, earlier, done = [np.zeros(4)], None, 0
        for chunk in footage.chunks():
            self.check(chunk.shape, "uint8")
            earlier = self._go_on(way, earlier, chunk)
            held.extend(chunk)
            while done + self.radius < len(way) - 1:
                yield self._steadied(held.popleft(), way, done, footage, when)
                done += 1
        while held:
            yield self._steadied(held.popleft(), way, done, footage, when)
            done += 1

    def _go_on(
        self, way: list[np.ndarray], earlier: np.ndarray | None, chunk: np.ndarray
    ) -> np.ndarray:
        """The camera's way through a chunk, onto `way`; gives its last frame, small."""
        height, width = chunk.shape[1:3]
        size = _small(height, width)
        small = host_resized(chunk, size, "area")
        seen = small if earlier is None else np.concatenate([earlier, small])
        if len(seen) > 1:
            clip = ops.convert_to_tensor(seen[None].astype("float32") / 255)
            steps = ops.convert_to_numpy(motions(luma(clip)))[0]
            for step in steps * _scales((height, width), size):
                way.append(way[-1] + step)
        return small[-1:]

    def _steadied(
        self, frame: np.ndarray, way: list[np.ndarray], index: int, footage: Footage, when: When
    ) -> np.ndarray:
        cv2, (height, width) = opencv(), frame.shape[:2]
        around = range(max(0, index - self.radius), min(len(way), index + self.radius + 1))
        weights = [math.exp(-0.5 * ((i - index) / (self.radius / 2)) ** 2) for i in around]
        goal = np.average([way[i] for i in around], axis=0, weights=weights)
        right, down, turn, grow = way[index] - goal
        total = when.total or footage.frames
        value = self.values(1, When(when.start + index, total, footage.fps))["zoom"]
        zoom = float(np.ravel(value)[0])
        cos, sin = math.exp(grow) / zoom * np.array([math.cos(turn), math.sin(turn)])
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        linear = np.array([[cos, -sin], [sin, cos]])
        matrix = np.column_stack([linear, middle + [right, down] - linear @ middle])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(
            frame, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return moved.reshape(1, *frame.shape)
