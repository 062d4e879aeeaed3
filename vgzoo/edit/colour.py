"""Colour: edits that mix channels, around the luma of BT.709."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula, Measured, opencv
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.tone import Pointwise, from_linear, to_linear

LUMA = (0.2126, 0.7152, 0.0722)  # of red, green, blue in BT.709

_IDENTITY = np.eye(3)
_GREY = np.tile(LUMA, (3, 1))
# (Y, Cb, Cr) of (R, G, B), and a quarter turn in the plane of the colour differences.
TO_YCC = np.array(
    [
        LUMA,
        [-LUMA[0] / 1.8556, -LUMA[1] / 1.8556, (1 - LUMA[2]) / 1.8556],
        [(1 - LUMA[0]) / 1.5748, -LUMA[1] / 1.5748, -LUMA[2] / 1.5748],
    ]
)
_QUARTER = np.linalg.inv(TO_YCC) @ np.array([[0, 0, 0], [0, 0, -1], [0, 1, 0]]) @ TO_YCC
_SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def luma(clip: Any) -> Any:
    """(…, 3) to (…, 1), the weighted sum of the sRGB values; grey stays as it is."""
    if clip.shape[-1] == 1:
        return clip
    return sum(LUMA[c] * clip[..., c : c + 1] for c in range(3))


class Mix(Formula):
    """An edit that is a 3×3 matrix on (R, G, B). Grey clips, which have no colour, stay."""

    @abc.abstractmethod
    def weights(self, **values: Any) -> list[tuple[Any, np.ndarray]]:
        """The matrix as a sum of numbers times constant matrices."""

    def edit(self, clip: Any, **values: Any) -> Any:
        if clip.shape[-1] == 1:
            return clip
        mixed = 0.0
        for share, matrix in self.weights(**values):
            mixed = mixed + share * ops.matmul(clip, matrix.T.astype("float32"))
        return mixed

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        if clip.shape[-1] == 1:
            return clip
        transform, edited = opencv().transform, np.empty_like(clip)
        terms = self.weights(**self.values(len(clip), when))
        for index, frame in enumerate(clip):
            matrix = 0.0
            for share, term in terms:
                share = np.ravel(np.asarray(share))
                matrix = matrix + float(share[index if len(share) > 1 else 0]) * term
            transform(frame, matrix, edited[index])
        return edited


@register("saturation")
class Saturation(Mix):
    """Colour differences times a factor; the luma stays.

    Args:
        factor: 0 (grey) to 10; 1 changes nothing.
    """

    ranges = {"factor": (0, 10)}

    def __init__(self, factor: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(factor=factor, **kwargs)

    def weights(self, factor: Any) -> list[tuple[Any, np.ndarray]]:
        return [(factor, _IDENTITY), (1.0 - factor, _GREY)]


@register("hue")
class Hue(Mix):
    """Turns the colour differences (Cb, Cr); the luma stays, which a turn in HSV would not keep.

    Args:
        degrees: -360 to 360; 120 takes red to near green.
    """

    ranges = {"degrees": (-360, 360)}

    def __init__(self, degrees: Value = 0.0, **kwargs: Any) -> None:
        super().__init__(degrees=degrees, **kwargs)

    def weights(self, degrees: Any) -> list[tuple[Any, np.ndarray]]:
        if isinstance(degrees, float | np.ndarray):
            turn = np.asarray(np.deg2rad(degrees), "float32")
            cos, sin = np.cos(turn), np.sin(turn)
        else:
            cos, sin = ops.cos(degrees * (np.pi / 180)), ops.sin(degrees * (np.pi / 180))
        return [(1.0, _GREY), (cos, _IDENTITY - _GREY), (sin, _QUARTER)]


@register("greyscale")
class Greyscale(Mix):
    """The luma in all channels.

    Args:
        amount: 0 to 1; 0 changes nothing.
    """

    ranges = {"amount": (0, 1)}

    def __init__(self, amount: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def weights(self, amount: Any) -> list[tuple[Any, np.ndarray]]:
        return [(amount, _GREY), (1.0 - amount, _IDENTITY)]


@register("sepia")
class Sepia(Mix):
    """The brown of old prints.

    Args:
        amount: 0 to 1; 0 changes nothing.
    """

    ranges = {"amount": (0, 1)}
    channels = (3,)

    def __init__(self, amount: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def weights(self, amount: Any) -> list[tuple[Any, np.ndarray]]:
        return [(amount, _SEPIA), (1.0 - amount, _IDENTITY)]


@register("vibrance")
class Vibrance(Formula):
    """Saturation that leaves alone what is saturated already.

    Args:
        amount: -1 to 2; 0 changes nothing. A pixel's factor is 1 + amount (1 - max + min).
    """

    ranges = {"amount": (-1, 2)}

    def __init__(self, amount: Value = 0.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def edit(self, clip: Any, amount: Any) -> Any:
        spread = ops.max(clip, -1, keepdims=True) - ops.min(clip, -1, keepdims=True)
        grey = luma(clip)
        return grey + (clip - grey) * (1.0 + amount * (1.0 - spread))


@register("temperature")
class Temperature(Pointwise):
    """Warmer or colder light: gains on linear red, green and blue that keep the luma of white.

    Args:
        warmth: -1 (blue) to 1 (amber); red and blue move apart by two stops at the ends.
        tint: -1 (green) to 1 (magenta); green moves by one stop at the ends.
    """

    ranges = {"warmth": (-1, 1), "tint": (-1, 1)}
    channels = (3,)

    def __init__(self, warmth: Value = 0.0, tint: Value = 0.0, **kwargs: Any) -> None:
        super().__init__(warmth=warmth, tint=tint, **kwargs)

    def edit(self, clip: Any, warmth: Any, tint: Any) -> Any:
        red, green, blue = 2.0**warmth, 2.0 ** (-1.0 * tint), 2.0 ** (-1.0 * warmth)
        white = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        linear = to_linear(clip)
        parts = [linear[..., i : i + 1] * (g / white) for i, g in enumerate((red, green, blue))]
        return from_linear(ops.clip(ops.concatenate(parts, -1), 0.0, 1.0))


@register("white_balance")
class WhiteBalance(Measured):
    """Grey-world balance: gains on linear light that make the clip's mean colour grey.

    G. Buchsbaum, "A spatial processor model for object colour perception" (1980).

    Args:
        amount: 0 to 1; 0 changes nothing.
    """

    ranges = {"amount": (0, 1)}

    def __init__(self, amount: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def measure(self, clip: Any) -> Any:
        return ops.sum(ops.mean(to_linear(clip), (2, 3)), 1)  # (B, C)

    def edit(self, clip: Any, measured: Any, amount: Any) -> Any:
        measured = measured[:, None, None, None] + 1e-6
        if clip.shape[-1] == 1:
            return clip
        gains = (luma(measured) / measured) ** amount
        return from_linear(ops.clip(to_linear(clip) * gains, 0.0, 1.0))
