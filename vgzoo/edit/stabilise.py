"""A steadier camera: its way is found, smoothed, and the frames are moved onto it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import opencv
from vgzoo.edit.colour import luma
from vgzoo.edit.footage import WHOLE, Footage, When
from vgzoo.edit.frame import whole
from vgzoo.edit.keyframes import Value
from vgzoo.edit.motion import followed_corners, motions, similar
from vgzoo.edit.registry import register
from vgzoo.edit.resizing import host_resized, resized
from vgzoo.edit.sampling import Warp, size_of
from vgzoo.errors import VgzooError

# Pixels of the longer side of the frames in which motions are sought.
_SEEN_BY_TENSORS = 128
_SEEN_BY_OPENCV = 480


def _small(height: int, width: int, longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _smoothing(frames: int, radius: int) -> np.ndarray:
    """float64 (frames, frames): the weights of the way at each frame, summing to one."""
    apart = np.arange(frames)[:, None] - np.arange(frames)
    weights = np.exp(-0.5 * (apart / (radius / 2)) ** 2) * (np.abs(apart) <= radius)
    return weights / weights.sum(1, keepdims=True)


@register("stabilise")
class Stabilise(Warp):
    """Takes the shaking out of a hand-held clip: shifts, turns around the axis of the lens, and
    growth, as a step forwards or a zoom gives it.

    The way of the camera is the sum of the motions from frame to frame. Files find these by up to
    300 corners in frames of 480 pixels, and what moves by itself does not count; tensors by the
    brightness of frames of 128 pixels, and there it counts less than the rest, but pulls. Where
    nothing else moves the two agree to about a tenth of such a pixel. Across a cut nothing moves.

    Args:
        radius: 1 to 250 frames before and behind over which the camera's way is smoothed.
        zoom: 1 to 2, which keeps the moved borders out of sight; beyond them the border's pixel
            is seen.

    Raises:
        VgzooError: a value out of its range, or a clip of unknown length.
    """

    ranges = {"zoom": (1, 2)}
    fuses = False

    def __init__(self, radius: int = 12, zoom: Value = 1.05, **kwargs: Any) -> None:
        whole("stabilise", "radius", radius, 1)
        if radius > 250:
            raise VgzooError(f"stabilise: radius={radius} came; wanted 1 to 250 frames")
        super().__init__(radius=radius, zoom=zoom, **kwargs)

    def field(
        self, x: Any, y: Any, size: tuple[int, int], /, zoom: Any, jitter: Any
    ) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        x, y = similar(jitter, (x - middle_x) / zoom, (y - middle_y) / zoom)
        return x + middle_x, y + middle_y

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames, (height, width) = clip.shape[1], size_of("stabilise", clip.shape)
        if frames is None:
            raise VgzooError("stabilise: the clip's length is unknown here; fix it with set_shape")
        if frames == 1:
            return super().run(clip, when, jitter=ops.zeros((1, 1, 4)), **values)
        small = _small(height, width, _SEEN_BY_TENSORS)
        steps = motions(resized(luma(clip), small, "area"))
        way = ops.cumsum(steps * _enlarged((height, width), small), 1)
        way = ops.concatenate([ops.zeros_like(way[:, :1]), way], 1)  # (B, T, 4)
        off = (np.eye(frames) - _smoothing(frames, self.radius)).astype("float32")
        return super().run(clip, when, jitter=ops.einsum("ts,bsc->btc", off, way), **values)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        footage = Footage(len(clip), when.fps or 25.0, lambda: iter([clip]))
        return np.concatenate(list(self._steady(footage, when)))

    def stream(self, footage: Footage) -> Footage:
        return replace(footage, chunks=lambda: self._steady(footage))

    def _steady(self, footage: Footage, when: When = WHOLE) -> Iterator[np.ndarray]:
        held: deque[np.ndarray] = deque()
        way: deque[np.ndarray] = deque()  # from frame `begin` on, as far as it is still needed
        earlier, begin, done = None, 0, 0

        def steady() -> np.ndarray:
            nonlocal begin, done
            while begin < done - self.radius:
                way.popleft()
                begin += 1
            goal = self._goal(way, begin, done)
            moved = self._moved(held.popleft(), way[done - begin] - goal, done, footage, when)
            done += 1
            return moved

        for chunk in footage.chunks():
            self.check(chunk.shape, "uint8")
            size = _small(*chunk.shape[1:3], _SEEN_BY_OPENCV)
            for frame, small in zip(chunk, host_resized(chunk, size, "area"), strict=True):
                grey = np.floor(luma(small.astype("float32"))[..., 0] + 0.5).astype("uint8")
                if earlier is None:
                    way.append(np.zeros(4))
                else:
                    step = followed_corners(earlier, grey)
                    way.append(way[-1] + step * _enlarged(chunk.shape[1:3], size))
                earlier = grey
                held.append(frame)
                if len(held) > self.radius:
                    yield steady()
        while held:
            yield steady()

    def _goal(self, way: deque[np.ndarray], begin: int, index: int) -> np.ndarray:
        """Where the smoothed way is at frame `index`."""
        around = range(begin, min(begin + len(way), index + self.radius + 1))
        weights = [math.exp(-0.5 * ((i - index) / (self.radius / 2)) ** 2) for i in around]
        return np.average([way[i - begin] for i in around], axis=0, weights=weights)

    def _moved(
        self, frame: np.ndarray, jitter: np.ndarray, index: int, footage: Footage, when: When
    ) -> np.ndarray:
        cv2, (height, width) = opencv(), frame.shape[:2]
        total = when.total or footage.frames
        value = self.values(1, When(when.start + index, total, footage.fps))["zoom"]
        right, down, turn, growth = jitter
        scale = math.exp(growth) / float(np.ravel(value)[0])
        linear = scale * np.array(
            [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
        )
        middle = np.array([width - 1, height - 1]) / 2
        matrix = np.column_stack([linear, middle - linear @ middle + [right, down]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(
            frame, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return moved.reshape(1, *frame.shape)


def _enlarged(size: tuple[int, int], small: tuple[int, int]) -> np.ndarray:
    """What a motion in small frames is times, to be one in the frames themselves."""
    return np.array([size[1] / small[1], size[0] / small[0], 1, 1], "float32")
