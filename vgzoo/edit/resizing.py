"""Geometry by another number of pixels: resize, letterbox."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula, opencv
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.frame import host_padded, padded, whole
from vgzoo.edit.look import colour
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import sample, size_of
from vgzoo.errors import VgzooError
from vgzoo.layers.resampling import matrix

_METHODS = ("auto", "nearest", "linear", "cubic", "area")


def _method(method: str, old: tuple[int, int], new: tuple[int, int]) -> str:
    if method != "auto":
        return method
    return "area" if new[0] <= old[0] and new[1] <= old[1] else "cubic"


def weights(
    old: tuple[int, int], new: tuple[int, int], method: str = "auto"
) -> tuple[np.ndarray, np.ndarray]:
    """The matrices float32 (new, old) that frames are resized by, down and across."""
    method = _method(method, old, new)
    down, across = (matrix(n, m, method) for n, m in zip(old, new, strict=True))
    return down, across


def resized(clip: Any, size: tuple[int, int], method: str) -> Any:
    """A tensor (B, T, H, W, C) at another size: looked up for bilinear, else by two matrices."""
    height, width, channels = clip.shape[2:]
    method = _method(method, (height, width), size)
    if (height, width) == tuple(size):
        return clip
    if method == "linear":
        y, x = (
            (np.arange(new) + 0.5) * (old / new) - 0.5
            for old, new in zip((height, width), size, strict=True)
        )
        x, y = x.astype("float32")[None, None, None], y.astype("float32")[None, None, :, None]
        return sample(clip, ops.convert_to_tensor(x), ops.convert_to_tensor(y))
    down, across = weights((height, width), size, method)
    flat = ops.matmul(down, ops.reshape(clip, (-1, height, width * channels)))
    flat = ops.reshape(flat, (-1, size[0], width, channels))
    flat = ops.einsum("pw,nowc->nopc", across, flat)
    return ops.reshape(flat, (ops.shape(clip)[0], ops.shape(clip)[1], *size, channels))


def host_resized(clip: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """The same for uint8 (T, H, W, C), by OpenCV."""
    cv2 = opencv()
    flags = dict(nearest=cv2.INTER_NEAREST, linear=cv2.INTER_LINEAR, cubic=cv2.INTER_CUBIC)
    flag = flags.get(_method(method, clip.shape[1:3], size), cv2.INTER_AREA)
    frames = [cv2.resize(frame, size[::-1], interpolation=flag) for frame in clip]
    return np.stack(frames).reshape(len(clip), *size, clip.shape[-1])


@register("resize")
class Resize(Formula):
    """Another size.

    Args:
        height, width: the new size; one alone keeps the aspect.
        method: "nearest", "linear", "cubic", "area" (means over what a pixel covers), or "auto":
            "area" where the frame shrinks, else "cubic".
    """

    def __init__(
        self,
        height: int | None = None,
        width: int | None = None,
        method: str = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(height=height, width=width, method=method, **kwargs)
        if height is None and width is None:
            raise VgzooError("resize: neither height nor width came; give one or both")
        for name in ("height", "width"):
            if getattr(self, name) is not None:
                whole("resize", name, getattr(self, name), 1)
        if method not in _METHODS:
            raise VgzooError(f"resize: method={method!r} came; wanted {', '.join(_METHODS)}")
        self.fuses = method == "linear"  # the others multiply matrices

    def _size(self, height: int, width: int) -> tuple[int, int]:
        high = self.height or max(1, round(height * self.width / width))
        return high, self.width or max(1, round(width * self.height / height))

    def edit(self, clip: Any) -> Any:
        return resized(clip, self._size(*size_of("resize", clip.shape)), self.method)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        return host_resized(clip, self._size(*clip.shape[1:3]), self.method)


@register("letterbox")
class Letterbox(Formula):
    """Another size at the same aspect, with bars where the frame does not reach.

    Args:
        height, width: the new size.
        color: of the bars.
    """

    fuses = False

    def __init__(self, height: int, width: int, color: Any = "#000000", **kwargs: Any) -> None:
        whole("letterbox", "height", height, 1)
        whole("letterbox", "width", width, 1)
        super().__init__(height=height, width=width, color=color, **kwargs)
        self._fill = colour("color", color)

    def _inside(self, height: int, width: int) -> tuple[tuple[int, int], tuple, tuple]:
        scale = min(self.height / height, self.width / width)
        high, wide = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self.height - high) // 2, (self.width - wide) // 2
        rows, columns = (top, self.height - high - top), (left, self.width - wide - left)
        return (high, wide), rows, columns

    def edit(self, clip: Any) -> Any:
        size, rows, columns = self._inside(*size_of("letterbox", clip.shape))
        return padded(ops.clip(resized(clip, size, "auto"), 0.0, 1.0), rows, columns, self._fill)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        size, rows, columns = self._inside(*clip.shape[1:3])
        return host_padded(host_resized(clip, size, "auto"), rows, columns, self._fill)
