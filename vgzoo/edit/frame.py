"""Geometry by whole rows and columns: crop, pad, resize, letterbox, flip."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value, largest, rounded
from vgzoo.edit.look import colour
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import flat, sample, size_of
from vgzoo.errors import VgzooError


def whole(owner: str, name: str, value: Any, least: int = 0) -> int:
    """A whole number, or a VgzooError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= 16384:
        raise VgzooError(f"{owner}: {name}={value!r} came; wanted a whole number from {least}")
    return value


def number(owner: str, name: str, value: Any, low: float, high: float) -> float:
    """A number within a range, or a VgzooError."""
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise VgzooError(f"{owner}: {name}={value!r} came; wanted {low:g} to {high:g}")
    return value


@register("crop")
class Crop(Formula):
    """Cuts a part out of every frame.

    Args:
        top, left: 0 to 16384, its first row and column, rounded. Where they change along the clip,
            the part moves over the frame.
        height, width: its size; None: to the end.

    Raises:
        VgzooError: as a clip comes, if the part is not inside it.
    """

    ranges = {"top": (0, 16384), "left": (0, 16384)}

    def __init__(
        self,
        top: Value = 0.0,
        left: Value = 0.0,
        height: int | None = None,
        width: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(top=top, left=left, height=height, width=width, **kwargs)
        for name in ("height", "width"):
            if getattr(self, name) is not None:
                whole("crop", name, getattr(self, name), 1)

    def _size(self, shape: Any) -> tuple[int, int]:
        high, wide = size_of("crop", shape)
        top, left = rounded(largest(self.top)), rounded(largest(self.left))
        height = high - top if self.height is None else self.height
        width = wide - left if self.width is None else self.width
        if not 0 < height <= high - top or not 0 < width <= wide - left:
            raise VgzooError(
                f"crop: rows {top} to {top + height} and columns {left} to {left + width} came; "
                f"wanted a part of {wide}x{high} pixels"
            )
        return height, width

    def edit(self, clip: Any, top: Any, left: Any) -> Any:
        height, width = self._size(clip.shape)
        if isinstance(top, float) and isinstance(left, float):
            top, left = rounded(top), rounded(left)
            return clip[:, :, top : top + height, left : left + width]
        rows, columns = (
            ops.floor(flat(ops.convert_to_tensor(start, "float32")) + 0.5) + ops.reshape(along, to)
            for start, along, to in (
                (top, ops.arange(height, dtype="float32"), (1, 1, -1, 1)),
                (left, ops.arange(width, dtype="float32"), (1, 1, 1, -1)),
            )
        )
        return sample(clip, columns, rows)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        height, width = self._size((1, *clip.shape))
        values = self.values(len(clip), when)
        tops, lefts = (np.broadcast_to(np.ravel(values[n]), len(clip)) for n in ("top", "left"))
        starts = ((rounded(top), rounded(left)) for top, left in zip(tops, lefts, strict=True))
        parts = zip(clip, starts, strict=True)
        return np.stack([frame[t : t + height, x : x + width] for frame, (t, x) in parts])


@register("pad")
class Pad(Formula):
    """Adds rows and columns.

    Args:
        top, bottom, left, right: how many.
        color: of what is added, "#rrggbb" or three numbers in [0, 1]; its luma on grey clips.
    """

    def __init__(
        self,
        top: int = 0,
        bottom: int = 0,
        left: int = 0,
        right: int = 0,
        color: Any = "#000000",
        **kwargs: Any,
    ) -> None:
        super().__init__(top=top, bottom=bottom, left=left, right=right, color=color, **kwargs)
        for name in ("top", "bottom", "left", "right"):
            whole("pad", name, getattr(self, name))
        self._fill = colour("color", color)

    def edit(self, clip: Any) -> Any:
        return padded(clip, (self.top, self.bottom), (self.left, self.right), self._fill)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        rows, columns = (self.top, self.bottom), (self.left, self.right)
        return host_padded(clip, rows, columns, self._fill)


def _channels(fill: np.ndarray, channels: int) -> np.ndarray:
    return fill if channels == 3 else np.array([fill @ [0.2126, 0.7152, 0.0722]])


def padded(clip: Any, rows: tuple[int, int], columns: tuple[int, int], fill: np.ndarray) -> Any:
    """A tensor (B, T, H, W, C) with rows and columns of one colour around it."""
    fill = _channels(fill, clip.shape[-1]).astype("float32")
    # What is added is 0 and the rest 0 above it, whatever the colour: one pad for all channels.
    edges = ((0, 0), (0, 0), rows, columns, (0, 0))
    return ops.pad(clip - fill, edges) + fill


def host_padded(
    clip: np.ndarray, rows: tuple[int, int], columns: tuple[int, int], fill: np.ndarray
) -> np.ndarray:
    """The same for uint8 (T, H, W, C)."""
    frames, height, width, channels = clip.shape
    shape = (frames, height + sum(rows), width + sum(columns), channels)
    out = np.empty(shape, "uint8")
    out[:] = np.floor(_channels(fill, channels) * 255 + 0.5)
    out[:, rows[0] : rows[0] + height, columns[0] : columns[0] + width] = clip
    return out


@register("flip")
class Flip(Formula):
    """The mirror image.

    Args:
        axis: "horizontal" swaps left and right, "vertical" up and down.
    """

    def __init__(self, axis: str = "horizontal", **kwargs: Any) -> None:
        super().__init__(axis=axis, **kwargs)
        if axis not in ("horizontal", "vertical"):
            raise VgzooError(f"flip: axis={axis!r} came; wanted horizontal or vertical")

    def edit(self, clip: Any) -> Any:
        return ops.flip(clip, 3 if self.axis == "horizontal" else 2)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        return np.flip(clip, 2 if self.axis == "horizontal" else 1)
