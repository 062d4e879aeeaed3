"""Blurs and sharpening within a frame. Beyond the border lies the mirror image."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import WHOLE, Formula, When, opencv
from vgzoo.edit.frame import whole
from vgzoo.edit.kernels import bordered, gaussian, shifted, weighted
from vgzoo.edit.keyframes import Keyframes, Value
from vgzoo.edit.registry import register


def largest(value: Value) -> float:
    """The largest number that a parameter takes along the clip."""
    if isinstance(value, Keyframes):
        return max(number for _, number in value.points)
    return max(value) if isinstance(value, tuple) else value


def reach(sigma: Value) -> int:
    """The pixels that a Gaussian kernel reaches: three standard deviations."""
    return max(1, math.ceil(3 * largest(sigma)))


def each(clip: np.ndarray, values: dict[str, Any]) -> list[tuple[np.ndarray, dict[str, float]]]:
    """Each frame with its own numbers."""
    series = {k: np.broadcast_to(np.ravel(v), len(clip)) for k, v in values.items()}
    return [(f, {k: float(v[i]) for k, v in series.items()}) for i, f in enumerate(clip)]


class Framewise(Formula):
    """An edit that OpenCV does to one frame of a file at a time, most of them convolutions."""

    fuses = False

    @abc.abstractmethod
    def on_frame(self, cv2: Any, frame: np.ndarray, **values: float) -> np.ndarray:
        """uint8 (H, W, C) to the same; a grey one may come back as (H, W)."""

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        cv2, values = opencv(), self.values(len(clip), when)
        frames = [self.on_frame(cv2, np.ascontiguousarray(f), **v) for f, v in each(clip, values)]
        return np.stack(frames).reshape(clip.shape)


@register("blur")
class Blur(Framewise):
    """Gaussian blur.

    Args:
        sigma: 0 to 100 pixels, the standard deviation.
    """

    ranges = {"sigma": (0, 100)}

    def __init__(self, sigma: Value = 2.0, **kwargs: Any) -> None:
        super().__init__(sigma=sigma, **kwargs)

    def edit(self, clip: Any, sigma: Any) -> Any:
        return gaussian("blur", clip, sigma, reach(self.sigma))

    def on_frame(self, cv2: Any, frame: np.ndarray, sigma: float) -> np.ndarray:
        size = 2 * reach(self.sigma) + 1
        return cv2.GaussianBlur(frame, (size, size), sigma) if sigma > 1e-3 else frame


@register("box_blur")
class BoxBlur(Framewise):
    """The mean of a square.

    Args:
        radius: 0 to 100 pixels; the square has 2 radius + 1 a side.
    """

    def __init__(self, radius: int = 2, **kwargs: Any) -> None:
        super().__init__(radius=whole("box_blur", "radius", radius), **kwargs)

    def edit(self, clip: Any) -> Any:
        places, share = range(-self.radius, self.radius + 1), 1 / (2 * self.radius + 1)
        clip = weighted("box_blur", clip, [(i, 0, share) for i in places])
        return weighted("box_blur", clip, [(0, i, share) for i in places])

    def on_frame(self, cv2: Any, frame: np.ndarray) -> np.ndarray:
        return cv2.blur(frame, (2 * self.radius + 1,) * 2)


@register("median")
class Median(Framewise):
    """The median of a square, which takes specks away and leaves edges.

    Args:
        radius: 0 to 3 pixels; the square has 2 radius + 1 a side. Beyond the border lies its
            outermost pixel.
    """

    def __init__(self, radius: int = 1, **kwargs: Any) -> None:
        whole("median", "radius", radius)
        super().__init__(radius=min(radius, 3), **kwargs)
        self.fuses = self.radius < 2  # larger ones sort

    def edit(self, clip: Any) -> Any:
        r = self.radius
        padded = bordered("median", clip, r, r, "edge")
        if r == 1:
            return _median_of_nine(padded)
        near = [shifted(padded, r, r, i, j) for i in range(-r, r + 1) for j in range(-r, r + 1)]
        return ops.sort(ops.stack(near, 0), 0)[len(near) // 2]

    def on_frame(self, cv2: Any, frame: np.ndarray) -> np.ndarray:
        return cv2.medianBlur(frame, 2 * self.radius + 1) if self.radius else frame


def _median_of_nine(padded: Any) -> Any:
    """The median of 3×3 out of a clip with one pixel around it, by comparisons of whole clips.

    Columns of three are sorted once for the three squares that they are in. The median is that of
    the largest of the least, the median of the middle ones, and the least of the largest.
    """
    above, at, below = padded[:, :, :-2], padded[:, :, 1:-1], padded[:, :, 2:]
    low, high = ops.minimum(above, at), ops.maximum(above, at)
    least, most = ops.minimum(low, below), ops.maximum(high, below)
    middle = ops.maximum(low, ops.minimum(high, below))

    def three(x: Any) -> tuple[Any, Any, Any]:
        return x[:, :, :, :-2], x[:, :, :, 1:-1], x[:, :, :, 2:]

    a, b, c = three(least)
    low = ops.maximum(ops.maximum(a, b), c)
    a, b, c = three(most)
    high = ops.minimum(ops.minimum(a, b), c)
    return _middle(low, _middle(*three(middle)), high)


def _middle(a: Any, b: Any, c: Any) -> Any:
    return ops.maximum(ops.minimum(a, b), ops.minimum(ops.maximum(a, b), c))


@register("bilateral")
class Bilateral(Framewise):
    """A blur that stops at edges.

    C. Tomasi and R. Manduchi, "Bilateral filtering for gray and color images" (1998).

    Args:
        sigma: 0.1 to 20 pixels, of the blur.
        tone: 0.001 to 1, how far colours may differ and still mix.
        radius: 1 to 10 pixels that it reaches.
    """

    ranges = {"sigma": (0.1, 20), "tone": (0.001, 1)}
    fuses = True

    def __init__(
        self, sigma: Value = 2.0, tone: Value = 0.1, radius: int = 3, **kwargs: Any
    ) -> None:
        super().__init__(
            sigma=sigma, tone=tone, radius=whole("bilateral", "radius", radius, 1), **kwargs
        )

    def edit(self, clip: Any, sigma: Any, tone: Any) -> Any:
        r = self.radius
        padded = bordered("bilateral", clip, r, r)
        total, weight = 0.0, 0.0
        for i in range(-r, r + 1):
            for j in range(-r, r + 1):
                if i * i + j * j > r * r:
                    continue
                other = shifted(padded, r, r, i, j)
                # Summed over three channels, as OpenCV does; a grey one counts three times.
                apart = 3.0 * ops.mean(ops.abs(other - clip), -1, keepdims=True)
                bell = -(apart * apart) / (2.0 * tone * tone) - (i * i + j * j) / (2.0 * sigma**2)
                part = ops.exp(bell)
                total, weight = total + part * other, weight + part
        return total / weight

    def on_frame(self, cv2: Any, frame: np.ndarray, sigma: float, tone: float) -> np.ndarray:
        tone = tone * 255 * frame.shape[-1] / 3
        return cv2.bilateralFilter(frame, 2 * self.radius + 1, tone, sigma)


@register("motion_blur")
class MotionBlur(Framewise):
    """The mean along a line through each pixel.

    Args:
        length: 1 to 200 pixels.
        degrees: of the line, counter-clockwise from the horizontal.
    """

    def __init__(self, length: int = 9, degrees: float = 0.0, **kwargs: Any) -> None:
        whole("motion_blur", "length", length, 1)
        super().__init__(length=length, degrees=float(degrees), **kwargs)
        angle = math.radians(self.degrees)
        steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 4 * length)
        kernel: dict[tuple[int, int], float] = {}
        for step in steps:  # each point of the line on the four pixels around it
            x, y = step * math.cos(angle), -step * math.sin(angle)
            i, j = math.floor(y), math.floor(x)
            for di, v in ((0, 1 - (y - i)), (1, y - i)):
                for dj, u in ((0, 1 - (x - j)), (1, x - j)):
                    if u * v > 1e-9:
                        place = (i + di, j + dj)
                        kernel[place] = kernel.get(place, 0) + u * v / len(steps)
        self._taps = tuple((i, j, weight) for (i, j), weight in kernel.items())

    def edit(self, clip: Any) -> Any:
        return weighted("motion_blur", clip, self._taps)

    def on_frame(self, cv2: Any, frame: np.ndarray) -> np.ndarray:
        r = max(max(abs(i), abs(j)) for i, j, _ in self._taps)
        kernel = np.zeros((2 * r + 1, 2 * r + 1), "float32")
        for i, j, weight in self._taps:
            kernel[r + i, r + j] = weight
        return cv2.filter2D(frame, -1, kernel)


@register("sharpen")
class Sharpen(Framewise):
    """Unsharp mask: adds what a blur takes away.

    Args:
        amount: 0 to 10.
        sigma: 0.1 to 20 pixels, of the blur.
    """

    ranges = {"amount": (0, 10), "sigma": (0.1, 20)}

    def __init__(self, amount: Value = 0.5, sigma: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, sigma=sigma, **kwargs)

    def edit(self, clip: Any, amount: Any, sigma: Any) -> Any:
        return clip + amount * (clip - gaussian("sharpen", clip, sigma, reach(self.sigma)))

    def on_frame(self, cv2: Any, frame: np.ndarray, amount: float, sigma: float) -> np.ndarray:
        size = (2 * reach(self.sigma) + 1,) * 2
        if amount <= 1:  # what the blur rounds away is at most half a level
            soft = cv2.GaussianBlur(frame, size, sigma)
            return cv2.addWeighted(frame, 1 + amount, soft, -amount, 0)
        exact = frame.astype("float32")
        soft = cv2.GaussianBlur(exact, size, sigma).reshape(exact.shape)
        return cv2.addWeighted(exact, 1 + amount, soft, -amount, 0, dtype=cv2.CV_8U)
