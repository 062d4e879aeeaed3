"""Composition: a picture, a clip, a mark or words over the frame, or a clip beside it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit._near import near
from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value, largest
from vgzoo.edit.look import colour
from vgzoo.edit.over import MODES, Over, pictures
from vgzoo.edit.registry import register
from vgzoo.edit.resizing import resized, weights
from vgzoo.edit.sampling import size_of
from vgzoo.errors import VgzooError

_CORNERS = {  # whether it lies at the top, and at the left
    "top-left": (True, True),
    "top-right": (True, False),
    "bottom-left": (False, True),
    "bottom-right": (False, False),
}


def scaled(
    layer: np.ndarray, alpha: np.ndarray, height: float, width: float
) -> tuple[np.ndarray, np.ndarray]:
    """A layer of that height, or lower where it would be wider than `width`."""
    old_height, old_width = layer.shape[1:3]
    scale = min(height / old_height, width / old_width)
    size = max(1, round(old_height * scale)), max(1, round(old_width * scale))
    down, across = weights((old_height, old_width), size)
    both = np.einsum(
        "ph,thwc,qw->tpqc", down, np.concatenate([layer, alpha], -1), across, optimize=True
    )
    both = np.clip(both, 0, 1)
    return both[..., :-1], both[..., -1:]


@register("overlay")
class Overlay(Over):
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
        super().__init__(source=source, opacity=opacity, x=x, y=y, mode=mode, **kwargs)
        if mode not in MODES:
            raise VgzooError(f"overlay: no mode {mode!r}; {near(str(mode), MODES)}")
        self._layer, self._alpha = pictures("overlay", source)


class _Small(Over):
    """Something that lies over the frame in another size than it came."""

    mode = "normal"

    def __init__(self, source: Any, size: Value, **settings: Any) -> None:
        super().__init__(source=source, size=size, **settings)
        self._layer, self._alpha = pictures(self.edit_name, source)

    def _fitted(
        self, layer: np.ndarray, alpha: np.ndarray, frame: tuple[int, int], size: float
    ) -> tuple[np.ndarray, np.ndarray]:
        return scaled(layer, alpha, size * frame[0], frame[1])

    def _extent(self, old: tuple[int, int], frame: tuple[int, int], size: Any) -> tuple[Any, Any]:
        scale = ops.minimum(size * (frame[0] / old[0]), frame[1] / old[1])
        return ops.maximum(old[0] * scale, 1.0), ops.maximum(old[1] * scale, 1.0)


@register("picture_in_picture")
class PictureInPicture(_Small):
    """Another picture or clip, small, over the frame.

    Args:
        source: as in `Overlay`.
        size: 0.01 to 1, its height in heights of the frame; it is made narrower where it must.
        opacity, x, y: as in `Overlay`.
    """

    ranges = _Small.ranges | {"size": (0.01, 1)}

    def __init__(
        self,
        source: Any,
        size: Value = 0.3,
        opacity: Value = 1.0,
        x: Value = 0.95,
        y: Value = 0.95,
        **kwargs: Any,
    ) -> None:
        super().__init__(source, size, opacity=opacity, x=x, y=y, **kwargs)


@register("watermark")
class Watermark(_Small):
    """A mark, faint, in a corner of the frame.

    Args:
        source: as in `Overlay`.
        size: 0.01 to 1, its height in heights of the frame; it is made narrower where it must.
        opacity: 0 to 1.
        corner: "top-left", "top-right", "bottom-left" or "bottom-right".
        margin: 0 to 0.4, from the borders, in heights of the frame.
    """

    ranges = {"size": (0.01, 1), "opacity": (0, 1), "margin": (0, 0.4)}

    def __init__(
        self,
        source: Any,
        size: Value = 0.12,
        opacity: Value = 0.35,
        corner: str = "bottom-right",
        margin: Value = 0.03,
        **kwargs: Any,
    ) -> None:
        if corner not in _CORNERS:
            raise VgzooError(f"watermark: corner={corner!r} came; {near(str(corner), _CORNERS)}")
        super().__init__(source, size, opacity=opacity, corner=corner, margin=margin, **kwargs)

    def _place(self, rooms: tuple[Any, Any], height: int, margin: Any) -> tuple[Any, Any]:
        gaps = (ops.minimum(margin * height, room * 1.0) for room in rooms)
        ends = zip(rooms, gaps, _CORNERS[self.corner], strict=True)
        return tuple(gap if first else room - gap for room, gap, first in ends)


@register("text")
class Text(Over):
    """Words over the frame.

    Args:
        text: the words; line breaks count.
        size: 4 to 1000 pixels, of the letters. Where it changes along the clip, they are drawn
            at the largest size and made smaller.
        color: of the letters, "#rrggbb" or three numbers in [0, 1].
        font: a TrueType file; None: Pillow's own.
        opacity, x, y: as in `Overlay`.

    Raises:
        VgzooError: no text or no such font, or, as a clip comes, more than fits in its frames.
    """

    ranges = Over.ranges | {"size": (4, 1000)}
    mode = "normal"

    def __init__(
        self,
        text: str,
        size: Value = 24.0,
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
        super().__init__(
            text=text, size=size, color=color, font=font, opacity=opacity, x=x, y=y, **kwargs
        )
        self._drawn = largest(self.size)
        try:
            draw = ImageFont.load_default if font is None else partial(ImageFont.truetype, font)
            letters = draw(size=self._drawn)
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

    def _extent(self, old: tuple[int, int], frame: tuple[int, int], size: Any) -> tuple[Any, Any]:
        self._fitted(self._layer, self._alpha, frame, self._drawn)
        return super()._extent(old, frame, size / self._drawn)


@register("side_by_side")
class SideBySide(Edit):
    """Another clip beside the frame, at the same height, or below it, at the same width.

    Args:
        source: a file or (t, h, w, C); it begins again when it ends.
        below: whether it lies below.
    """

    fuses = False  # as what lies over a frame

    def __init__(self, source: Any, below: bool = False, **kwargs: Any) -> None:
        super().__init__(source=source, below=bool(below), **kwargs)
        self._other = pictures("side_by_side", source)[0]

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        frames, (height, width) = clip.shape[1], size_of("side_by_side", clip.shape)
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
