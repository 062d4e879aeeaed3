"""Edits by histograms: of the whole clip, so that nothing flickers, or of tiles in each frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula, Measured, opencv
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError


def count_levels(levels: Any, group: Any, groups: Any) -> Any:
    """How often each of 256 levels occurs in each group: float32 (groups, 256).

    Args:
        levels: int32 tensor of any shape.
        group: int32 tensor that broadcasts to it, 0 to groups - 1.
        groups: how many there are.
    """
    ids = ops.reshape(levels + 256 * group, (-1,))
    counts = ops.segment_sum(ops.ones_like(ids, "float32"), ids, num_segments=groups * 256)
    return ops.reshape(counts, (-1, 256))


def to_levels(clip: Any) -> Any:
    """Values in [0, 1] to int32 levels."""
    return ops.cast(ops.floor(clip * 255.0 + 0.5), "int32")


def histogram(clip: Any) -> Any:
    """(B, T, H, W, C) to (B, C · 256)."""
    channels, count = clip.shape[-1], ops.shape(clip)[0]
    first = ops.reshape(ops.arange(count, dtype="int32") * channels, (-1, 1, 1, 1, 1))
    group = first + ops.arange(channels, dtype="int32")
    counts = count_levels(to_levels(clip), group, count * channels)
    return ops.reshape(counts, (-1, channels * 256))


def look_up(clip: Any, table: Any) -> Any:
    """Each clip's and channel's values through its own table (B, C, 256), between levels linear."""
    channels = clip.shape[-1]
    first = ops.reshape(ops.arange(ops.shape(clip)[0], dtype="int32"), (-1, 1, 1, 1, 1)) * channels
    x = clip * 255.0
    left = ops.clip(ops.floor(x + 1e-3), 0, 254)
    index = ops.cast(left, "int32") + 256 * (first + ops.arange(channels, dtype="int32"))
    flat = ops.reshape(table, (-1,))
    low, high = ops.take(flat, index), ops.take(flat, index + 1)
    return low + (high - low) * (x - left)


@register("equalize")
class Equalize(Measured):
    """Spreads the clip's levels evenly, each channel by itself, as OpenCV does for a picture.

    Args:
        amount: 0 to 1; 0 changes nothing.
    """

    ranges = {"amount": (0, 1)}

    def __init__(self, amount: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def measure(self, clip: Any) -> Any:
        return histogram(clip)

    def edit(self, clip: Any, measured: Any, amount: Any) -> Any:
        counts = ops.reshape(measured, (-1, clip.shape[-1], 256))
        below = ops.cumsum(counts, -1)
        total = below[..., -1:]
        least = ops.min(ops.where(below > 0, below, total), -1, keepdims=True)
        table = ops.clip((below - least) / ops.maximum(total - least, 1e-6), 0.0, 1.0)
        plain = ops.arange(256, dtype="float32") / 255.0
        table = ops.where(total - least > 0, table, plain)  # one level only: nothing to spread
        return clip + (look_up(clip, table) - clip) * amount


# Of BT.601, as OpenCV makes grey.
_WEIGHTS = (0.299, 0.587, 0.114)


@register("clahe")
class Clahe(Formula):
    """Contrast limited adaptive histogram equalization of the luma (BT.601), frame by frame.

    K. Zuiderveld, "Contrast limited adaptive histogram equalization" (1994), in OpenCV's variant.

    Args:
        limit: 0.1 to 100, of a level's share in a tile, against an even spread.
        tiles: how many, across and down, 1 to 64.
    """

    ranges = {"limit": (0.1, 100)}

    def __init__(self, limit: Value = 2.0, tiles: int = 8, **kwargs: Any) -> None:
        super().__init__(limit=limit, tiles=tiles, **kwargs)
        if isinstance(tiles, bool) or not isinstance(tiles, int) or not 1 <= tiles <= 64:
            raise VgzooError(f"clahe: tiles={tiles!r} came; wanted a whole number, 1 to 64")

    def edit(self, clip: Any, limit: Any) -> Any:
        grey = clip
        if clip.shape[-1] == 3:
            grey = sum(w * clip[..., c : c + 1] for c, w in enumerate(_WEIGHTS))
        levels = to_levels(grey)
        # What is changed is the luma in levels, so that tensors and OpenCV change it alike.
        return clip + (self._spread(levels, limit) - ops.cast(levels, "float32")) / 255.0

    def _spread(self, levels: Any, limit: Any) -> Any:
        tiles, (height, width) = self.tiles, levels.shape[2:4]
        if height is None or width is None:
            raise VgzooError("clahe: the frames' size is unknown here; fix it with clip.set_shape")
        down = right = 0
        if height % tiles or width % tiles:
            down, right = tiles - height % tiles, tiles - width % tiles
        if down >= height or right >= width:
            raise VgzooError(f"clahe: {width}x{height} pixels came for {tiles} tiles; use fewer")
        padded = levels
        if down or right:
            for axis, size, more in ((2, height, down), (3, width, right)):
                places = np.arange(size + more, dtype="int32")
                places = np.minimum(places, 2 * (size - 1) - places)
                padded = ops.take(padded, places, axis=axis)
        high, wide = (height + down) // tiles, (width + right) // tiles
        count, frames = ops.shape(levels)[0], ops.shape(levels)[1]
        cells = ops.reshape(padded, (-1, tiles, high, tiles, wide))
        number = ops.reshape(
            ops.arange(count * frames * tiles, dtype="int32"), (-1, tiles, 1, 1, 1)
        )
        group = number * tiles + ops.reshape(ops.arange(tiles, dtype="int32"), (1, 1, 1, -1, 1))
        counts = count_levels(cells, group, count * frames * tiles * tiles)
        counts = ops.reshape(counts, (count, frames, tiles * tiles, 256, 1))
        area = high * wide
        most = ops.maximum(ops.floor(ops.convert_to_tensor(limit, "float32") * area / 256), 1.0)
        over = ops.sum(ops.maximum(counts - most, 0.0), 3, keepdims=True)
        even = ops.floor(over / 256.0)
        rest = over - even * 256.0
        step = ops.maximum(ops.floor(256.0 / ops.maximum(rest, 1.0)), 1.0)
        level = ops.reshape(ops.arange(256, dtype="float32"), (256, 1))
        order = ops.floor(level / step)
        one_more = (level == order * step) & (order < rest)
        counts = ops.minimum(counts, most) + even + ops.cast(one_more, "float32")
        table = ops.clip(ops.round(ops.cumsum(counts, 3) * (255.0 / area)), 0.0, 255.0)
        return self._between(levels, ops.reshape(table, (-1,)), high, wide)

    def _between(self, levels: Any, table: Any, high: int, wide: int) -> Any:
        """Each pixel through the tables of the four tiles around it."""
        tiles, (height, width) = self.tiles, levels.shape[2:4]
        count, frames = ops.shape(levels)[0], ops.shape(levels)[1]

        def around(size: int, cell: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            place = np.arange(size, dtype="float32") * np.float32(1 / cell) - 0.5
            left = np.floor(place).astype("int32")
            return np.maximum(left, 0), np.minimum(left + 1, tiles - 1), place - left

        up, low, v = around(height, high)
        left, right, u = around(width, wide)
        v, u = v[:, None, None].astype("float32"), u[:, None].astype("float32")
        picture = ops.reshape(ops.arange(count * frames, dtype="int32"), (count, frames, 1, 1, 1))

        def fetch(row: np.ndarray, column: np.ndarray) -> Any:
            tile = (row[:, None] * tiles + column)[..., None].astype("int32")  # (H, W, 1)
            return ops.take(table, (picture * (tiles * tiles) + tile) * 256 + levels)

        above = fetch(up, left) * (1 - u) + fetch(up, right) * u
        below = fetch(low, left) * (1 - u) + fetch(low, right) * u
        return ops.floor(above * (1 - v) + below * v + 0.5)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        limits = np.broadcast_to(np.ravel(self.values(len(clip), when)["limit"]), len(clip))
        edited = np.empty_like(clip)
        for index, frame in enumerate(clip):
            grey = frame[..., 0]
            if clip.shape[-1] == 3:
                grey = np.floor(frame @ np.array(_WEIGHTS, "float32") + 0.5).astype("uint8")
            tool = opencv().createCLAHE(float(limits[index]), (self.tiles, self.tiles))
            change = tool.apply(np.ascontiguousarray(grey)).astype("int16") - grey
            edited[index] = np.clip(frame + change[..., None], 0, 255)
        return edited
