"""Tone curves through points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.tone import Pointwise
from vgzoo.errors import VgzooError

Points = Sequence[float] | Sequence[Sequence[float]]
_STEPS = 255 * 8  # the table has a knot at each level of uint8


def monotone_cubic(points: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A curve through points (N, 2) that rises where they rise; constant beyond them.

    Slopes by Fritsch and Butland, "A method for constructing local monotone piecewise cubic
    interpolants" (1984): weighted harmonic means, none where the direction changes.
    """
    px, py = points.T
    if len(px) == 1:
        return np.full(x.shape, py[0])
    width = np.diff(px)
    rise = np.diff(py) / width
    slope = np.zeros(len(px))
    if len(px) == 2:
        slope[:] = rise[0]
    else:
        before, behind = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        same = rise[:-1] * rise[1:] > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (before + behind) / (before / rise[:-1] + behind / rise[1:])
        slope[1:-1] = np.where(same, mean, 0)
        slope[0] = _end(width[0], width[1], rise[0], rise[1])
        slope[-1] = _end(width[-1], width[-2], rise[-1], rise[-2])
    x = np.clip(x, px[0], px[-1])
    i = np.clip(np.searchsorted(px, x, "right") - 1, 0, len(px) - 2)
    t, h = (x - px[i]) / width[i], width[i]
    start = (1 + 2 * t) * (1 - t) ** 2 * py[i] + t * (1 - t) ** 2 * h * slope[i]
    return start + t * t * (3 - 2 * t) * py[i + 1] + t * t * (t - 1) * h * slope[i + 1]


def _end(near: float, far: float, rise: float, next_rise: float) -> float:
    """The slope at an end: of the parabola through three points, held back to stay monotone."""
    slope = ((2 * near + far) * rise - near * next_rise) / (near + far)
    if slope * rise <= 0:
        return 0.0
    return 3 * rise if rise * next_rise < 0 and abs(slope) > 3 * abs(rise) else slope


@register("curves")
class Curves(Pointwise):
    """Maps levels by curves: first a channel's own, then that of all channels.

    Args:
        master, red, green, blue: points (level, level) in [0, 1], or levels alone, spaced evenly
            from 0 to 1. None changes nothing. Grey clips take `master` only.
        amount: 0 to 1, of the curves against what came.

    Raises:
        VgzooError: points outside [0, 1], or two at one level.

    Example:
        >>> Curves([[0, 0.1], [0.5, 0.6], [1, 1]]).to_dict()["amount"]
        1.0
    """

    ranges = {"amount": (0, 1)}

    def __init__(
        self,
        master: Points | None = None,
        red: Points | None = None,
        green: Points | None = None,
        blue: Points | None = None,
        amount: Value = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(master=master, red=red, green=green, blue=blue, amount=amount, **kwargs)
        if red or green or blue:
            self.channels = (3,)
        levels = np.arange(_STEPS + 1) / _STEPS
        table = np.stack(
            [_curve(n, p, levels) for n, p in zip(_NAMES, (red, green, blue), strict=True)]
        )
        self._table = _curve("master", master, np.clip(table, 0, 1)).astype("float32")  # (3, steps)

    def edit(self, clip: Any, amount: Any) -> Any:
        parts = []
        for channel in range(clip.shape[-1]):
            x = clip[..., channel] * _STEPS
            left = ops.clip(ops.floor(x + 1e-3), 0, _STEPS - 1)
            index, table = ops.cast(left, "int32"), ops.convert_to_tensor(self._table[channel])
            low, high = ops.take(table, index), ops.take(table, index + 1)
            parts.append(low + (high - low) * (x - left))
        return clip + (ops.stack(parts, -1) - clip) * amount


_NAMES = ("red", "green", "blue")


def _curve(name: str, points: Points | None, x: np.ndarray) -> np.ndarray:
    if points is None:
        return x
    try:
        array = np.asarray(points, "float64")
    except (TypeError, ValueError) as error:
        raise VgzooError(f"curves: {name}={points!r} came; wanted points in [0, 1]") from error
    if array.ndim == 1 and len(array) > 1:
        array = np.stack([np.linspace(0, 1, len(array)), array], 1)
    if array.ndim != 2 or array.shape[1] != 2 or not ((array >= 0) & (array <= 1)).all():
        raise VgzooError(f"curves: {name}={points!r} came; wanted points in [0, 1]")
    array = array[np.argsort(array[:, 0])]
    if (np.diff(array[:, 0]) <= 0).any():
        raise VgzooError(f"curves: {name}={points!r} has two points at one level; give one")
    return monotone_cubic(array, x)
