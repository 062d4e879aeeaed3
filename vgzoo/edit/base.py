"""An edit: a Keras layer from clips to clips.

What all edits share stands here, so that a new one is a formula and its parameters. Clips come as
the contract has them, uint8 or float in [0, 1], (T, H, W, C) or (B, T, H, W, C); an edit's own
`edit` sees float32 (B, T, H, W, C) in [0, 1], and its numbers in a shape that broadcasts against
that: one for all, one a frame, one a clip. Out comes the type and the rank that came in.

An edit has two ways to the same result: `keras.ops` on tensors, under every backend, inside
`tf.data` and inside models; and `host` on uint8 arrays, by which files go, where OpenCV takes over
what it does well.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from vgzoo.edit.footage import WHOLE, Footage, When
from vgzoo.edit.keyframes import Keyframes, checked, series
from vgzoo.errors import VgzooError
from vgzoo.layers.fusing import fused

_OF_KERAS = ("name", "trainable", "dtype")


def opencv() -> Any:
    """The `cv2` module.

    Raises:
        VgzooError: it is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise VgzooError("editing files needs OpenCV: pip install 'vgzoo[edit]'") from error
    return cv2


def levels(x: Any) -> Any:
    """float32 in [0, 1] to uint8.

    Half goes up, as OpenCV and Pillow have it, after a hair for what float32 lost; a cast cuts off.
    """
    return ops.cast(x * 255.0 + 0.5001, "uint8")


