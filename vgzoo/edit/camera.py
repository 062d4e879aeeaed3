"""Geometry as a camera's: zoom and pan over the frame, a view out of a panorama."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.frame import whole
from vgzoo.edit.geometry import _turn
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.sampling import Warp


@register("zoom_pan")
class ZoomPan(Warp):
    """Looks at a part of the frame, as Ken Burns did at stills; it never looks beyond the border.

    Args:
        zoom: 1 to 100.
        x, y: 0 to 1, the middle of what is seen, in widths and heights of the frame.
    """

    ranges = {"zoom": (1, 100), "x": (0, 1), "y": (0, 1)}

    def __init__(self, zoom: Value = 1.0, x: Value = 0.5, y: Value = 0.5, **kwargs: Any) -> None:
        super().__init__(zoom=zoom, x=x, y=y, **kwargs)

    def field(
        self, column: Any, row: Any, size: tuple[int, int], /, zoom: Any, x: Any, y: Any
    ) -> tuple[Any, Any]:
        places = []
        for place, middle, length in ((column, x, size[1]), (row, y, size[0])):
            half = ops.convert_to_tensor(0.5 / zoom, "float32")
            middle = ops.minimum(ops.maximum(middle, half), 1.0 - half)
            # Whole pixels are half a pixel from their edges: at zoom 1 nothing moves.
            places.append((place + 0.5 - length / 2) / zoom + middle * length - 0.5)
        return places[0], places[1]


@register("equirect_view")
class EquirectView(Warp):
    """A flat view out of an equirectangular panorama, as a headset shows a VR film.

    Args:
        yaw: -3600 to 3600 degrees to the right of the panorama's middle column.
        pitch: -90 to 90 degrees upwards.
        roll: -3600 to 3600 degrees clockwise.
        fov: 1 to 170 degrees seen from left to right.
        height, width: of the view.
    """

    ranges = {"yaw": (-3600, 3600), "pitch": (-90, 90), "roll": (-3600, 3600), "fov": (1, 170)}
    border = "wrap"

    def __init__(
        self,
        yaw: Value = 0.0,
        pitch: Value = 0.0,
        roll: Value = 0.0,
        fov: Value = 90.0,
        height: int = 480,
        width: int = 640,
        **kwargs: Any,
    ) -> None:
        whole("equirect_view", "height", height, 1)
        whole("equirect_view", "width", width, 1)
        super().__init__(
            yaw=yaw, pitch=pitch, roll=roll, fov=fov, height=height, width=width, **kwargs
        )

    def new_size(self, height: int, width: int) -> tuple[int, int]:
        return self.height, self.width

    def field(
        self, x: Any, y: Any, size: tuple[int, int], /, yaw: Any, pitch: Any, roll: Any, fov: Any
    ) -> tuple[Any, Any]:
        half_cos, half_sin = _turn(fov * 0.5)
        reach = half_sin / half_cos / (self.width / 2)
        x = (x + 0.5 - self.width / 2) * reach
        y = (y + 0.5 - self.height / 2) * reach
        cos, sin = _turn(roll)
        x, y = cos * x - sin * y, sin * x + cos * y
        cos, sin = _turn(pitch)
        y, z = cos * y - sin, sin * y + cos  # of a ray (x, y, 1), y downwards
        longitude = ops.arctan2(x, z) + yaw * (np.pi / 180)
        latitude = ops.arctan2(y, ops.sqrt(x * x + z * z))
        height, width = size
        row = (latitude / np.pi + 0.5) * height - 0.5
        column = (longitude / (2 * np.pi) + 0.5) * width - 0.5
        return column - width * ops.floor(column / width), ops.clip(row, 0.0, height - 1.0)
