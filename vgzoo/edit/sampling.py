"""Pictures looked up between their pixels."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np
from keras import ops

from vgzoo.edit.base import Formula, opencv
from vgzoo.edit.footage import WHOLE, When
from vgzoo.errors import VgzooError
from vgzoo.layers.fusing import fused

BORDERS = ("edge", "black", "reflect", "wrap")


def size_of(owner: str, shape: Any) -> tuple[int, int]:
    """Height and width of (B, T, H, W, C), which have to be known before the pixels are."""
    height, width = shape[2:4]
    if height is None or width is None:
        raise VgzooError(f"{owner}: the frames' size is unknown here; fix it with clip.set_shape")
    return height, width


def flat(value: Any) -> Any:
    """A number, or numbers (b, t, 1, 1, 1) as (b, t, 1, 1), in the shape of places."""
    return value[..., 0] if len(getattr(value, "shape", ())) == 5 else value


def sample(clip: Any, x: Any, y: Any, border: str = "edge") -> Any:
    """Looks pixels up bilinearly.

    Args:
        clip: float32 (B, T, H, W, C).
        x, y: float32 (b, t, H', W'), b and t 1 or as the clip's; columns and rows.
        border: what lies beyond: the border's pixel, black, the mirror image, or the other side.

    Returns:
        float32 (B, T, H', W', C).
    """
    return fused(looked_up, clip, *corners(x, y, clip.shape[2:4], border), key="looked_up")


def corners(x: Any, y: Any, size: tuple[int, int], border: str) -> list[Any]:
    """The four pixels around each place: int32 indices (b, t, H', W') into a frame of that size,
    the four, then float32 weights of that shape."""
    height, width = size
    left, top = ops.floor(x), ops.floor(y)
    u, v = x - left, y - top
    indices, weights = [], []
    for row, down in ((top, 1 - v), (top + 1, v)):
        for column, across in ((left, 1 - u), (left + 1, u)):
            weight = down * across
            if border == "black":
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                weight = ops.where(inside, weight, 0.0)
            index = _within(row, height, border) * width + _within(column, width, border)
            indices.append(index)
            weights.append(weight)
    return indices + weights


def looked_up(clip: Any, *around: Any) -> Any:
    """float32 (B, T, H, W, C) at what `corners` gives."""
    height, width, channels = clip.shape[2:]
    count, frames = ops.shape(clip)[0], ops.shape(clip)[1]
    first = ops.arange(count * frames, dtype="int32") * (height * width)
    first = ops.reshape(first, (count, frames, 1, 1))
    pixels = ops.reshape(clip, (-1, channels))
    return sum(
        ops.take(pixels, first + index, axis=0) * weight[..., None]
        for index, weight in zip(around[:4], around[4:], strict=True)
    )


def box_sums(clip: Any, columns: tuple[Any, Any], rows: tuple[Any, Any]) -> Any:
    """Sums over boxes of pixels, of which the outermost count in part.

    Args:
        clip: float32 (B, T, H, W, C).
        columns: float32 (b, t, 1, W'), where boxes begin and end, 0 to W.
        rows: float32 (b, t, H', 1), the same, 0 to H.

    Returns:
        float32 (B, T, H', W', C).
    """
    # As differences of sums from the border on, which are linear within a pixel.
    height = clip.shape[2]
    clip = ops.pad(ops.cumsum(clip, 3), ((0, 0), (0, 0), (0, 0), (1, 0), (0, 0)))
    every = ops.reshape(ops.arange(height, dtype="float32"), (1, 1, -1, 1))
    clip = sample(clip, columns[1], every) - sample(clip, columns[0], every)
    every = ops.reshape(ops.arange(clip.shape[3], dtype="float32"), (1, 1, 1, -1))
    clip = ops.pad(ops.cumsum(clip, 2), ((0, 0), (0, 0), (1, 0), (0, 0), (0, 0)))
    return sample(clip, every, rows[1]) - sample(clip, every, rows[0])


def _within(index: Any, size: int, border: str) -> Any:
    """Indices beyond the border, as int32 indices inside."""
    if border == "wrap":
        index = index - size * ops.floor(index / size)
    elif border == "reflect" and size > 1:
        turn = 2 * (size - 1)
        index = index - turn * ops.floor(index / turn)
        index = ops.minimum(index, turn - index)
    return ops.cast(ops.clip(index, 0, size - 1), "int32")


class Warp(Formula):
    """An edit that says, for each pixel, where in the old frame it is looked up.

    On files OpenCV looks up, which counts in 32nds of a pixel: across an edge from black to white
    that is up to 4 levels an axis beside the exact result.
    """

    border = "edge"
    fuses = False  # but what is left when the places are worked out, once for all frames
    _kept: tuple | None = None  # the maps of the last file

    @abc.abstractmethod
    def field(self, x: Any, y: Any, size: tuple[int, int], /, **values: Any) -> tuple[Any, Any]:
        """Columns and rows of the old frame.

        Args:
            x, y: float32 (W',) and (H', 1), of the new one.
            size: the old one's height and width.
            **values: floats, or (b, t, 1, 1).
        """

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        """The new frame's height and width."""
        return height, width

    def _places(self, size: tuple[int, int], values: dict[str, Any]) -> tuple[Any, Any]:
        high, wide = self.new_size(*size)
        across, down = ops.arange(wide, dtype="float32"), ops.arange(high, dtype="float32")[:, None]
        x, y = self.field(across, down, size, **{k: flat(v) for k, v in values.items()})
        blank = ops.zeros((1, 1, high, wide))
        return x + blank, y + blank

    def edit(self, clip: Any, **values: Any) -> Any:
        x, y = self._places(size_of(self.edit_name, clip.shape), values)
        return sample(clip, x, y, self.border)

    def call(
        self, clip: Any, start: int = 0, total: int | None = None, fps: float | None = None
    ) -> Any:
        if type(self).run is not Formula.run:
            return super().call(clip, start, total, fps)
        self.check(clip.shape, keras.backend.standardize_dtype(clip.dtype))
        shape = clip.shape[-4:]
        size = size_of(self.edit_name, (None, *shape))
        places = self._places(size, self.values(shape[0], When(start, total, fps)))

        def edited(clip: Any, *around: Any) -> Any:
            return self.framed(clip, lambda x: looked_up(x, *around))

        return fused(edited, clip, *corners(*places, size, self.border), key="warped")

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        cv2 = opencv()
        borders = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101)
        border = (*borders, cv2.BORDER_WRAP)[BORDERS.index(self.border)]
        maps = self._maps(clip.shape[1:3], len(clip), when)
        maps = maps * len(clip) if len(maps) == 1 else maps
        frames = zip(clip, maps, strict=True)
        edited = [cv2.remap(frame, *m, cv2.INTER_LINEAR, None, border) for frame, m in frames]
        return np.stack(edited).reshape(len(clip), *edited[0].shape[:2], clip.shape[-1])

    def _maps(self, size: tuple[int, int], frames: int, when: When) -> list[tuple]:
        """Columns and rows, a pair for each frame, or one for all."""
        key = self.constant and (size, self.constant[1])  # not the layer: Keras would track it
        if key and self._kept and self._kept[0] == key:
            return self._kept[1]
        places = self._places(size, self.values(frames, when))
        x, y = (ops.convert_to_numpy(place)[0] for place in places)
        maps = list(zip(*np.broadcast_arrays(x, y), strict=True))
        self._kept = key, maps
        return maps


def checked_border(owner: str, border: str) -> str:
    """A border by its name, or a VgzooError."""
    if border not in BORDERS:
        raise VgzooError(f"{owner}: border={border!r} came; wanted {', '.join(BORDERS)}")
    return border
