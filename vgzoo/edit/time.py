"""Time: clips cut, sped up, turned back and looped.

Each of these edits is a plan: for every new frame two old ones and the share of the second. A
tensor is taken by the plan at once; a file is read forwards, and a frame is held no longer than
the plan still needs it. What would need too many at once, such as the reverse of a long film, is
refused before it begins.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, Footage, Sound, When
from vgzoo.edit.frame import number, whole
from vgzoo.edit.keyframes import Value, checked, series
from vgzoo.edit.registry import register
from vgzoo.errors import VgzooError

_HELD = 1 << 30  # bytes of frames that a plan may hold at once
_OUT = 16  # frames of a window that comes out


class Plan(NamedTuple):
    """int64 (N,) first frames, int64 (N,) second frames, float64 (N,) shares of the second."""

    first: np.ndarray
    second: np.ndarray
    share: np.ndarray


def straight(frames: np.ndarray) -> Plan:
    """A plan of whole frames."""
    return Plan(frames, frames, np.zeros(len(frames)))


def between(places: np.ndarray, total: int, blend: bool) -> Plan:
    """A plan of places between frames, blended or the nearest one."""
    places = np.clip(places, 0, total - 1)
    if not blend:
        return straight(np.floor(places + 0.5).astype(int))
    first = np.floor(places + 1e-9).astype(int)
    return Plan(first, np.minimum(first + 1, total - 1), np.maximum(places - first, 0))


class Retime(Edit):
    """The base of edits that give frames other times."""

    keeps_time = False

    @abc.abstractmethod
    def plan(self, total: int, fps: float | None) -> Plan:
        """Which frames of `total` the new clip has."""

    def new_fps(self, fps: float) -> float:
        """Frames a second of the new clip."""
        return fps

    def sound(self, heard: Sound, total: int, fps: float) -> Sound | None:
        """What is still heard of a file whose frames had that sound; None where it cannot fit."""
        return None

    def _planned(self, total: int | None, fps: float | None) -> Plan:
        if total is None:
            raise VgzooError(
                f"{self.edit_name}: the clip's length is unknown here; fix it with clip.set_shape"
            )
        plan = self.plan(total, fps)
        if not len(plan.first):
            raise VgzooError(f"{self.edit_name} leaves none of {total} frames; keep one at least")
        return plan

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        plan = self._planned(clip.shape[1], when.fps)
        first = ops.take(clip, plan.first.astype("int32"), axis=1)
        if not plan.share.any():
            return first
        share = plan.share.reshape(-1, 1, 1, 1).astype("float32")
        return first + (ops.take(clip, plan.second.astype("int32"), axis=1) - first) * share

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        plan = self._planned(len(clip), when.fps)
        return np.stack([_blend(clip[a], clip[b], s) for a, b, s in zip(*plan, strict=True)])

    def stream(self, footage: Footage) -> Footage:
        plan = self._planned(footage.frames, footage.fps)
        last_use = np.full(footage.frames, -1)
        for frames in (plan.first, np.where(plan.share > 0, plan.second, plan.first)):
            np.maximum.at(last_use, frames, np.arange(len(frames)))
        fps = self.new_fps(footage.fps)
        return replace(
            footage,
            frames=len(plan.first),
            fps=fps,
            chunks=lambda: _windows(self._planned_frames(footage, plan, last_use)),
            sound=footage.sound and self.sound(footage.sound, footage.frames, footage.fps),
        )

    def _planned_frames(
        self, footage: Footage, plan: Plan, last_use: np.ndarray
    ) -> Iterator[np.ndarray]:
        source = (frame for chunk in footage.chunks() for frame in chunk)
        held: dict[int, np.ndarray] = {}
        come, size = 0, 0
        for index, (a, b, share) in enumerate(zip(*plan, strict=True)):
            for wanted in (a, b) if share > 0 else (a,):
                while wanted >= come:
                    frame = next(source, None)
                    if frame is None:
                        raise VgzooError(
                            f"{self.edit_name}: the file ends after {come} frames where its head "
                            f"promised {footage.frames}; write it again"
                        )
                    if last_use[come] >= index:
                        held[come] = frame.copy()
                        size += frame.nbytes
                        if size > _HELD:
                            raise VgzooError(
                                f"{self.edit_name} needs more than {_HELD >> 20} MiB of frames at "
                                "once; trim or resize first"
                            )
                    come += 1
            yield _blend(held[a], held[b] if share > 0 else held[a], share)
            for done in {a, b}:
                if done in held and last_use[done] <= index:
                    size -= held.pop(done).nbytes


def _blend(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    if share == 0:
        return first
    mixed = first + (second.astype("float32") - first) * np.float32(share)
    return np.floor(mixed + np.float32(0.5001)).astype("uint8")


def _windows(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    window = []
    for frame in frames:
        window.append(frame)
        if len(window) == _OUT or frame.nbytes * len(window) > 1 << 24:
            yield np.stack(window)
            window = []
    if window:
        yield np.stack(window)


@register("trim")
class Trim(Retime):
    """Keeps the frames from `start` to before `end`.

    Args:
        start, end: frames; below 0 from the end, None: to the end.
    """

    def __init__(self, start: int = 0, end: int | None = None, **kwargs: Any) -> None:
        super().__init__(start=start, end=end, **kwargs)
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise VgzooError(f"trim: {name}={value!r} came; wanted a whole number of frames")

    def plan(self, total: int, fps: float | None) -> Plan:
        return straight(np.arange(total)[self.start : self.end])

    def sound(self, heard: Sound, total: int, fps: float) -> Sound | None:
        first, last, _ = slice(self.start, self.end).indices(total)
        end = heard.start + last / fps * heard.tempo if last < total else heard.end
        return heard._replace(start=heard.start + first / fps * heard.tempo, end=end)


@register("speed")
class Speed(Retime):
    """Plays faster or slower, at the same rate of frames.

    Args:
        factor: 0.01 to 100; 2 is twice as fast. Where it changes along the clip, it is that of the
            old frames as they come, and files lose their sound under it.
        blend: whether new frames mix their neighbours, or the nearest one comes.
    """

    def __init__(self, factor: Value = 1.0, blend: bool = True, **kwargs: Any) -> None:
        # Not one of `ranges`: as many frames come out for every clip of a batch.
        factor = checked("speed", "factor", factor, 0.01, 100)
        super().__init__(factor=factor, blend=bool(blend), **kwargs)

    def plan(self, total: int, fps: float | None) -> Plan:
        if isinstance(self.factor, float):
            count = max(1, int((total - 1) / self.factor + 1e-9) + 1)
            return between(np.arange(count) * self.factor, total, self.blend)
        frames = np.arange(total)
        factors = series("speed", "factor", self.factor, range(total), total, fps)
        place, places = 0.0, []
        while place < total - 1 + 1e-9:
            places.append(place)
            place += np.interp(place, frames, factors)
        return between(np.array(places), total, self.blend)

    def sound(self, heard: Sound, total: int, fps: float) -> Sound | None:
        if not isinstance(self.factor, float):
            return None
        return heard._replace(tempo=heard.tempo * self.factor)


@register("resample")
class Resample(Retime):
    """Another rate of frames, the same duration.

    Args:
        fps: the new rate, 0.1 to 1000.
        source_fps: the old one; None: the file's.
        blend: whether new frames mix their neighbours, or the nearest one comes.
    """

    def __init__(
        self, fps: float, source_fps: float | None = None, blend: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(fps=fps, source_fps=source_fps, blend=bool(blend), **kwargs)
        number("resample", "fps", fps, 0.1, 1000)
        if source_fps is not None:
            number("resample", "source_fps", source_fps, 0.1, 1000)

    def plan(self, total: int, fps: float | None) -> Plan:
        old = self.source_fps or fps
        if old is None:
            raise VgzooError("resample: the old rate is unknown here; pass source_fps")
        count = max(1, round(total * self.fps / old))
        return between(np.arange(count) * (old / self.fps), total, self.blend)

    def sound(self, heard: Sound, total: int, fps: float) -> Sound | None:
        return heard if self.source_fps in (None, fps) else None

    def new_fps(self, fps: float) -> float:
        return float(self.fps)


@register("reverse")
class Reverse(Retime):
    """Plays backwards."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def plan(self, total: int, fps: float | None) -> Plan:
        return straight(np.arange(total)[::-1])


