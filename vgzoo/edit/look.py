"""Looks: vignette, grain, chroma key."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.edit.base import Formula
from vgzoo.edit.colour import TO_YCC, luma
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError

_BANK = 256  # pixels of a side of the noise that grain is cut from


@register("vignette")
class Vignette(Formula):
    """Darkens towards the corners.

    Args:
        amount: 0 to 1, how much of the light the corners lose.
        radius: 0 to 2, where it begins, in half diagonals from the middle.
        softness: 0.01 to 2, over how much more it reaches its full strength.
    """

    ranges = {"amount": (0, 1), "radius": (0, 2), "softness": (0.01, 2)}

    def __init__(
        self, amount: Value = 0.5, radius: Value = 0.4, softness: Value = 0.6, **kwargs: Any
    ) -> None:
        super().__init__(amount=amount, radius=radius, softness=softness, **kwargs)

    def edit(self, clip: Any, amount: Any, radius: Any, softness: Any) -> Any:
        height, width = ops.shape(clip)[2], ops.shape(clip)[3]
        high, wide = ops.cast(height, "float32"), ops.cast(width, "float32")
        y = (ops.arange(height, dtype="float32") + 0.5 - high / 2)[:, None, None]
        x = (ops.arange(width, dtype="float32") + 0.5 - wide / 2)[:, None]
        distance = ops.sqrt((x * x + y * y) / ((high * high + wide * wide) / 4))
        share = ops.clip((distance - radius) / softness, 0.0, 1.0)
        return clip * (1.0 - amount * share * share * (3.0 - 2.0 * share))


@register("grain")
class Grain(Formula):
    """Film grain: noise that is strongest in the middle tones, another in each frame.

    Grain of a frame depends on the seed and the frame's number, so a clip is the same whatever
    the window it is edited in.

    Args:
        amount: 0 to 1, the noise's standard deviation in the middle tones.
        coloured: whether the channels differ.
        seed: which grain.
    """

    ranges = {"amount": (0, 1)}

    def __init__(
        self, amount: Value = 0.05, coloured: bool = False, seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(amount=amount, coloured=bool(coloured), seed=seed, **kwargs)
        bank = random.normal_rows(seed, 0, 1, (_BANK * _BANK,))[0]
        self._bank = (bank - bank.mean()) / bank.std()

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        _, frames, height, width, channels = clip.shape
        if None in (frames, height, width):
            raise VgzooError("grain: the clip's size is unknown here; fix it with clip.set_shape")
        kinds = channels if self.coloured else 1
        draws = random.uniform_rows(self.seed, when.start, frames, 2 * kinds)
        corner = (draws * _BANK).astype("int32").reshape(frames, 1, 1, kinds, 2)
        top, left = corner[..., 0], corner[..., 1]
        row = (np.arange(height, dtype="int32")[:, None, None] + top) % _BANK
        column = (np.arange(width, dtype="int32")[:, None] + left) % _BANK
        noise = ops.take(ops.convert_to_tensor(self._bank), row * _BANK + column)
        return super().run(clip, when, noise=noise, **values)

    def edit(self, clip: Any, amount: Any, noise: Any) -> Any:
        grey = luma(clip)
        return clip + noise * (amount * 4.0) * grey * (1.0 - grey)


@register("chroma_key")
class ChromaKey(Formula):
    """Takes one colour out and shows another behind it.

    Args:
        key: the colour of the screen, (red, green, blue) in [0, 1] or "#00ff00".
        tolerance: 0 to 1, the distance in (Cb, Cr) up to which all is screen.
        softness: 0.001 to 1, over how much more the picture comes in.
        spill: 0 to 1, how much of the screen's tinge is taken off the rest.
        background: the colour behind.
    """

    ranges = {"tolerance": (0, 1), "softness": (0.001, 1), "spill": (0, 1)}
    channels = (3,)

    def __init__(
        self,
        key: Any = "#00ff00",
        tolerance: Value = 0.2,
        softness: Value = 0.1,
        spill: Value = 0.5,
        background: Any = "#000000",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            key=key,
            tolerance=tolerance,
            softness=softness,
            spill=spill,
            background=background,
            **kwargs,
        )
        self._key = TO_YCC[1:] @ colour("key", key)
        if np.hypot(*self._key) < 0.05:
            raise VgzooError(f"chroma_key: key={key!r} is a grey; wanted a colour")
        self._behind = colour("background", background).astype("float32")

    def matte(self, clip: Any, tolerance: Any, softness: Any) -> Any:
        """How much of a pixel is picture, (…, 1) in [0, 1]."""
        plane = ops.matmul(clip, TO_YCC[1:].T.astype("float32"))
        off = plane - self._key.astype("float32")
        distance = ops.sqrt(ops.sum(off * off, -1, keepdims=True))
        return ops.clip((distance - tolerance) / softness, 0.0, 1.0)

    def edit(self, clip: Any, tolerance: Any, softness: Any, spill: Any) -> Any:
        share = self.matte(clip, tolerance, softness)
        towards = self._key / np.hypot(*self._key)
        tinge = ops.matmul(clip, (towards @ TO_YCC[1:]).astype("float32")[:, None])
        step = np.linalg.inv(TO_YCC) @ np.array([0, *towards])
        clean = ops.clip(clip - spill * ops.maximum(tinge, 0.0) * step.astype("float32"), 0.0, 1.0)
        return share * clean + (1.0 - share) * self._behind


def colour(name: str, value: Any) -> np.ndarray:
    """A colour, "#rrggbb" or three numbers in [0, 1], as float64 (3,)."""
    try:
        if isinstance(value, str):
            if len(value) != 7 or value[0] != "#":
                raise ValueError
            return np.array([int(value[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        array = np.asarray(value, "float64")
        if array.shape != (3,) or not ((array >= 0) & (array <= 1)).all():
            raise ValueError
    except (TypeError, ValueError) as error:
        raise VgzooError(
            f"{name}={value!r} came; wanted '#rrggbb' or three numbers in [0, 1]"
        ) from error
    return array
