"""Filters along time: a frame and those around it. Before the first frame lies the first one
again, behind the last one the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from vgzoo.edit.base import Formula
from vgzoo.edit.colour import luma
from vgzoo.edit.frame import whole
from vgzoo.edit.keyframes import Value
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
    def __init__(self, radius: int, **settings: Any) -> None:
        super().__init__(radius=whole(self.edit_name, "radius", radius, 1), **settings)
        if radius > 60:
            raise VgzooError(f"{self.edit_name}: radius={radius} came; wanted 1 to 60 frames")
        self.context = radius


@register("temporal_median")
class TemporalMedian(_Temporal):
    """The median over frames: what passes by in fewer than half of them is gone.

    Args:
        radius: 1 to 60 frames before and behind.
    """

    fuses = False

    def __init__(self, radius: int = 1, **kwargs: Any) -> None:
        super().__init__(radius, **kwargs)

    def edit(self, clip: Any) -> Any:
        around = ops.stack(neighbours("temporal_median", clip, self.radius), 0)
        return ops.sort(around, 0)[self.radius]


@register("denoise")
class Denoise(_Temporal):
    """The mean over frames, by how alike they are in that pixel: still parts lose their noise and
    moving ones do not smear.

    Args:
        strength: 0.001 to 1, how far levels may differ and still mix.
        radius: 1 to 60 frames before and behind.
    """

    ranges = {"strength": (0.001, 1)}

    def __init__(self, strength: Value = 0.05, radius: int = 2, **kwargs: Any) -> None:
        super().__init__(radius, strength=strength, **kwargs)

    def edit(self, clip: Any, strength: Any) -> Any:
        total, weight = 0.0, 0.0
        for other in neighbours("denoise", clip, self.radius):
            apart = ops.mean((other - clip) ** 2, -1, keepdims=True)
            part = ops.exp(-apart / (2.0 * strength * strength))
            total, weight = total + part * other, weight + part
        return total / weight


@register("deflicker")
class Deflicker(_Temporal):
    """Gives each frame the mean brightness of those around it.

    Args:
        amount: 0 to 1; 0 changes nothing.
        radius: 1 to 60 frames before and behind.
    """

    ranges = {"amount": (0, 1)}

    def __init__(self, amount: Value = 1.0, radius: int = 5, **kwargs: Any) -> None:
        super().__init__(radius, amount=amount, **kwargs)

    def edit(self, clip: Any, amount: Any) -> Any:
        light = ops.mean(luma(clip), (2, 3, 4), keepdims=True)
        smooth = sum(neighbours("deflicker", light, self.radius)) / (2 * self.radius + 1)
        gain = ops.clip(smooth / ops.maximum(light, 1e-3), 0.25, 4.0)
        return clip * (1.0 + amount * (gain - 1.0))


@register("echo")
class Echo(_Temporal):
    """Earlier frames shine through: trails behind what moves.

    Args:
        decay: 0 to 1, the weight of a frame against the one behind it.
        radius: 1 to 60 earlier frames.
        kind: "mean", or "lighten" for trails of what is bright.
    """

    ranges = {"decay": (0, 1)}

    def __init__(
        self, decay: Value = 0.6, radius: int = 4, kind: str = "mean", **kwargs: Any
    ) -> None:
        super().__init__(radius, decay=decay, kind=kind, **kwargs)
        if kind not in ("mean", "lighten"):
            raise VgzooError(f"echo: kind={kind!r} came; wanted mean or lighten")

    def edit(self, clip: Any, decay: Any) -> Any:
        earlier = neighbours("echo", clip, self.radius)[: self.radius][::-1]
        result, total, weight = clip, 1.0, 1.0
        for other in earlier:
            weight = weight * decay
            if self.kind == "lighten":
                result = ops.maximum(result, other * weight)
            else:
                result, total = result + other * weight, total + weight
        return result / total if self.kind == "mean" else result
