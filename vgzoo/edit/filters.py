"""Blurs and sharpening within a frame. Beyond the border lies the mirror image."""

from __future__ import annotations

import abc
import math
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula, opencv
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.kernels import bordered, gaussian, line_points, on_line, shifted, weighted
from vgzoo.edit.keyframes import Value, largest, rounded
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import flat, sample, size_of


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

    ranges = {"radius": (0, 100)}

    def __init__(self, radius: Value = 2.0, **kwargs: Any) -> None:
        super().__init__(radius=radius, **kwargs)

    def edit(self, clip: Any, radius: Any) -> Any:
        reach = math.ceil(largest(self.radius))
        places = range(-reach, reach + 1)
        if isinstance(radius, float):
            weights = [_in_box(abs(i), radius) for i in places]
        else:
            side = 2.0 * radius + 1.0
            halves = [ops.clip(radius + 1.0 - i, 0.0, 1.0) / side for i in range(reach + 1)]
            weights = [halves[abs(i)] for i in places]
        clip = weighted("box_blur", clip, [(i, 0, w) for i, w in zip(places, weights, strict=True)])
        return weighted("box_blur", clip, [(0, i, w) for i, w in zip(places, weights, strict=True)])

    def on_frame(self, cv2: Any, frame: np.ndarray, radius: float) -> np.ndarray:
        if radius == int(radius):
            return cv2.blur(frame, (2 * int(radius) + 1,) * 2)
        reach = math.ceil(radius)
        side = np.float32([_in_box(abs(i), radius) for i in range(-reach, reach + 1)])
        return cv2.sepFilter2D(frame, -1, side, side)


def _in_box(place: int, radius: float) -> float:
    """The weight of a pixel in the mean of 2 radius + 1; the outermost ones count in part."""
    return min(max(radius + 1.0 - place, 0.0), 1.0) / (2.0 * radius + 1.0)


@register("median")
class Median(Framewise):
    """The median of a square, which takes specks away and leaves edges.

    Args:
        radius: 0 to 3 pixels, rounded; the square has 2 radius + 1 a side. Beyond the border lies
            its outermost pixel.
    """

    ranges = {"radius": (0, 3)}

    def __init__(self, radius: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(radius=radius, **kwargs)
        self.fuses = largest(self.radius) < 1.5  # larger ones sort

    def edit(self, clip: Any, radius: Any) -> Any:
        if isinstance(radius, float):
            return _median(clip, rounded(radius))
        edited = clip
        for r in range(1, rounded(largest(self.radius)) + 1):
            edited = ops.where(radius >= r - 0.5, _median(clip, r), edited)
        return edited

    def on_frame(self, cv2: Any, frame: np.ndarray, radius: float) -> np.ndarray:
        return cv2.medianBlur(frame, 2 * rounded(radius) + 1) if radius >= 0.5 else frame


def _median(clip: Any, r: int) -> Any:
    if not r:
        return clip
    padded = bordered("median", clip, r, r, "edge")
    if r == 1:
        return _median_of_nine(padded)
    near = [shifted(padded, r, r, i, j) for i in range(-r, r + 1) for j in range(-r, r + 1)]
    return ops.sort(ops.stack(near, 0), 0)[len(near) // 2]


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
        radius: 1 to 10 pixels that it reaches, rounded.
    """

    ranges = {"sigma": (0.1, 20), "tone": (0.001, 1), "radius": (1, 10)}
    fuses = True

    def __init__(
        self, sigma: Value = 2.0, tone: Value = 0.1, radius: Value = 3.0, **kwargs: Any
    ) -> None:
        super().__init__(sigma=sigma, tone=tone, radius=radius, **kwargs)

    def edit(self, clip: Any, sigma: Any, tone: Any, radius: Any) -> Any:
        r = rounded(largest(self.radius))
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
                if not isinstance(radius, float):
                    inside = math.hypot(i, j) <= ops.floor(radius + 0.5)
                    part = part * ops.cast(inside, "float32")
                total, weight = total + part * other, weight + part
        return total / weight

    def on_frame(
        self, cv2: Any, frame: np.ndarray, sigma: float, tone: float, radius: float
    ) -> np.ndarray:
        tone = tone * 255 * frame.shape[-1] / 3
        return cv2.bilateralFilter(frame, 2 * rounded(radius) + 1, tone, sigma)


@register("motion_blur")
class MotionBlur(Framewise):
    """The mean along a line through each pixel.

    Args:
        length: 1 to 200 pixels.
        degrees: -3600 to 3600, of the line, counter-clockwise from the horizontal.
    """

    ranges = {"length": (1, 200), "degrees": (-3600, 3600)}

    def __init__(self, length: Value = 9.0, degrees: Value = 0.0, **kwargs: Any) -> None:
        super().__init__(length=length, degrees=degrees, **kwargs)

    def edit(self, clip: Any, length: Any, degrees: Any) -> Any:
        if isinstance(length, float) and isinstance(degrees, float):
            return weighted("motion_blur", clip, on_line(length, degrees))
        height, width = size_of("motion_blur", clip.shape)
        length, degrees = (flat(ops.convert_to_tensor(n, "float32")) for n in (length, degrees))
        angle = degrees * (math.pi / 180)
        x, y = np.arange(width, dtype="float32"), np.arange(height, dtype="float32")[:, None]
        blank = ops.zeros((1, 1, height, width))
        count, edited = line_points(largest(self.length)), 0.0
        for step in range(count):
            away = ((step + 0.5) / count - 0.5) * (length - 1.0)
            right, down = away * ops.cos(angle), -away * ops.sin(angle)
            edited = edited + sample(clip, x + right + blank, y + down + blank, "reflect")
        return edited / count

    def on_frame(self, cv2: Any, frame: np.ndarray, length: float, degrees: float) -> np.ndarray:
        taps = on_line(length, degrees)
        r = max(max(abs(i), abs(j)) for i, j, _ in taps)
        kernel = np.zeros((2 * r + 1, 2 * r + 1), "float32")
        for i, j, weight in taps:
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