@register("ping_pong")
class PingPong(Retime):
    """There and back again: a loop without a jump, neither end shown twice."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def plan(self, total: int, fps: float | None) -> Plan:
        return straight(np.concatenate([np.arange(total), np.arange(total - 2, 0, -1)]))


@register("loop")
class Loop(Retime):
    """A cross-faded loop: the last frames fade into what came before the first ones kept.

    Args:
        fade: frames, half of the clip at most, by which it becomes shorter.
    """

    def __init__(self, fade: int = 8, **kwargs: Any) -> None:
        super().__init__(fade=whole("loop", "fade", fade), **kwargs)

    def plan(self, total: int, fps: float | None) -> Plan:
        if 2 * self.fade > total:
            raise VgzooError(f"loop: fade={self.fade} came for {total} frames; wanted half at most")
        plan = straight(np.arange(self.fade, total))
        if self.fade:
            second, share = plan.second.copy(), plan.share.copy()
            second[-self.fade :] = np.arange(self.fade)
            share[-self.fade :] = np.arange(1, self.fade + 1) / (self.fade + 1)
            plan = Plan(plan.first, second, share)
        return plan


@register("freeze")
class Freeze(Retime):
    """Holds a frame.

    Args:
        at: which frame.
        frames: how much longer it is shown.
    """

    def __init__(self, at: int = 0, frames: int = 25, **kwargs: Any) -> None:
        whole("freeze", "at", at)
        super().__init__(at=at, frames=whole("freeze", "frames", frames), **kwargs)

    def plan(self, total: int, fps: float | None) -> Plan:
        if self.at >= total:
            raise VgzooError(f"freeze: at={self.at} came; the clip has {total} frames, from 0")
        held = np.full(self.frames, self.at)
        return straight(np.insert(np.arange(total), self.at, held))
