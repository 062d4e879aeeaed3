"""Edits by chance, as augmentation: one draw a clip, so that a clip stays one scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import keras
from keras import ops

from vgzoo import random
from vgzoo.edit._near import near
from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, When
from vgzoo.edit.registry import build, find, parameters, register
from vgzoo.errors import VgzooError
from vgzoo.layers.fusing import fused

_SALT = 0x0ED1  # apart from the draws of training steps with the same seed


@register("random")
class Random(Edit):
    """An edit whose numbers are drawn anew for each clip.

    Draws depend on the seed and the step alone. A call without a step takes the next one, so a
    model sees another draw at each training step; in `tf.data`, whose workers race for the next
    one, hand in the step: `dataset.enumerate().map(lambda step, clip: augment(clip, step=step))`.

    Args:
        of: the name of the edit.
        seed: which draws.
        per: "clip" for one draw a clip, "frame" for one a frame.
        probability: share of the clips that are edited at all, 0 to 1.
        **settings: of the edit; a numeric one as `(low, high)` is drawn between the two, evenly.

    Example:
        >>> import numpy as np
        >>> augment = Random("exposure", stops=(-1, 1), seed=3)
        >>> clips = np.full((2, 4, 8, 8, 3), 128, "uint8")
        >>> bool(np.all(np.asarray(augment(clips, step=0)) == np.asarray(augment(clips, step=0))))
        True
    """

    ranges = {"probability": (0.0, 1.0)}
    open_ended = True

    def __init__(
        self,
        of: str,
        seed: int = 0,
        per: str = "clip",
        probability: float = 1.0,
        **settings: Any,
    ) -> None:
        of_keras = {k: settings.pop(k) for k in ("name", "trainable", "dtype") if k in settings}
        inner, drawn, fixed = find(of), {}, {}
        for key, value in settings.items():
            if key not in parameters(inner):
                raise VgzooError(f"{of} has no parameter {key!r}; {near(key, parameters(inner))}")
            if key not in inner.ranges or isinstance(value, Real | Mapping):
                fixed[key] = value
                continue
            if not isinstance(value, Sequence) or len(value) != 2 or not value[0] <= value[1]:
                raise VgzooError(f"random {of}: {key}={value!r} came; wanted (low, high)")
            low, high = inner.ranges[key]
            if not low <= value[0] <= value[1] <= high:
                raise VgzooError(f"random {of}: {key}={value!r} came; wanted {low:g} to {high:g}")
            drawn[key] = (float(value[0]), float(value[1]))
        if per not in ("clip", "frame"):
            raise VgzooError(f"random {of}: per={per!r} came; wanted 'clip' or 'frame'")
        if not isinstance(probability, Real):
            raise VgzooError(f"random {of}: probability={probability!r} came; wanted 0 to 1")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 1 << 64:
            raise VgzooError(f"random {of}: seed={seed!r} came; wanted 0 to 2**64 - 1")
        most = {key: high for key, (_, high) in drawn.items()}  # by which kernels get their size
        super().__init__(**of_keras, of=of, seed=seed, per=per, probability=probability, **settings)
        self.inner = build(of, **(fixed | most))
        self.drawn = drawn
        self.channels, self.context = self.inner.channels, self.inner.context
        self.keeps_time = self.inner.keeps_time
        self.step = self.add_weight((), "zeros", "int32", trainable=False, name="step")

    def call(
        self,
        clip: Any,
        step: Any = None,
        start: int = 0,
        total: int | None = None,
        fps: float | None = None,
        training: bool = True,
    ) -> Any:
        """Edits clips; `training=False` gives them back as they are."""
        self.check(clip.shape, keras.backend.standardize_dtype(clip.dtype))
        if not training:
            return clip
        if step is None:
            step = ops.add(self.step, 0)
            self.step.assign_add(1)
        return self.framed(clip, lambda x: self.run(x, When(start, total, fps), step=step))

    def run(self, clip: Any, when: When = WHOLE, *, step: Any = 0, **values: Any) -> Any:
        count = ops.shape(clip)[0]
        frames = ops.shape(clip)[1] if self.per == "frame" else 1
        drawn = {}
        for index, (key, (low, high)) in enumerate(self.drawn.items()):
            share = random.uniform((count, frames), seed=self.seed, step=step, salt=_SALT + index)
            drawn[key] = low + (high - low) * share[..., None, None, None]

        def run(clip: Any, *numbers: Any) -> Any:
            return self.inner.run(clip, when, **dict(zip(drawn, numbers, strict=True)))

        numbers = tuple(drawn.values())
        edited = fused(run, clip, *numbers) if self.inner.fuses else run(clip, *numbers)
        if self.probability == 1:
            return edited
        chance = random.uniform((count, 1), seed=self.seed, step=step, salt=_SALT - 1)
        return ops.where(chance[..., None, None, None] < self.probability, edited, clip)
