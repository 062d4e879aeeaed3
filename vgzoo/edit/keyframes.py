"""Values that change along a clip: keyframes with easing between them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real

import numpy as np

from vgzoo.edit._near import near
from vgzoo.errors import VgzooError

_EASINGS = {
    "linear": lambda x: x,
    "hold": lambda x: np.floor(x),
    "ease-in": lambda x: x**3,
    "ease-out": lambda x: 1 - (1 - x) ** 3,
    "ease-in-out": lambda x: np.where(x < 0.5, 4 * x**3, 1 - 4 * (1 - x) ** 3),
    "smooth": lambda x: x * x * (3 - 2 * x),
}
_UNITS = ("frames", "seconds", "share")


class Keyframes:
    """A number given at some times and eased in between; constant before the first, after the last.

    Args:
        points: `{time: value}`, or (time, value) pairs, in any order.
        easing: "linear", "hold", "ease-in", "ease-out", "ease-in-out" (cubic) or "smooth".
        unit: of the times: "frames", "seconds" (for files, whose rate is known), or "share", from
            0 at the first frame to 1 at the last.

    Raises:
        VgzooError: no points, two at one time, what is no number, an unknown easing or unit.

    Example:
        >>> Keyframes({0: 1.0, 10: 2.0}, easing="smooth").at([0, 5, 10, 20]).tolist()
        [1.0, 1.5, 2.0, 2.0]
    """

    def __init__(
        self,
        points: Mapping[float, float] | Iterable[tuple[float, float]],
        *,
        easing: str = "linear",
        unit: str = "frames",
    ) -> None:
        pairs = points.items() if isinstance(points, Mapping) else points
        try:
            self.points = tuple(sorted((float(time), float(value)) for time, value in pairs))
        except (TypeError, ValueError) as error:
            raise VgzooError(
                f"keyframes {points!r} came; wanted pairs of time and value"
            ) from error
        times = [time for time, _ in self.points]
        if not times or len(set(times)) < len(times):
            raise VgzooError(f"keyframes {points!r} came; wanted one or more, at different times")
        if not all(math.isfinite(number) for pair in self.points for number in pair):
            raise VgzooError(f"keyframes {points!r} came; wanted finite numbers")
        if easing not in _EASINGS:
            raise VgzooError(f"no easing {easing!r}; {near(str(easing), _EASINGS)}")
        if unit not in _UNITS:
            raise VgzooError(f"no unit of time {unit!r}; {near(str(unit), _UNITS)}")
        self.easing, self.unit = easing, unit

    def at(
        self, frames: Iterable[int], total: int | None = None, fps: float | None = None
    ) -> np.ndarray:
        """The values at frames of a clip of `total` frames, `fps` a second: float32."""
        when = np.asarray(list(frames), "float64")
        if self.unit == "seconds":
            if fps is None:
                raise VgzooError("keyframes in seconds need a rate; pass fps, or use unit='frames'")
            when = when / fps
        elif self.unit == "share":
            if total is None:
                raise VgzooError("keyframes by share need a length; pass total")
            when = when / max(total - 1, 1)
        times, values = np.array(self.points).T
        if len(times) == 1:
            return np.full(len(when), values[0], "float32")
        left = np.clip(np.searchsorted(times, when, "right") - 1, 0, len(times) - 2)
        share = np.clip((when - times[left]) / (times[left + 1] - times[left]), 0, 1)
        share = _EASINGS[self.easing](share)
        return (values[left] + (values[left + 1] - values[left]) * share).astype("float32")

    def to_dict(self) -> dict:
        """As an edit list holds it."""
        points = [list(pair) for pair in self.points]
        return {"keyframes": points, "easing": self.easing, "unit": self.unit}

    @classmethod
    def from_dict(cls, content: Mapping) -> Keyframes:
        """From what `to_dict` gives; easing and unit may be left out."""
        for key in content:
            if key not in ("keyframes", "easing", "unit"):
                raise VgzooError(f"no {key!r} in keyframes; wanted keyframes, easing, unit")
        if "keyframes" not in content:
            raise VgzooError(
                f"{dict(content)!r} came; wanted 'keyframes' in it, [[time, value], …]"
            )
        rest = {key: content[key] for key in ("easing", "unit") if key in content}
        return cls(content["keyframes"], **rest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyframes) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.points, self.easing, self.unit))

    def __repr__(self) -> str:
        points = dict(self.points)
        return f"Keyframes({points}, easing={self.easing!r}, unit={self.unit!r})"


Value = float | tuple[float, ...] | Keyframes
"""What a numeric parameter takes: a number, one number a frame, or keyframes."""


def series(
    owner: str,
    name: str,
    value: tuple[float, ...] | Keyframes,
    span: range,
    total: int,
    fps: float | None,
) -> np.ndarray:
    """A parameter's numbers at the frames of a span out of `total`: float32."""
    if isinstance(value, Keyframes):
        return value.at(span, total, fps)
    if len(value) != total:
        raise VgzooError(
            f"{owner}: {name} has {len(value)} values for {total} frames; give one a frame, or "
            "keyframes"
        )
    return np.array(value, "float32")[span.start : span.stop]


def largest(value: Value) -> float:
    """The largest number that a parameter takes along the clip."""
    if isinstance(value, Keyframes):
        return max(number for _, number in value.points)
    return max(value) if isinstance(value, tuple) else value


def rounded(value: float) -> int:
    """The nearest whole number; half goes up."""
    return math.floor(value + 0.5)


def checked(owner: str, name: str, value: object, low: float, high: float) -> Value:
    """A parameter's value in its one form, or a VgzooError that names it."""
    if isinstance(value, Mapping):
        value = Keyframes.from_dict(value)
    if isinstance(value, Keyframes):
        numbers = [number for _, number in value.points]
    elif isinstance(value, Real) and not isinstance(value, bool):
        value = float(value)
        numbers = [value]
    else:
        try:
            if isinstance(value, str | bytes):
                raise TypeError
            array = np.asarray(value, "float64")
        except (TypeError, ValueError) as error:
            raise VgzooError(_unwanted(owner, name, value)) from error
        if array.ndim != 1 or not array.size:
            raise VgzooError(_unwanted(owner, name, value))
        value = numbers = tuple(array.tolist())
    for number in numbers:
        if not low <= number <= high:
            raise VgzooError(f"{owner}: {name}={number:g} came; wanted {low:g} to {high:g}")
    return value


def _unwanted(owner: str, name: str, value: object) -> str:
    wanted = "wanted a number, one number a frame, or keyframes"
    return f"{owner}: {name}={str(value)[:60]!r} came; {wanted}"
