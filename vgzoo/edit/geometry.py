"""Geometry: frames turned, bent and looked at from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import Warp, checked_border
from vgzoo.errors import VgzooError


def _turn(degrees: Any) -> tuple[Any, Any]:
    angle = ops.convert_to_tensor(degrees, "float32") * (np.pi / 180)
    return ops.cos(angle), ops.sin(angle)


class _Bordered(Warp):
    def __init__(self, border: str = "edge", **settings: Any) -> None:
        super().__init__(border=checked_border(self.edit_name, border), **settings)


@register("rotate")
class Rotate(_Bordered):
    """Turns the frame around its middle, counter-clockwise.

    Args:
        degrees: -3600 to 3600.
        zoom: 0.01 to 100, larger than 1 enlarges.
        border: "edge", "black", "reflect" or "wrap".
    """

    ranges = {"degrees": (-3600, 3600), "zoom": (0.01, 100)}

    def __init__(
        self, degrees: Value = 0.0, zoom: Value = 1.0, border: str = "black", **kwargs: Any
    ) -> None:
        super().__init__(degrees=degrees, zoom=zoom, border=border, **kwargs)

    def field(
        self, x: Any, y: Any, size: tuple[int, int], /, degrees: Any, zoom: Any
    ) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        x, y = (x - middle_x) / zoom, (y - middle_y) / zoom
        cos, sin = _turn(degrees)
        return middle_x + cos * x - sin * y, middle_y + sin * x + cos * y


@register("affine")
class Affine(_Bordered):
    """Enlarges, shears, turns and moves the frame, in this order, around its middle.

    Args:
        degrees: -3600 to 3600, counter-clockwise.
        zoom: 0.01 to 100.
        shear: -80 to 80 degrees, by which the verticals lean to the right.
        x, y: -10 to 10, the way right and down, in widths and heights of the frame.
        border: as in `Rotate`.
    """

    ranges = {
        "degrees": (-3600, 3600),
        "zoom": (0.01, 100),
        "shear": (-80, 80),
        "x": (-10, 10),
        "y": (-10, 10),
    }

    def __init__(
        self,
        degrees: Value = 0.0,
        zoom: Value = 1.0,
        shear: Value = 0.0,
        x: Value = 0.0,
        y: Value = 0.0,
        border: str = "black",
        **kwargs: Any,
    ) -> None:
        super().__init__(degrees=degrees, zoom=zoom, shear=shear, x=x, y=y, border=border, **kwargs)

    def field(
        self,
        column: Any,
        row: Any,
        size: tuple[int, int],
        /,
        degrees: Any,
        zoom: Any,
        shear: Any,
        x: Any,
        y: Any,
    ) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        column, row = column - middle_x - x * size[1], row - middle_y - y * size[0]
        cos, sin = _turn(degrees)
        column, row = cos * column - sin * row, sin * column + cos * row
        lean_cos, lean_sin = _turn(shear)
        column = column + row * (lean_sin / lean_cos)
        return middle_x + column / zoom, middle_y + row / zoom


@register("perspective")
class Perspective(_Bordered):
    """Draws the frame's corners to other places.

    Args:
        corners: where the top left, top right, bottom right and bottom left one go, (x, y) each,
            in widths and heights of the frame.
        amount: 0 to 1, of the way there.
        border: as in `Rotate`.

    Raises:
        VgzooError: other than four corners, or three on a line.
    """

    ranges = {"amount": (0, 1)}

    def __init__(
        self,
        corners: Sequence[Sequence[float]] = ((0, 0), (1, 0), (1, 1), (0, 1)),
        amount: Value = 1.0,
        border: str = "black",
        **kwargs: Any,
    ) -> None:
        super().__init__(corners=corners, amount=amount, border=border, **kwargs)
        try:
            self._goal = np.asarray(corners, "float64").reshape(4, 2)
        except (TypeError, ValueError) as error:
            raise VgzooError(f"perspective: corners={corners!r} came; wanted 4 × (x, y)") from error
        sides = np.roll(self._goal, -1, 0) - self._goal
        ahead = np.roll(sides, -1, 0)
        turns = sides[:, 0] * ahead[:, 1] - sides[:, 1] * ahead[:, 0]
        if not (np.min(turns) > 1e-4 or np.max(turns) < -1e-4):
            raise VgzooError(f"perspective: corners={corners!r} are no convex quadrilateral")

    def _map(self, size: tuple[int, int], /, amount: Any) -> tuple:
        """(a, b, c), (d, e, f), (g, h, i): in the new frame's pixels, of the old frame's places."""
        start = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
        # The square to a quadrilateral in closed form (Heckbert 1989), its adjugate back.
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = (
            tuple(float(s) + amount * float(g - s) for s, g in zip(ss, gg, strict=True))
            for ss, gg in zip(start, self._goal, strict=True)
        )
        dx1, dx2, dy1, dy2 = x1 - x2, x3 - x2, y1 - y2, y3 - y2
        sx, sy = x0 - x1 + x2 - x3, y0 - y1 + y2 - y3
        det = dx1 * dy2 - dx2 * dy1
        g, h = (sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det
        a, b, d, e = x1 - x0 + g * x1, x3 - x0 + h * x3, y1 - y0 + g * y1, y3 - y0 + h * y3
        wide, high = max(size[1] - 1, 1), max(size[0] - 1, 1)
        rows = (
            (e - y0 * h, x0 * h - b, b * y0 - x0 * e),
            (y0 * g - d, a - x0 * g, x0 * d - a * y0),
            (d * h - e * g, b * g - a * h, a * e - b * d),
        )
        scales = wide, high, 1.0
        return tuple(
            (s * u / wide, s * v / high, s * w) for s, (u, v, w) in zip(scales, rows, strict=True)
        )

    def field(self, x: Any, y: Any, size: tuple[int, int], /, amount: Any) -> tuple[Any, Any]:
        u, v, w = (a * x + b * y + c for a, b, c in self._map(size, amount))
        return u / w, v / w


@register("lens")
class Lens(_Bordered):
    """Lens distortion, Brown's radial model: looks up at r (1 + k1 r² + k2 r⁴).

    Args:
        k1, k2: -1 to 1; above 0 straight lines bulge inwards (pincushion is undone), below
            outwards. r is 1 in the corners.
        border: as in `Rotate`.
    """

    ranges = {"k1": (-1, 1), "k2": (-1, 1)}

    def __init__(
        self, k1: Value = 0.0, k2: Value = 0.0, border: str = "black", **kwargs: Any
    ) -> None:
        super().__init__(k1=k1, k2=k2, border=border, **kwargs)

    def field(self, x: Any, y: Any, size: tuple[int, int], /, k1: Any, k2: Any) -> tuple[Any, Any]:
        middle_y, middle_x = (size[0] - 1) / 2, (size[1] - 1) / 2
        x, y = x - middle_x, y - middle_y
        r2 = (x * x + y * y) / max(middle_x**2 + middle_y**2, 1e-6)
        factor = 1.0 + k1 * r2 + k2 * r2 * r2
        return middle_x + x * factor, middle_y + y * factor


@register("elastic")
class Elastic(_Bordered):
    """Bends the frame by a smooth random field, the same in all frames.

    P. Simard et al., "Best practices for convolutional neural networks" (2003).

    Args:
        amount: 0 to 1, the field's standard deviation in parts of the frame's height.
        cells: 1 to 32, bumps across and down.
        seed: which field.
        border: as in `Rotate`.
    """

    ranges = {"amount": (0, 1)}

    def __init__(
        self,
        amount: Value = 0.02,
        cells: int = 4,
        seed: int = 0,
        border: str = "reflect",
        **kwargs: Any,
    ) -> None:
        if isinstance(cells, bool) or not isinstance(cells, int) or not 1 <= cells <= 32:
            raise VgzooError(f"elastic: cells={cells!r} came; wanted a whole number, 1 to 32")
        super().__init__(amount=amount, cells=cells, seed=seed, border=border, **kwargs)
        self._knots = random.normal_rows(seed, 0, 1, (2, cells + 3, cells + 3))[0]

    def field(self, x: Any, y: Any, size: tuple[int, int], /, amount: Any) -> tuple[Any, Any]:
        down, across = (_splines(n, self.cells) for n in size)
        bend = np.einsum("hi,nij,wj->nhw", down, self._knots, across).astype("float32") * size[0]
        return x + amount * bend[0], y + amount * bend[1]


def _splines(size: int, cells: int) -> np.ndarray:
    """The weights (size, cells + 3) of cubic B-splines over `cells` even spans."""
    place = np.arange(size) / max(size - 1, 1) * cells
    cell = np.minimum(place.astype(int), cells - 1)
    t = place - cell
    parts = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    weights = np.zeros((size, cells + 3))
    for index, part in enumerate(parts):
        weights[np.arange(size), cell + index] = part / 6
    return weights
