"""Look-up tables from `.cube` files (Adobe, "Cube LUT Specification 1.0", 2013)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError

_WAYS = ("tetrahedral", "trilinear")
_DENSE = 1 << 25  # pixels from which a table of all 2^24 colours pays for itself
_SIZES = {"LUT_1D_SIZE": (2, 65536), "LUT_3D_SIZE": (2, 256)}


class Cube(NamedTuple):
    """A table: float32 (size, 3), or (size³, 3) with red changing fastest; and its domain."""

    table: np.ndarray
    size: int
    dimensions: int
    low: np.ndarray
    high: np.ndarray


def read_cube(path: str | Path) -> Cube:
    """Reads a 1-D or 3-D table.

    Raises:
        VgzooError: no such file, or the line that is wrong.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise VgzooError(f"cannot read the table {path}: {error.strerror}") from error
    size, dimensions, rows = 0, 0, []
    domain = {"DOMAIN_MIN": np.zeros(3), "DOMAIN_MAX": np.ones(3)}
    for number, line in enumerate(lines, 1):
        key, *rest = line.split("#")[0].split() or [""]
        try:
            if key in _SIZES:
                size, dimensions = int(rest[0]), int(key[4])
                low, high = _SIZES[key]
                if not low <= size <= high or rows:
                    raise ValueError
            elif key in domain:
                domain[key] = np.array([float(word) for word in rest])
                if domain[key].shape != (3,):
                    raise ValueError
            elif key and (key[0].isdigit() or key[0] in "+-."):
                rows.append((float(key), float(rest[0]), float(rest[1])))
        except (ValueError, IndexError) as error:
            raise VgzooError(f"{path}, line {number}: {line.strip()[:60]!r} is wrong") from error
    if not size:
        raise VgzooError(f"{path} has no LUT_1D_SIZE or LUT_3D_SIZE; wanted a .cube file")
    if len(rows) != size**dimensions:
        raise VgzooError(f"{path} has {len(rows)} rows; wanted {size**dimensions} for its size")
    table = np.array(rows, "float32")
    low, high = domain["DOMAIN_MIN"], domain["DOMAIN_MAX"]
    if not np.isfinite(table).all() or not (low < high).all():
        raise VgzooError(f"{path} holds infinite values or an empty domain; get it again")
    return Cube(table, size, dimensions, low.astype("float32"), high.astype("float32"))


@register("lut")
class Lut(Formula):
    """Grades by a `.cube` table, as film looks are shared.

    Args:
        file: the `.cube` file.
        interpolation: of a 3-D table: "tetrahedral", which keeps greys grey, or "trilinear".
        amount: 0 to 1, of the look against what came.

    Raises:
        VgzooError: no such file, no table, an unknown interpolation.
    """

    ranges = {"amount": (0, 1)}
    channels = (3,)

    def __init__(
        self,
        file: str | Path,
        interpolation: str = "tetrahedral",
        amount: Value = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(file=str(file), interpolation=interpolation, amount=amount, **kwargs)
        if interpolation not in _WAYS:
            raise VgzooError(
                f"lut: no interpolation {interpolation!r}; wanted {' or '.join(_WAYS)}"
            )
        self._cube = read_cube(file)
        self._dense: np.ndarray | None = None

    def edit(self, clip: Any, amount: Any) -> Any:
        cube = self._cube
        x = (clip - cube.low) / (cube.high - cube.low)
        x = ops.clip(x, 0.0, 1.0) * (cube.size - 1)
        left = ops.clip(ops.floor(x), 0, cube.size - 2)
        share, index = x - left, ops.cast(left, "int32")
        if cube.dimensions == 1:
            looked = self._one(index, share)
        elif self.interpolation == "trilinear":
            looked = self._trilinear(index, share)
        else:
            looked = self._tetrahedral(index, share)
        return clip + (looked - clip) * amount

    def _one(self, index: Any, share: Any) -> Any:
        parts = []
        for c in range(3):
            table = ops.convert_to_tensor(self._cube.table[:, c])
            low, high = ops.take(table, index[..., c]), ops.take(table, index[..., c] + 1)
            parts.append(low + (high - low) * share[..., c])
        return ops.stack(parts, -1)

    def _base(self, index: Any) -> tuple[Any, tuple[int, int, int], Any]:
        size = self._cube.size
        strides = (1, size, size * size)
        base = sum(index[..., c] * strides[c] for c in range(3))
        return base, strides, ops.convert_to_tensor(self._cube.table)

    def _trilinear(self, index: Any, share: Any) -> Any:
        base, strides, table = self._base(index)
        total = 0.0
        for corner in np.ndindex(2, 2, 2):
            weight, offset = 1.0, 0
            for c, up in enumerate(corner):
                part = share[..., c : c + 1]
                weight = weight * (part if up else 1.0 - part)
                offset += up * strides[c]
            total = total + weight * ops.take(table, base + offset, axis=0)
        return total

    def _tetrahedral(self, index: Any, share: Any) -> Any:
        """From the cell's dark corner to its bright one along the axes, the largest share first."""
        base, strides, table = self._base(index)
        most, least = ops.max(share, -1), ops.min(share, -1)
        middle = ops.sum(share, -1) - most - least
        steps = ops.convert_to_tensor(strides, "int32")
        first = base + ops.take(steps, ops.argmax(share, -1))
        last = base + sum(strides)
        # The axis of the least share, counted from the other side where all three are equal.
        third = 2 - ops.argmax(ops.flip(-share, -1), -1)
        second = last - ops.take(steps, third)
        corners = ((base, 1.0 - most), (first, most - middle), (second, middle - least))
        total = least[..., None] * ops.take(table, last, axis=0)
        return total + sum(w[..., None] * ops.take(table, i, axis=0) for i, w in corners)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        frames, height, width, _ = clip.shape
        pixels = (when.total or frames) * height * width
        if not isinstance(self.amount, float) or pixels < _DENSE:
            return super().host(clip, when)
        if self._dense is None:
            self._dense = self._all_colours()
        wide = clip.astype("uint32")
        colour = (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]
        packed = self._dense[colour]
        return np.ascontiguousarray(packed.view("uint8").reshape(*clip.shape[:3], 4)[..., :3])

    def _all_colours(self) -> np.ndarray:
        """uint32 (2^24,): each colour's result, its bytes red, green, blue, 0."""
        dense = np.zeros((256, 256, 256, 4), "uint8")
        green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
        for red in range(0, 256, 8):
            plane = np.empty((8, 256, 256, 3), "uint8")
            plane[..., 0] = np.arange(red, red + 8)[:, None, None]
            plane[..., 1], plane[..., 2] = green, blue
            dense[red : red + 8, ..., :3] = super().host(plane)
        return dense.view("uint32").reshape(-1)
