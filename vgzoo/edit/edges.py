"""Edges within a frame: relief, steepness, contours."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.colour import luma
from vgzoo.edit.filters import Framewise, reach
from vgzoo.edit.kernels import bordered, gaussian, shifted, weighted
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError

_SOBEL_X = [(i, s, s * w) for i, w in ((-1, 1.0), (0, 2.0), (1, 1.0)) for s in (-1, 1)]
_SOBEL_Y = [(j, i, w) for i, j, w in _SOBEL_X]
_TAN = 13573 / (1 << 15)  # of 22.5 degrees, as OpenCV rounds it


@register("emboss")
class Emboss(Framewise):
    """Relief, lit from the top left, around middle grey.

    Args:
        amount: 0 to 10.
    """

    ranges = {"amount": (0, 10)}

    def __init__(self, amount: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def edit(self, clip: Any, amount: Any) -> Any:
        grey = luma(clip)
        slope = weighted("emboss", grey, [(1, 1, 1.0), (-1, -1, -1.0)])
        return ops.broadcast_to(0.5 + amount * slope, ops.shape(clip))

    def on_frame(self, cv2: Any, frame: np.ndarray, amount: float) -> np.ndarray:
        grey = luma(frame.astype("float32"))
        kernel = np.diag(np.float32([-1, 0, 1]))
        slope = cv2.filter2D(grey[..., 0], -1, kernel)[..., None]
        relief = np.clip(np.floor(127.5 + amount * slope + 0.5), 0, 255)
        return np.broadcast_to(relief.astype("uint8"), frame.shape)


@register("edges")
class Edges(Framewise):
    """How steep the luma is, in all channels.

    Args:
        amount: 0 to 10, times the steepness.
        kind: "sobel", the length of the gradient, or "laplacian", the size of the curvature.
    """

    ranges = {"amount": (0, 10)}

    def __init__(self, amount: Value = 1.0, kind: str = "sobel", **kwargs: Any) -> None:
        super().__init__(amount=amount, kind=kind, **kwargs)
        if kind not in ("sobel", "laplacian"):
            raise VgzooError(f"edges: kind={kind!r} came; wanted sobel or laplacian")

    def edit(self, clip: Any, amount: Any) -> Any:
        grey = luma(clip)
        if self.kind == "laplacian":
            taps = [(0, 0, -4.0), (1, 0, 1.0), (-1, 0, 1.0), (0, 1, 1.0), (0, -1, 1.0)]
            steep = ops.abs(weighted("edges", grey, taps))
        else:
            x, y = weighted("edges", grey, _SOBEL_X), weighted("edges", grey, _SOBEL_Y)
            steep = ops.sqrt(x * x + y * y)
        return ops.broadcast_to(amount * steep, ops.shape(clip))

    def on_frame(self, cv2: Any, frame: np.ndarray, amount: float) -> np.ndarray:
        grey = luma(frame.astype("float32"))[..., 0]
        if self.kind == "laplacian":
            steep = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
        else:
            steep = np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, *d) for d in ((1, 0), (0, 1))))
        steep = np.clip(np.floor(amount * steep + 0.5), 0, 255).astype("uint8")
        return np.broadcast_to(steep[..., None], frame.shape)


@register("canny")
class Canny(Framewise):
    """Contours one pixel wide, white on black.

    J. Canny, "A computational approach to edge detection" (1986): a blur, Sobel's gradient, its
    ridges, and of those the ones that are steep or hang, over others, on one that is. From the blur
    on all is in whole numbers, as in OpenCV, so that tensors and files agree to the pixel but where
    the blur ends on half a level.

    Args:
        low, high: 0 to 6, lengths of Sobel's gradient as in `Edges`, in steps of half a level:
            ridges steeper than `high` are contours, and those steeper than `low` that hang on one.
        sigma: 0 to 20 pixels, of the blur.

    Raises:
        VgzooError: `low` above `high`.
    """

    ranges = {"low": (0, 6), "high": (0, 6), "sigma": (0, 20)}

    def __init__(
        self, low: Value = 0.2, high: Value = 0.5, sigma: Value = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(low=low, high=high, sigma=sigma, **kwargs)
        if isinstance(self.low, float) and isinstance(self.high, float) and self.low > self.high:
            raise VgzooError(f"canny: low={self.low:g} is above high={self.high:g}")

    def edit(self, clip: Any, low: Any, high: Any, sigma: Any) -> Any:
        grey = ops.floor(gaussian("canny", luma(clip), sigma, reach(self.sigma)) * 255.0 + 0.5)
        around = bordered("canny", grey, 1, 1, "edge")
        x, y = (sum(w * shifted(around, 1, 1, i, j) for i, j, w in t) for t in (_SOBEL_X, _SOBEL_Y))
        square = x * x + y * y
        ridge = _ridges(x, y, square)
        # Half levels, whose squares float32 holds exactly.
        low, high = (
            ops.round(510.0 * ops.convert_to_tensor(v, "float32")) / 2 for v in (low, high)
        )
        contours = _reached(ridge & (square > low * low), ridge & (square > high * high))
        return ops.broadcast_to(contours, ops.shape(clip))

    def on_frame(
        self, cv2: Any, frame: np.ndarray, low: float, high: float, sigma: float
    ) -> np.ndarray:
        grey = np.ascontiguousarray(luma(frame.astype("float32"))[..., 0])
        size = 2 * reach(self.sigma) + 1
        grey = cv2.GaussianBlur(grey, (size, size), sigma) if sigma > 1e-3 else grey
        grey = np.floor(grey + 0.5).astype("uint8")
        low, high = (round(510 * threshold) / 2 for threshold in (low, high))
        contours = cv2.Canny(grey, low, high, L2gradient=True)
        return np.broadcast_to(contours[..., None], frame.shape)


def _ridges(x: Any, y: Any, square: Any) -> Any:
    """Where the gradient (x, y), squared, is above both neighbours along the nearest of its four
    directions. Of two equal ones one is kept in a row or a column, and neither on a diagonal."""
    outside = ops.pad(square, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)))

    def at(down: int, right: int) -> Any:
        return shifted(outside, 1, 1, down, right)

    across, down = ops.abs(x), ops.abs(y)
    flat, upright = down < across * _TAN, down - 2.0 * across > across * _TAN
    falling = (square > at(-1, -1)) & (square > at(1, 1))
    rising = (square > at(-1, 1)) & (square > at(1, -1))
    slanted = ops.where(x * y < 0, rising, falling)
    in_column = (square > at(-1, 0)) & (square >= at(1, 0))
    in_row = (square > at(0, -1)) & (square >= at(0, 1))
    return ops.where(flat, in_row, ops.where(upright, in_column, slanted))


def _reached(weak: Any, strong: Any) -> Any:
    """1 on the part of `weak` that hangs together with `strong`, diagonals too.

    Each step goes to the next pixels, until nothing more is reached.
    """
    height, width = weak.shape[2:4]
    flat = (-1, height, width, 1)
    weak_, strong_ = (ops.reshape(ops.cast(mask, "float32"), flat) for mask in (weak, strong))

    def grow(found: Any, _: Any) -> tuple[Any, Any]:
        wider = ops.max_pool(found, 3, 1, "same", data_format="channels_last") * weak_
        return wider, ops.any(wider > found)

    found, _ = ops.while_loop(lambda _, more: more, grow, (strong_, ops.any(strong_ > 0)))
    return ops.reshape(found, ops.shape(weak))