class Edit(keras.layers.Layer, abc.ABC):
    """The base of all edits.

    A subclass names its numeric parameters and their ranges in `ranges`, hands its arguments to
    this constructor, which checks and keeps them, and writes `run`; most are a `Formula`.

    Attributes:
        ranges: numeric parameters, each a number, one number a frame, or `Keyframes`.
        channels: the numbers of channels it takes.
        context: frames that it sees before and behind each frame.
        keeps_time: whether frame i of what comes out is frame i of what went in.
        fuses: whether it is of those that XLA makes faster on a CPU.
        open_ended: whether it takes parameters beyond those of its constructor.
    """

    ranges: dict[str, tuple[float, float]] = {}
    channels: tuple[int, ...] = (1, 3)
    context = 0
    keeps_time = True
    fuses = True
    open_ended = False
    edit_name = ""

    def __init__(self, **settings: Any) -> None:
        of_keras = {key: settings.pop(key) for key in _OF_KERAS if key in settings}
        super().__init__(**of_keras, autocast=False)
        self._settings = tuple(settings)
        for name, value in settings.items():
            if name in self.ranges:
                value = checked(self.edit_name, name, value, *self.ranges[name])
            if isinstance(value, Path):  # edit lists hold text
                value = str(value)
            setattr(self, name, value)

    @abc.abstractmethod
    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        """The edit itself: float32 (B, T, H, W, C) in [0, 1] to the same, a window of a clip.

        Where `values` holds a numeric parameter, it counts instead of the edit's own.
        """

    def values(self, frames: int | None, when: When) -> dict[str, Any]:
        """The numeric parameters over a window: floats, or float32 (1, frames, 1, 1, 1)."""
        found = {}
        for name in self.ranges:
            value = getattr(self, name)
            if isinstance(value, float):
                found[name] = value
                continue
            if frames is None:
                raise VgzooError(
                    f"{self.edit_name}: {name} changes along the clip, whose length is unknown "
                    "here; fix it with clip.set_shape, or give one number"
                )
            total = frames if when.total is None else when.total
            span = range(when.start, when.start + frames)
            numbers = series(self.edit_name, name, value, span, total, when.fps)
            found[name] = numbers.reshape(1, -1, 1, 1, 1)
        return found

    def build(self, *_: Any) -> None:
        """There is nothing to build: edits have no weights."""

    def __call__(self, clip: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(clip, np.ndarray) and np.issubdtype(clip.dtype, np.floating) and clip.size:
            low, high = float(clip.min()), float(clip.max())
            if not (low >= 0 and high <= 1):
                raise VgzooError(f"float clips from {low:.4g} to {high:.4g} came; wanted [0, 1]")
        try:
            return super().__call__(clip, *args, **kwargs)
        except VgzooError as error:
            # Keras writes the arguments' shapes into the message; ours is one line.
            while isinstance(error.__context__, VgzooError):
                error = error.__context__
            raise error from None

    def call(
        self, clip: Any, start: int = 0, total: int | None = None, fps: float | None = None
    ) -> Any:
        """Edits a clip, or a window of one that starts at frame `start` of `total`."""
        self.check(clip.shape, keras.backend.standardize_dtype(clip.dtype))

        def edited(clip: Any) -> Any:
            return self.framed(clip, lambda x: self.run(x, When(start, total, fps)))

        return fused(edited, clip, key=self.constant) if self.fuses else edited(clip)

    @property
    def constant(self) -> Hashable:
        """What stands for this edit, if it does the same to any frame of any clip; else None."""
        return None

    def framed(self, clip: Any, run: Callable[[Any], Any]) -> Any:
        """`run` between the type and rank that came and float32 (B, T, H, W, C)."""
        dtype = keras.backend.standardize_dtype(clip.dtype)
        single = len(clip.shape) == 4

        def into(clip: Any) -> Any:
            x = ops.cast(clip, "float32")
            x = ops.expand_dims(x, 0) if single else x
            return x / 255.0 if dtype == "uint8" else x

        def out_of(x: Any) -> Any:
            x = ops.squeeze(x, 0) if single else x
            return levels(x) if dtype == "uint8" else ops.cast(x, dtype)

        return fused(out_of, run(fused(into, clip)))

    def check(self, shape: tuple, dtype: str) -> None:
        """Raises VgzooError for what is no clip that this edit takes."""
        if len(shape) not in (4, 5) or shape[-1] not in (1, 3) or 0 in shape:
            raise VgzooError(
                f"{self.edit_name}: an array of shape {tuple(shape)} came; wanted (frames, height, "
                "width, channels) or (clips, frames, height, width, channels), channels 1 or 3"
            )
        if dtype != "uint8" and "float" not in dtype:
            raise VgzooError(
                f"{self.edit_name}: clips of type {dtype} came; wanted uint8, or float in [0, 1]"
            )
        if shape[-1] not in self.channels:
            kind = "RGB" if self.channels == (3,) else "grey"
            raise VgzooError(
                f"{self.edit_name} takes {kind} clips, and one of {shape[-1]} channel"
                f"{'s' if shape[-1] > 1 else ''} came; convert it first"
            )

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        """The same for a window uint8 (T, H, W, C) in memory, uint8 out; files go this way."""
        return ops.convert_to_numpy(self(clip, start=when.start, total=when.total, fps=when.fps))

    def stream(self, footage: Footage) -> Footage:
        """The same for a clip too long for memory."""
        footage = footage if self.keeps_time else replace(footage, sound=None)
        if self.context:
            return replace(footage, chunks=lambda: self._with_context(footage))

        def chunks() -> Iterator[np.ndarray]:
            start = 0
            for chunk in footage.chunks():
                self.check(chunk.shape, "uint8")
                yield self.host(chunk, When(start, footage.frames, footage.fps))
                start += len(chunk)

        return replace(footage, chunks=chunks)

    def _with_context(self, footage: Footage) -> Iterator[np.ndarray]:
        """Windows with the frames around them; at the clip's ends the edit knows what to do."""
        held, start, done = None, 0, 0  # `held` begins at frame `start`; `done` are given out

        def window(last: bool) -> Iterator[np.ndarray]:
            end = start + len(held) - (0 if last else self.context)
            if end > done:
                edited = self.host(held, When(start, footage.frames, footage.fps))
                yield edited[done - start : end - start]

        for chunk in footage.chunks():
            self.check(chunk.shape, "uint8")
            held = chunk if held is None else np.concatenate([held, chunk])
            for edited in window(False):
                yield edited
                done += len(edited)
            drop = max(0, done - self.context - start)
            held, start = held[drop:], start + drop
        if held is not None:
            yield from window(True)

    def to_dict(self) -> dict:
        """As an edit list holds it: the name and the parameters."""
        return {"edit": self.edit_name} | {
            key: _plain(getattr(self, key)) for key in self._settings
        }

    def get_config(self) -> dict:
        own = self.to_dict()
        own.pop("edit")
        return {"name": self.name, "trainable": self.trainable} | own


def _plain(value: Any) -> Any:
    if isinstance(value, Keyframes):
        return value.to_dict()
    if isinstance(value, np.ndarray):  # a clip, in levels
        return (np.rint(value * 255) if value.dtype.kind == "f" else value).astype("uint8").tolist()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.to_dict() if isinstance(value, Edit) else value


def _within_bounds(clip: Any) -> Any:
    return ops.clip(clip, 0.0, 1.0)


class Formula(Edit):
    """An edit that is a formula of the clip and of the numbers of each frame."""

    @abc.abstractmethod
    def edit(self, clip: Any, **values: Any) -> Any:
        """float32 (B, T, H, W, C) in [0, 1] to the same; what goes beyond is cut off after it."""

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        given = self.values(clip.shape[1], when)
        return fused(_within_bounds, self.edit(clip, **(given | values)))

    @property
    def constant(self) -> Hashable:
        numbers = tuple(getattr(self, name) for name in self.ranges)
        same = type(self).run is Formula.run and all(isinstance(n, float) for n in numbers)
        return (self, numbers) if same else None


class Measured(Formula):
    """An edit that looks at the whole clip before it changes a frame: no frame is then treated
    otherwise than its neighbours.

    A subclass writes `measure`, whose result is summed over frames, so that a file is measured in
    a pass of its own, and `edit` with the sums (B, K) as its second argument, `measured`.
    """

    @abc.abstractmethod
    def measure(self, clip: Any) -> Any:
        """float32 (B, T, H, W, C) to (B, K): K sums over all frames."""

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        if "measured" not in values:
            values["measured"] = self.measure(clip)
        return super().run(clip, when, **values)

    def stream(self, footage: Footage) -> Footage:
        def chunks() -> Iterator[np.ndarray]:
            total, start = 0.0, 0
            for chunk in footage.chunks():
                self.check(chunk.shape, "uint8")
                clip = ops.convert_to_tensor(chunk[None].astype("float32") / 255)
                total = total + ops.convert_to_numpy(self.measure(clip)).astype("float64")
            sums = ops.convert_to_tensor(np.asarray(total, "float32"))
            for chunk in footage.chunks():
                when = When(start, footage.frames, footage.fps)
                tensor = ops.convert_to_tensor(chunk)
                edited = self.framed(tensor, lambda x, at=when: self.run(x, at, measured=sums))
                yield ops.convert_to_numpy(edited)
                start += len(chunk)

        return replace(footage, chunks=chunks)
