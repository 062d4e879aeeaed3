"""What lies over the frame, and how it mixes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vgzoo import video
from vgzoo.edit.base import Formula
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.sampling import box_sums, flat, sample, size_of
from vgzoo.errors import VgzooError
from vgzoo.layers.fusing import unfused

MODES = {
    "normal": lambda low, top: top,
    "multiply": lambda low, top: low * top,
    "screen": lambda low, top: low + top - low * top,
    "overlay": lambda low, top: ops.where(
        low < 0.5, 2.0 * low * top, 1.0 - 2.0 * (1.0 - low) * (1.0 - top)
    ),
    "hard_light": lambda low, top: ops.where(
        top < 0.5, 2.0 * low * top, 1.0 - 2.0 * (1.0 - low) * (1.0 - top)
    ),
    "darken": ops.minimum,
    "lighten": ops.maximum,
    "difference": lambda low, top: ops.abs(low - top),
    "add": lambda low, top: low + top,
    "subtract": lambda low, top: low - top,
    "soft_light": lambda low, top: (1.0 - 2.0 * top) * low * low + 2.0 * top * low,
}


class Over(Formula):
    """What lies over the frame: `_layer` float32 (t, h, w, C), `_alpha` (t, h, w, 1)."""

    ranges = {"opacity": (0, 1), "x": (0, 1), "y": (0, 1)}
    fuses = False  # what lies over the frame is a constant, which XLA would work out by itself
    _layer: np.ndarray
    _alpha: np.ndarray

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames = clip.shape[1]
        if frames is None:
            raise VgzooError(
                f"{self.edit_name}: the clip's length is unknown here; fix it with clip.set_shape"
            )
        # A clip over the frame begins again when it ends.
        which = np.arange(when.start, when.start + frames) % len(self._layer)
        which = which[:1] if len(self._layer) == 1 else which
        return super().run(clip, when, layer=self._layer[which], alpha=self._alpha[which], **values)

    def edit(
        self,
        clip: Any,
        opacity: Any,
        layer: np.ndarray,
        alpha: np.ndarray,
        size: Any = 1.0,
        **place: Any,
    ) -> Any:
        height, width = size_of(self.edit_name, clip.shape)
        fixed = isinstance(size, float)
        if fixed:
            layer, alpha = self._fitted(layer, alpha, (height, width), size)
        if clip.shape[-1] == 1 and layer.shape[-1] == 3:
            layer = (layer @ np.float32([0.2126, 0.7152, 0.0722]))[..., None]
        old = layer.shape[1:3]
        new = old if fixed else self._extent(old, (height, width), flat(size))
        rooms = tuple(n - m for n, m in zip((height, width), new, strict=True))
        places = self._place(rooms, height, **{k: flat(v) for k, v in place.items()})
        down, right = (ops.convert_to_tensor(p, "float32") for p in places)
        if fixed:  # whole pixels, so that what stands still is as sharp as it came
            down, right = ops.round(down), ops.round(right)
        rows = ops.reshape(ops.arange(height, dtype="float32"), (1, 1, -1, 1)) - down
        columns = ops.reshape(ops.arange(width, dtype="float32"), (1, 1, 1, -1)) - right
        both = ops.convert_to_tensor(np.concatenate([layer * alpha, alpha], -1)[None])
        with unfused():  # what lies over the frame is a constant
            if fixed:
                placed = sample(both, columns, rows, "black")
            else:
                placed = _scaled(both, columns, rows, new)
        share = placed[..., -1:]
        top = placed[..., :-1] / ops.maximum(share, 1e-6)
        mixed = ops.clip(MODES[self.mode](clip, top), 0.0, 1.0)
        return clip + (mixed - clip) * share * opacity

    def _fitted(
        self, layer: np.ndarray, alpha: np.ndarray, frame: tuple[int, int], size: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """What lies over a frame of this height and width; it must not be larger."""
        if layer.shape[1] > frame[0] or layer.shape[2] > frame[1]:
            raise VgzooError(
                f"{self.edit_name}: {layer.shape[2]}x{layer.shape[1]} pixels came for frames of "
                f"{frame[1]}x{frame[0]}; make it smaller"
            )
        return layer, alpha

    def _extent(self, old: tuple[int, int], frame: tuple[int, int], size: Any) -> tuple[Any, Any]:
        """The height and width that it takes where its size changes along the clip."""
        return old[0] * size, old[1] * size

    def _place(self, rooms: tuple[Any, Any], height: int, **place: Any) -> tuple[Any, Any]:
        """Its first row and column, where `rooms` rows and columns of the frame are left over."""
        return place["y"] * rooms[0], place["x"] * rooms[1]


def _scaled(layer: Any, columns: Any, rows: Any, size: tuple[Any, Any]) -> Any:
    """A layer (1, t, h, w, C) in frames, made as large as `size` says; beyond it all is 0.

    `columns` and `rows`: of the frame's pixels, from the layer's left and top on.
    """
    edges, area = [], 1.0
    for first, old, new in zip((rows, columns), layer.shape[2:4], size, strict=True):
        scale = old / new
        edges.append(tuple(ops.clip((first + i) * scale, 0.0, float(old)) for i in (0.0, 1.0)))
        area = area * scale
    return box_sums(layer, edges[1], edges[0]) / area[..., None]


def pictures(owner: str, source: Any) -> tuple[np.ndarray, np.ndarray]:
    """A file or an array as colours and alpha, float32 (t, h, w, C) and (t, h, w, 1) in [0, 1]."""
    if isinstance(source, str | Path):
        if Path(source).suffix.lower() == ".png" and Path(source).is_file():
            from PIL import Image

            try:
                with Image.open(source, formats=("PNG",)) as image:
                    pixels = np.asarray(image.convert("RGBA"), "float32")[None] / 255
            except (OSError, ValueError, SyntaxError) as error:
                raise VgzooError(f"{owner}: {source} is damaged; write it again") from error
            return pixels[..., :3], pixels[..., 3:]
        clip = video.read(source)
    else:
        clip = np.asarray(source, "uint8" if isinstance(source, list) else None)
        if clip.ndim == 4 and clip.shape[-1] == 4:
            colours, alpha = pictures(owner, clip[..., :3])[0], clip[..., 3:]
            alpha = alpha / 255 if alpha.dtype == np.uint8 else alpha
            return colours, alpha.astype("float32")
        clip = video.as_uint8(clip)
        if clip.ndim == 5:
            raise VgzooError(f"{owner}: a batch of shape {clip.shape} came; wanted one clip")
    return clip.astype("float32") / 255, np.ones((*clip.shape[:3], 1), "float32")
