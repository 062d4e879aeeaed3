"""Composition: a picture, a clip or words over the frame, or beside it."""

from __future__ import annotations

from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vgzoo import video
from vgzoo.edit._near import near
from vgzoo.edit.base import WHOLE, Edit, When, register
from vgzoo.edit.frame import resized, whole
from vgzoo.edit.keyframes import Value
from vgzoo.edit.look import colour
from vgzoo.edit.sampling import sample, size_of
from vgzoo.errors import VgzooError

_MODES = {
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


class _Over(Edit):
    """What lies over the frame: `_layer` float32 (t, h, w, C), `_alpha` (t, h, w, 1)."""

    ranges = {"opacity": (0, 1), "x": (0, 1), "y": (0, 1)}
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
        self, clip: Any, opacity: Any, x: Any, y: Any, layer: np.ndarray, alpha: np.ndarray
    ) -> Any:
        height, width = size_of(self.edit_name, clip)
        layer, alpha = self._fitted(layer, alpha, height, width)
        if clip.shape[-1] == 1 and layer.shape[-1] == 3:
            layer = (layer @ np.float32([0.2126, 0.7152, 0.0722]))[..., None]
        high, wide = layer.shape[1:3]
        # Whole pixels, so that what stands still is as sharp as it came.
        down = ops.round(ops.convert_to_tensor(y, "float32") * (height - high))
        right = ops.round(ops.convert_to_tensor(x, "float32") * (width - wide))
        down, right = (p[..., 0] if len(p.shape) == 5 else p for p in (down, right))
        rows = ops.arange(height, dtype="float32")[:, None] - down
        columns = ops.arange(width, dtype="float32") - right
        blank = ops.zeros((1, 1, height, width))
        both = ops.convert_to_tensor(np.concatenate([layer * alpha, alpha], -1)[None])
        placed = sample(both, columns + blank, rows + blank, "black")
        share = placed[..., -1:]
        top = placed[..., :-1] / ops.maximum(share, 1e-6)
        mixed = ops.clip(_MODES[self.mode](clip, top), 0.0, 1.0)
        return clip + (mixed - clip) * share * opacity

    def _fitted(
        self, layer: np.ndarray, alpha: np.ndarray, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """What lies over a frame of this size; it must not be larger."""
        if layer.shape[1] > height or layer.shape[2] > width:
            raise VgzooError(
                f"{self.edit_name}: {layer.shape[2]}x{layer.shape[1]} pixels came for frames of "
                f"{width}x{height}; make it smaller"
            )
        return layer, alpha


def _pictures(owner: str, source: Any) -> tuple[np.ndarray, np.ndarray]:
    """A file or an array as colours and alpha, float32 (t, h, w, C) and (t, h, w, 1) in [0, 1]."""
    if isinstance(source, str):
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
            colours, alpha = _pictures(owner, clip[..., :3])[0], clip[..., 3:]
            alpha = alpha / 255 if alpha.dtype == np.uint8 else alpha
            return colours, alpha.astype("float32")
        clip = video.as_uint8(clip)
        if clip.ndim == 5:
            raise VgzooError(f"{owner}: a batch of shape {clip.shape} came; wanted one clip")
    return clip.astype("float32") / 255, np.ones((*clip.shape[:3], 1), "float32")


@register("overlay")
class Overlay(_Over):
    """A picture or a clip over the frame, blended.

    Args:
        source: a file, of which a png may be transparent, or (t, h, w, 1, 3 or 4), uint8 or float
            in [0, 1]; the fourth channel is alpha. A clip begins again when it ends.
        opacity: 0 to 1.
        x, y: 0 to 1, where: 0 at the left and top, 1 at the right and bottom border.
        mode: "normal", "multiply", "screen", "overlay", "hard_light", "soft_light", "darken",
            "lighten", "difference", "add" or "subtract" (W3C, "Compositing and Blending Level 1";
            soft light as Pegtop has it).

    Raises:
        VgzooError: no such file or mode, or, as a clip comes, a layer larger than its frames.
    """

    def __init__(
        self,
        source: Any,
        opacity: Value = 1.0,
        x: Value = 0.5,
        y: Value = 0.5,
        mode: str = "normal",
        **kwargs: Any,
    ) -> None:
        source = str(source) if isinstance(source, Path) else source
        super().__init__(source=source, opacity=opacity, x=x, y=y, mode=mode, **kwargs)
        if mode not in _MODES:
            raise VgzooError(f"overlay: no mode {mode!r}; {near(str(mode), _MODES)}")
        self._layer, self._alpha = _pictures("overlay", source)


@register("picture_in_picture")
class PictureInPicture(_Over):
    """Another picture or clip, small, over the frame.

    Args:
        source: as in `Overlay`.
        size: 0.01 to 1, its height in heights of the frame; it is made narrower where it must.
        opacity, x, y: as in `Overlay`.
    """

    mode = "normal"

    def __init__(
        self,
        source: Any,
        size: float = 0.3,
        opacity: Value = 1.0,
        x: Value = 0.95,
        y: Value = 0.95,
        **kwargs: Any,
    ) -> None:
        source = str(source) if isinstance(source, Path) else source
        super().__init__(source=source, size=size, opacity=opacity, x=x, y=y, **kwargs)
        if isinstance(size, bool) or not isinstance(size, Real) or not 0.01 <= size <= 1:
            raise VgzooError(f"picture_in_picture: size={size!r} came; wanted 0.01 to 1")
        self._layer, self._alpha = _pictures("picture_in_picture", source)

    def _fitted(
        self, layer: np.ndarray, alpha: np.ndarray, height: int, width: int
    ) -> tuple[np.ndarray, np.ndarray]:
        old_height, old_width = layer.shape[1:3]
        scale = min(self.size * height / old_height, width / old_width)
        size = max(1, round(old_height * scale)), max(1, round(old_width * scale))
        both = ops.convert_to_tensor(np.concatenate([layer, alpha], -1)[None])
        both = np.clip(ops.convert_to_numpy(resized(both, size, "auto"))[0], 0, 1)
        return both[..., :-1], both[..., -1:]


@register("text")
class Text(_Over):
    """Words over the frame. With a low opacity, a watermark.

    Args:
        text: the words; line breaks count.
        size: 4 to 1000 pixels, of the letters.
        color: of the letters, "#rrggbb" or three numbers in [0, 1].
        font: a TrueType file; None: Pillow's own.
        opacity, x, y: as in `Overlay`.

    Raises:
        VgzooError: no text or no such font, or, as a clip comes, more than fits in its frames.
    """

    mode = "normal"

    def __init__(
        self,
        text: str,
        size: int = 24,
        color: Any = "#ffffff",
        font: str | None = None,
        opacity: Value = 1.0,
        x: Value = 0.5,
        y: Value = 0.95,
        **kwargs: Any,
    ) -> None:
        from PIL import Image, ImageDraw, ImageFont

        if isinstance(text, int | float):  # as the short form of the command line reads "2026"
            text = str(text)
        if not isinstance(text, str) or not text.strip():
            raise VgzooError(f"text: {text!r} came; wanted words")
        if whole("text", "size", size, 4) > 1000:
            raise VgzooError(f"text: size={size} came; wanted 4 to 1000 pixels")
        super().__init__(
            text=text, size=size, color=color, font=font, opacity=opacity, x=x, y=y, **kwargs
        )
        try:
            letters = ImageFont.truetype(font, size) if font else ImageFont.load_default(size)
        except OSError as error:
            raise VgzooError(f"text: cannot read the font {font}: {error}") from error
        left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
            (0, 0), text, font=letters
        )
        mask = Image.new("L", (int(np.ceil(right - left)) + 2, int(np.ceil(bottom - top)) + 2))
        ImageDraw.Draw(mask).multiline_text((1 - left, 1 - top), text, 255, letters)
        self._alpha = np.asarray(mask, "float32")[None, ..., None] / 255
        fill = colour("color", color).astype("float32")
        self._layer = np.broadcast_to(fill, (*self._alpha.shape[:3], 3)).copy()


