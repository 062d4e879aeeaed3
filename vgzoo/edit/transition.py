"""One clip after another: a cross-fade, a wipe."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vgzoo import video
from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, Footage, When
from vgzoo.edit.frame import whole
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError

_SIDES = ("left", "right", "up", "down")


class _Transition(Edit):
    """The clip, then `source`; the last `frames` of the one lie over the first of the other."""

    keeps_time = False
    fuses = False  # the second clip would be a constant of what is compiled

    def __init__(self, source: Any, frames: int, **settings: Any) -> None:
        whole(self.edit_name, "frames", frames)
        super().__init__(source=source, frames=frames, **settings)
        if isinstance(source, str | Path):
            found = video.probe(source)
            self._length = found["frames"]
            self._shape = (found["height"], found["width"], found["channels"])
        else:
            source = np.asarray(source, "uint8" if isinstance(source, list) else None)
            self._clip = video.as_uint8(source)
            if self._clip.ndim == 5:
                raise VgzooError(f"{self.edit_name}: a batch came as source; wanted one clip")
            self._length, self._shape = len(self._clip), self._clip.shape[1:]

    @abc.abstractmethod
    def share(self, height: int, width: int) -> np.ndarray:
        """How much is seen of the new clip, float32 (frames, H or 1, W or 1, 1)."""

    def _second(self) -> Iterator[np.ndarray]:
        """The second clip, frame by frame."""
        if not isinstance(self.source, str):
            return iter(self._clip)
        return (frame for chunk in video.stream(self.source) for frame in chunk)

    def _fit(self, shape: tuple[int, ...], frames: int | None) -> None:
        if tuple(shape[:2]) != tuple(self._shape[:2]) or self._shape[2] not in (1, shape[2]):
            raise VgzooError(
                f"{self.edit_name}: frames {tuple(shape)} came before a source of "
                f"{tuple(self._shape)}; resize one of them"
            )
        if frames is None or self.frames > min(frames, self._length):
            raise VgzooError(
                f"{self.edit_name}: frames={self.frames} came for clips of {frames} and "
                f"{self._length} frames; wanted no more than either has"
            )

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        self._fit(clip.shape[2:], clip.shape[1])
        other = np.stack(list(self._second())).astype("float32")[None] / 255
        other = ops.convert_to_tensor(other)
        size = (ops.shape(clip)[0], *other.shape[1:4], clip.shape[-1])
        other = ops.broadcast_to(other, size)
        if not self.frames:
            return ops.concatenate([clip, other], 1)
        cut = clip.shape[1] - self.frames
        over, under = clip[:, cut:], other[:, : self.frames]
        mixed = over + (under - over) * self.share(*clip.shape[2:4])
        return ops.concatenate([clip[:, :cut], mixed, other[:, self.frames :]], 1)

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        footage = Footage(len(clip), when.fps or 25.0, lambda: iter([clip]))
        return np.concatenate(list(self.stream(footage).chunks()))

    def stream(self, footage: Footage) -> Footage:
        total = footage.frames + self._length - self.frames
        return replace(footage, frames=total, chunks=lambda: self._joined(footage), sound=None)

    def _joined(self, footage: Footage) -> Iterator[np.ndarray]:
        cut, done, second, share = footage.frames - self.frames, 0, self._second(), None
        for chunk in footage.chunks():
            self.check(chunk.shape, "uint8")
            if share is None:
                self._fit(chunk.shape[1:], footage.frames)
                share = self.share(*chunk.shape[1:3])
            for frame in chunk:
                if done >= cut:
                    under = next(second).astype("float32")  # grey ones spread over the channels
                    mixed = frame + (under - frame) * share[done - cut]
                    frame = np.floor(mixed + np.float32(0.5001)).astype("uint8")
                done += 1
                yield frame[None]
        for under in second:
            yield np.broadcast_to(under, frame.shape)[None]


@register("cross_fade")
class CrossFade(_Transition):
    """The clip fades into another one. Files lose their sound under it.

    Args:
        source: what follows, of the same size: a file or (t, h, w, C).
        frames: how many the two have in common.
    """

    def __init__(self, source: Any, frames: int = 12, **kwargs: Any) -> None:
        super().__init__(source, frames, **kwargs)

    def share(self, height: int, width: int) -> np.ndarray:
        steps = np.arange(1, self.frames + 1, dtype="float32") / (self.frames + 1)
        return steps.reshape(-1, 1, 1, 1)


@register("wipe")
class Wipe(_Transition):
    """Another clip moves its border over the frame. Files lose their sound under it.

    Args:
        source: what follows, of the same size: a file or (t, h, w, C).
        frames: how many the two have in common.
        side: where the border goes to: "left", "right", "up" or "down".
    """

    def __init__(self, source: Any, frames: int = 12, side: str = "right", **kwargs: Any) -> None:
        if side not in _SIDES:
            raise VgzooError(f"wipe: side={side!r} came; wanted {', '.join(_SIDES)}")
        super().__init__(source, frames, side=side, **kwargs)

    def share(self, height: int, width: int) -> np.ndarray:
        size = width if self.side in ("left", "right") else height
        place = np.arange(size)[::-1] if self.side in ("left", "up") else np.arange(size)
        gone = np.arange(1, self.frames + 1)[:, None] / (self.frames + 1) * size
        # The border's own pixel is mixed, so that a slow wipe does not jump.
        share = np.clip(gone - place, 0, 1).astype("float32")
        shape = (-1, 1, size, 1) if self.side in ("left", "right") else (-1, size, 1, 1)
        return share.reshape(shape)
