"""Colours of one clip on another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vgzoo import video
from vgzoo.edit._near import near
from vgzoo.edit.base import Measured
from vgzoo.edit.histogram import histogram, look_up
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.tone import from_linear, to_linear
from vgzoo.errors import VgzooError

_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883], "float32")  # D65, 2 degrees
_BEND = 0.008856


def to_lab(clip: Any) -> Any:
    """sRGB (…, 3) in [0, 1] to CIE L*a*b*."""
    xyz = ops.matmul(to_linear(clip), _TO_XYZ.T.astype("float32")) / _WHITE
    root = ops.where(xyz > _BEND, ops.maximum(xyz, _BEND) ** (1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = root[..., :1], root[..., 1:2], root[..., 2:]
    return ops.concatenate([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def from_lab(lab: Any) -> Any:
    """CIE L*a*b* (…, 3) to sRGB, held to [0, 1]."""
    y = (lab[..., :1] + 16) / 116
    root = ops.concatenate([y + lab[..., 1:2] / 500, y, y - lab[..., 2:] / 200], -1)
    xyz = ops.where(root > 0.2068966, root**3, (root - 16 / 116) / 7.787)
    linear = ops.matmul(xyz * _WHITE, np.linalg.inv(_TO_XYZ).T.astype("float32"))
    return from_linear(ops.clip(linear, 0.0, 1.0))


# The cones' responses, and three axes along which their logarithms hardly go together in pictures
# of nature: Reinhard et al. 2001, after Ruderman et al. 1998.
_TO_LMS = np.array(
    [[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]], "float32"
)
_OF_LOGS = np.diag([3, 6, 2]) ** 0.5 @ np.array(
    [[1 / 3] * 3, [1 / 6, 1 / 6, -1 / 3], [0.5, -0.5, 0]]
)
_DARKEST = 3e-4  # linear light of the first level above black, which has no logarithm


def to_lalphabeta(clip: Any) -> Any:
    """sRGB (…, 3) in [0, 1] to lαβ."""
    lms = ops.matmul(to_linear(clip), _TO_LMS.T)
    logs = ops.log(ops.maximum(lms, _DARKEST)) / np.log(10.0).astype("float32")
    return ops.matmul(logs, _OF_LOGS.T.astype("float32"))


def from_lalphabeta(lalphabeta: Any) -> Any:
    """lαβ (…, 3) to sRGB, held to [0, 1]."""
    logs = ops.matmul(lalphabeta, np.linalg.inv(_OF_LOGS).T.astype("float32"))
    linear = ops.matmul(10.0**logs, np.linalg.inv(_TO_LMS).T)
    return from_linear(ops.clip(linear, 0.0, 1.0))


_SPACES = {"lalphabeta": (to_lalphabeta, from_lalphabeta), "cielab": (to_lab, from_lab)}


def _reference(owner: str, reference: Any) -> np.ndarray:
    """A reference, given as a file or an array, as uint8 (T, H, W, C)."""
    if reference is None:
        raise VgzooError(f"{owner} needs a reference: a picture, a video or a clip")
    if isinstance(reference, str | Path):
        return video.read(reference, frames=64)
    if isinstance(reference, list):  # out of an edit list
        reference = np.asarray(reference, "uint8")
    reference = video.as_uint8(reference)
    return reference.reshape(-1, *reference.shape[-3:])


class _Match(Measured):
    ranges = {"amount": (0, 1)}

    def __init__(self, reference: Any, amount: Value = 1.0, **settings: Any) -> None:
        clip = _reference(self.edit_name, reference)
        if clip.shape[-1] not in self.channels:
            clip = clip.repeat(3, -1)
        super().__init__(reference=reference, amount=amount, **settings)
        tensor = ops.convert_to_tensor(clip[None].astype("float32") / 255)
        self._wanted = ops.convert_to_numpy(self.measure(tensor))[0]
        self._channels, self._frames = clip.shape[-1], len(clip)


@register("colour_match")
class ColourMatch(_Match):
    """Gives the clip the mean and the spread of a reference's colours.

    E. Reinhard et al., "Color transfer between images" (2001).

    Args:
        reference: a picture or video file, of which up to 64 frames count, or a clip.
        amount: 0 to 1; 0 changes nothing.
        space: of the means and spreads, "lalphabeta", the paper's, or "cielab", in which dark
            pixels count for less.

    Raises:
        VgzooError: another space, or a reference that cannot be read.
    """

    channels = (3,)

    def __init__(
        self, reference: Any, amount: Value = 1.0, space: str = "lalphabeta", **kwargs: Any
    ) -> None:
        if space not in _SPACES:
            raise VgzooError(f"colour_match: no space {space!r}; {near(str(space), _SPACES)}")
        self._there, self._back = _SPACES[space]
        super().__init__(reference, amount, space=space, **kwargs)

    def measure(self, clip: Any) -> Any:
        """Sums over frames of the means (B, 3), of those of the squares, and of ones."""
        colours = self._there(clip)
        both = ops.concatenate([colours, colours * colours, ops.ones_like(clip[..., :1])], -1)
        return ops.sum(ops.mean(both, (2, 3)), 1)

    def edit(self, clip: Any, measured: Any, amount: Any) -> Any:
        measured = measured[:, None, None, None]
        mean, square = (measured[..., i : i + 3] / measured[..., 6:] for i in (0, 3))
        spread = ops.sqrt(ops.maximum(square - mean * mean, 1e-6))
        wanted = self._wanted / self._wanted[6]
        wanted_spread = np.sqrt(np.maximum(wanted[3:6] - wanted[:3] ** 2, 0))
        colours = (self._there(clip) - mean) * (wanted_spread / spread) + wanted[:3]
        return clip + (self._back(colours) - clip) * amount


@register("histogram_match")
class HistogramMatch(_Match):
    """Gives each channel of the clip the distribution of levels of a reference.

    Args:
        reference: a picture or video file, of which up to 64 frames count, or a clip.
        amount: 0 to 1; 0 changes nothing.

    Raises:
        VgzooError: as the clip is edited, if it has other channels than the reference.
    """

    def measure(self, clip: Any) -> Any:
        return histogram(clip)

    def edit(self, clip: Any, measured: Any, amount: Any) -> Any:
        channels = clip.shape[-1]
        wanted = self._wanted.reshape(self._channels, 256)
        if self._channels == 1:
            wanted = wanted.repeat(channels, 0)
        if len(wanted) != channels:
            raise VgzooError("histogram_match: a grey clip needs a grey reference; convert it")
        counts = ops.reshape(measured, (-1, channels, 256))
        share = ops.cumsum(counts, -1)
        share = share / share[..., -1:]
        tables = [self._inverse(wanted[c], share[:, c]) for c in range(channels)]
        return clip + (look_up(clip, ops.stack(tables, 1)) - clip) * amount

    @staticmethod
    def _inverse(counts: np.ndarray, share: Any) -> Any:
        """The levels, in [0, 1], below which shares (B, 256) of the reference lie."""
        levels = np.flatnonzero(counts)
        below = (np.cumsum(counts[levels]) / counts.sum()).astype("float32")
        if len(levels) == 1:
            return ops.ones_like(share) * float(levels[0] / 255)
        values = (levels / 255).astype("float32")
        right = ops.searchsorted(ops.convert_to_tensor(below), ops.reshape(share, (-1,)))
        right = ops.clip(ops.cast(right, "int32"), 1, len(levels) - 1)
        right = ops.reshape(right, ops.shape(share))
        x0, x1 = ops.take(below, right - 1), ops.take(below, right)
        y0, y1 = ops.take(values, right - 1), ops.take(values, right)
        return y0 + (y1 - y0) * ops.clip((share - x0) / (x1 - x0), 0.0, 1.0)