@register("side_by_side")
class SideBySide(Edit):
    """Another clip beside the frame, at the same height, or below it, at the same width.

    Args:
        source: a file or (t, h, w, C); it begins again when it ends.
        below: whether it lies below.
    """

    def __init__(self, source: Any, below: bool = False, **kwargs: Any) -> None:
        source = str(source) if isinstance(source, Path) else source
        super().__init__(source=source, below=bool(below), **kwargs)
        self._other = _pictures("side_by_side", source)[0]

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames, (height, width) = clip.shape[1], size_of("side_by_side", clip)
        if frames is None:
            raise VgzooError("side_by_side: the clip's length is unknown; fix it with set_shape")
        which = np.arange(when.start, when.start + frames) % len(self._other)
        other = self._other[which]
        if clip.shape[-1] == 1 and other.shape[-1] == 3:
            other = (other @ np.float32([0.2126, 0.7152, 0.0722]))[..., None]
        elif clip.shape[-1] == 3:
            other = np.broadcast_to(other, (*other.shape[:3], 3))
        old_height, old_width = other.shape[1:3]
        scale = width / old_width if self.below else height / old_height
        size = (
            (max(1, round(old_height * scale)), width)
            if self.below
            else (height, max(1, round(old_width * scale)))
        )
        other = ops.clip(resized(ops.convert_to_tensor(other[None].copy()), size, "auto"), 0.0, 1.0)
        other = ops.broadcast_to(other, (ops.shape(clip)[0], *other.shape[1:]))
        return ops.concatenate([clip, other], 2 if self.below else 3)
