"""Filters along time: a frame and those around it. Before the first frame lies the first one
again, behind the last one the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula
from vgzoo.edit.colour import luma
from vgzoo.edit.keyframes import Value, largest, rounded
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError


def neighbours(owner: str, clip: Any, radius: int) -> list[Any]:
    """The clips (B, T, H, W, C) of the frames `radius` before to `radius` behind."""
    frames = clip.shape[1]
    if frames is None:
        raise VgzooError(f"{owner}: the clip's length is unknown here; fix it with clip.set_shape")
    around = []
    for offset in range(-radius, radius + 1):
        places = np.clip(np.arange(frames) + offset, 0, frames - 1).astype("int32")
        around.append(ops.take(clip, places, axis=1) if offset else clip)
    return around


class _Temporal(Formula):
    def __init__(self, radius: Value, **settings: Any) -> None:
        super().__init__(radius=radius, **settings)
        self.context = rounded(largest(self.radius))

    def _around(self, clip: Any, radius: Any) -> list[tuple[int, Any, Any]]:
        """How far off, the clip of those frames, and 1 where the radius reaches them, else 0."""
        reach = self.context
        clips = neighbours(self.edit_name, clip, reach)
        if isinstance(radius, float):
            counts = [1.0] * len(clips)
        else:
            offsets = range(-reach, reach + 1)
            counts = [ops.cast(radius >= abs(i) - 0.5, "float32") for i in offsets]
        return list(zip(range(-reach, reach + 1), clips, counts, strict=True))


@register("temporal_median")
class TemporalMedian(_Temporal):
    """The median over frames: what passes by in fewer than half of them is gone.

    Args:
        radius: 1 to 60 frames before and behind, rounded.
    """

    ranges = {"radius": (1, 60)}
    fuses = False

    def __init__(self, radius: Value = 1.0, **kwargs: Any) -> None:
        super().__init__(radius, **kwargs)

    def edit(self, clip: Any, radius: Any) -> Any:
        # A frame out of reach is black, and the one as far on the other side white: the middle of
        # the row stays that of those within reach.
        around = [
            other if isinstance(count, float) else ops.where(count > 0, other, float(offset > 0))
            for offset, other, count in self._around(clip, radius)
        ]
        return ops.sort(ops.stack(around, 0), 0)[self.context]


@register("denoise")
class Denoise(_Temporal):
    """The mean over frames, by how alike they are in that pixel: still parts lose their noise and
    moving ones do not smear.

    Args:
        strength: 0.001 to 1, how far levels may differ and still mix.
        radius: 1 to 60 frames before and behind, rounded.
    """

    ranges = {"strength": (0.001, 1), "radius": (1, 60)}

    def __init__(self, strength: Value = 0.05, radius: Value = 2.0, **kwargs: Any) -> None:
        super().__init__(radius, strength=strength, **kwargs)

    def edit(self, clip: Any, strength: Any, radius: Any) -> Any:
        total, weight = 0.0, 0.0
        for _, other, count in self._around(clip, radius):
            apart = ops.mean((other - clip) ** 2, -1, keepdims=True)
            part = ops.exp(-apart / (2.0 * strength * strength)) * count
            total, weight = total + part * other, weight + part
        return total / weight


@register("deflicker")
class Deflicker(_Temporal):
    """Gives each frame the mean brightness of those around it.

    Args:
        amount: 0 to 1; 0 changes nothing.
        radius: 1 to 60 frames before and behind, rounded.
    """

    ranges = {"amount": (0, 1), "radius": (1, 60)}

    def __init__(self, amount: Value = 1.0, radius: Value = 5.0, **kwargs: Any) -> None:
        super().__init__(radius, amount=amount, **kwargs)

    def edit(self, clip: Any, amount: Any, radius: Any) -> Any:
        light = ops.mean(luma(clip), (2, 3, 4), keepdims=True)
        around = self._around(light, radius)
        smooth = sum(other * count for _, other, count in around)
        smooth = smooth / sum(count for _, _, count in around)
        gain = ops.clip(smooth / ops.maximum(light, 1e-3), 0.25, 4.0)
        return clip * (1.0 + amount * (gain - 1.0))


@register("echo")
class Echo(_Temporal):
    """Earlier frames shine through: trails behind what moves.

    Args:
        decay: 0 to 1, the weight of a frame against the one behind it.
        radius: 1 to 60 earlier frames, rounded.
        kind: "mean", or "lighten" for trails of what is bright.
    """

    ranges = {"decay": (0, 1), "radius": (1, 60)}

    def __init__(
        self, decay: Value = 0.6, radius: Value = 4.0, kind: str = "mean", **kwargs: Any
    ) -> None:
        super().__init__(radius, decay=decay, kind=kind, **kwargs)
        if kind not in ("mean", "lighten"):
            raise VgzooError(f"echo: kind={kind!r} came; wanted mean or lighten")

    def edit(self, clip: Any, decay: Any, radius: Any) -> Any:
        result, total, weight = clip, 1.0, 1.0
        for _, other, count in self._around(clip, radius)[: self.context][::-1]:
            weight = weight * decay * count  # out of reach is also what lies behind
            if self.kind == "lighten":
                result = ops.maximum(result, other * weight)
            else:
                result, total = result + other * weight, total + weight
        return result / total if self.kind == "mean" else result
