"""A steadier camera: its way is found from frame to frame, smoothed, and the frames moved onto it.

The way is one of shifts, by phase correlation (Kuglin and Hines 1975): turns and zooms of the
camera stay. Small frames are enough to find it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import WHOLE, Footage, When, opencv, register
from vgzoo.edit.colour import luma
from vgzoo.edit.frame import host_resized, resized, whole
from vgzoo.edit.keyframes import Value
from vgzoo.edit.sampling import Warp, size_of
from vgzoo.errors import VgzooError

_SEEN = 128  # pixels of the longer side of the frames in which shifts are sought


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

    def __init__(self, radius: int = 12, zoom: Value = 1.05, **kwargs: Any) -> None:
        whole("stabilise", "radius", radius, 1)
        if radius > 250:
            raise VgzooError(f"stabilise: radius={radius} came; wanted 1 to 250 frames")
        super().__init__(radius=radius, zoom=zoom, **kwargs)

    def field(
        self, x: Any, y: Any, size: tuple[int, int], zoom: Any, right: Any, down: Any
    ) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        return (x - middle_x) / zoom + middle_x + right, (y - middle_y) / zoom + middle_y + down

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames, (height, width) = clip.shape[1], size_of("stabilise", clip)
        if frames is None:
            raise VgzooError("stabilise: the clip's length is unknown here; fix it with set_shape")
        if frames == 1:
            return super().run(clip, when, right=0.0, down=0.0, **values)
        small = _small(height, width)
        steps = shifts(resized(luma(clip), small, "area"))
        way = ops.cumsum(steps * np.float32([width / small[1], height / small[0]]), 1)
        way = ops.concatenate([ops.zeros_like(way[:, :1]), way], 1)  # (B, T, 2)
        off = (np.eye(frames) - _smoothing(frames, self.radius)).astype("float32")
        jitter = ops.einsum("ts,bsc->btc", off, way)[:, :, None, None, None]
        return super().run(clip, when, right=jitter[..., 0], down=jitter[..., 1], **values)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        footage = Footage(len(clip), when.fps or 25.0, lambda: iter([clip]))
        return np.concatenate(list(self._steady(footage, when)))

    def stream(self, footage: Footage) -> Footage:
        return replace(footage, chunks=lambda: self._steady(footage))

    def _steady(self, footage: Footage, when: When = WHOLE) -> Iterator[np.ndarray]:
        held: deque[np.ndarray] = deque()
        way, earlier, done = [np.zeros(2)], None, 0
        for chunk in footage.chunks():
            self.check(chunk.shape, "uint8")
            earlier = self._go_on(way, earlier, chunk)
            held.extend(chunk)
            while done + self.radius < len(way) - 1:
                yield self._moved(held.popleft(), way, done, footage, when)
                done += 1
        while held:
            yield self._moved(held.popleft(), way, done, footage, when)
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
            steps = ops.convert_to_numpy(shifts(luma(clip)))[0]
            for step in steps * [width / size[1], height / size[0]]:
                way.append(way[-1] + step)
        return small[-1:]

    def _moved(
        self, frame: np.ndarray, way: list[np.ndarray], index: int, footage: Footage, when: When
    ) -> np.ndarray:
        cv2, (height, width) = opencv(), frame.shape[:2]
        around = range(max(0, index - self.radius), min(len(way), index + self.radius + 1))
        weights = [math.exp(-0.5 * ((i - index) / (self.radius / 2)) ** 2) for i in around]
        goal = np.average([way[i] for i in around], axis=0, weights=weights)
        right, down = way[index] - goal
        total = when.total or footage.frames
        value = self.values(1, When(when.start + index, total, footage.fps))["zoom"]
        zoom = float(np.ravel(value)[0])
        x, y = (width - 1) / 2 * (1 - 1 / zoom) + right, (height - 1) / 2 * (1 - 1 / zoom) + down
        matrix = np.array([[1 / zoom, 0, x], [0, 1 / zoom, y]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(
            frame, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return moved.reshape(1, *frame.shape)
