"""Pictures looked up between their pixels."""

from __future__ import annotations

import abc
from typing import Any

import keras
import numpy as np
from keras import ops

from vgzoo.edit.base import WHOLE, Formula, When, opencv
from vgzoo.errors import VgzooError

BORDERS = ("edge", "black", "reflect", "wrap")


def size_of(owner: str, clip: Any) -> tuple[int, int]:
    """Height and width, which have to be known before the pixels are."""
    height, width = clip.shape[2:4]
    if height is None or width is None:
        raise VgzooError(f"{owner}: the frames' size is unknown here; fix it with clip.set_shape")
    return height, width


def sample(clip: Any, x: Any, y: Any, border: str = "edge") -> Any:
    """Looks pixels up bilinearly.

    Args:
        clip: float32 (B, T, H, W, C).
        x, y: float32 (b, t, H', W'), b and t 1 or as the clip's; columns and rows.
        border: what lies beyond: the border's pixel, black, the mirror image, or the other side.

    Returns:
        float32 (B, T, H', W', C).
    """
    height, width, channels = clip.shape[2:]
    count, frames = ops.shape(clip)[0], ops.shape(clip)[1]
    left, top = ops.floor(x), ops.floor(y)
    u, v = (x - left)[..., None], (y - top)[..., None]
    picture = ops.reshape(ops.arange(count * frames, dtype="int32"), (count, frames, 1, 1))
    pixels = ops.reshape(clip, (-1, channels))

    def fetch(row: Any, column: Any) -> Any:
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row, column = _within(row, height, border), _within(column, width, border)
        found = ops.take(pixels, (picture * height + row) * width + column, axis=0)
        return ops.where(inside[..., None], found, 0.0) if border == "black" else found

    above = fetch(top, left) * (1 - u) + fetch(top, left + 1) * u
    below = fetch(top + 1, left) * (1 - u) + fetch(top + 1, left + 1) * u
    return above * (1 - v) + below * v


def _within(index: Any, size: int, border: str) -> Any:
    """Indices beyond the border, as int32 indices inside."""
    if border == "wrap":
        index = index - size * ops.floor(index / size)
    elif border == "reflect" and size > 1:
        turn = 2 * (size - 1)
        index = index - turn * ops.floor(index / turn)
        index = ops.minimum(index, turn - index)
    return ops.cast(ops.clip(index, 0, size - 1), "int32")


def projected(clip: Any, numbers: Any, border: str) -> Any:
    """`sample` at the places of a projective map, by TensorFlow's kernel for it, several times as
    fast; Keras' functions of that name for other backends take affine maps only.

    Args:
        clip: float32 (B, T, H, W, C).
        numbers: float32 (b, t, 8), b and t 1 or as the clip's: pixel (x, y) is looked up at
            ((n0 x + n1 y + n2) / w, (n3 x + n4 y + n5) / w), w = n6 x + n7 y + 1.
        border: "edge" or "black".
    """
    count, frames = ops.shape(clip)[0], ops.shape(clip)[1]
    numbers = ops.reshape(ops.broadcast_to(numbers, (count, frames, 8)), (-1, 8))
    pictures = ops.image.affine_transform(
        ops.reshape(clip, (-1, *clip.shape[2:])),
        numbers,
        fill_mode="constant" if border == "black" else "nearest",
        data_format="channels_last",
    )
    return ops.reshape(pictures, (count, frames, *clip.shape[2:]))


class Warp(Formula):
    """An edit that says, for each pixel, where in the old frame it is looked up.

    On files OpenCV looks up, which counts in 32nds of a pixel: across an edge from black to white
    that is up to 4 levels an axis beside the exact result.
    """

    border = "edge"
    affine = False  # whether `field` is linear in x and y, but for what it adds

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

    def numbers(self, size: tuple[int, int], **values: Any) -> Any:
        """The eight of `projected`, float32 (b, t, 8), if the field is projective; else None."""
        if not self.affine:
            return None
        far = np.float32([0, max(size)])
        blank = np.zeros((2, 2), "float32")
        # At the origin, far to the right, far down.
        parts = [
            part
            for place in (p + blank for p in self.field(far, far[:, None], size, **values))
            for part in (
                (place[..., 0, 1] - place[..., 0, 0]) / max(size),
                (place[..., 1, 0] - place[..., 0, 0]) / max(size),
                place[..., 0, 0],
            )
        ]
        return stacked([*parts, 0.0, 0.0])

    def _places(self, size: tuple[int, int], values: dict[str, Any]) -> tuple[Any, Any]:
        high, wide = self.new_size(*size)
        across, down = ops.arange(wide, dtype="float32"), ops.arange(high, dtype="float32")[:, None]
        x, y = self.field(across, down, size, **_flat(values))
        blank = ops.zeros((1, 1, high, wide))
        return x + blank, y + blank

    def edit(self, clip: Any, **values: Any) -> Any:
        size = size_of(self.edit_name, clip)
        kernel = keras.backend.backend() == "tensorflow" and self.border in ("edge", "black")
        if kernel and self.new_size(*size) == tuple(size):
            numbers = self.numbers(size, **_flat(values))
            if numbers is not None:
                return projected(clip, numbers, self.border)
        x, y = self._places(size, values)
        return sample(clip, x, y, self.border)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        cv2 = opencv()
        borders = (cv2.BORDER_REPLICATE, cv2.BORDER_CONSTANT, cv2.BORDER_REFLECT_101)
        border = (*borders, cv2.BORDER_WRAP)[BORDERS.index(self.border)]
        places = self._places(clip.shape[1:3], self.values(len(clip), when))
        x, y = (ops.convert_to_numpy(place)[0] for place in places)
        edited = []
        for index, frame in enumerate(clip):
            which = index if len(x) > 1 else 0
            edited.append(cv2.remap(frame, x[which], y[which], cv2.INTER_LINEAR, None, border))
        return np.stack(edited).reshape(len(clip), *x.shape[1:], clip.shape[-1])


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Values (b, t, 1, 1, 1) as (b, t, 1, 1)."""
    return {k: v[..., 0] if len(getattr(v, "shape", ())) == 5 else v for k, v in values.items()}


def stacked(parts: list) -> Any:
    """Numbers, and tensors () or (b, t), as one tensor (b, t, N)."""
    tensors = [ops.convert_to_tensor(part, "float32") for part in parts]
    tensors = [t if len(t.shape) else ops.reshape(t, (1, 1)) for t in tensors]
    blank = 0.0 * sum(tensors)  # of the shape that all are broadcast to
    return ops.stack([blank + t for t in tensors], -1)


def checked_border(owner: str, border: str) -> str:
    """A border by its name, or a VgzooError."""
    if border not in BORDERS:
        raise VgzooError(f"{owner}: border={border!r} came; wanted {', '.join(BORDERS)}")
    return border
