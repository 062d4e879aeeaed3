"""Clips of the user's own videos: windows of the files in a folder.

A file is decoded once, by one of several threads, and its frames are kept at the size of the clips;
a window is then a slice. A pass goes through all windows in random order, but through so many files
at a time as memory holds. Which window is clip i depends on the seed, on i and on the files alone.

A file that cannot be read is skipped with one warning: when the folder is looked through or, if
only decoding tells, when a clip of it is due. Another window then takes its place, so that lengths
and the other clips stay as they are.
"""

import hashlib
import os
import threading
import warnings
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from vgzoo import random, video
from vgzoo.errors import DataError, VideoError

SUFFIXES = (".mp4", ".webm", ".gif", ".webp", ".mov", ".m4v", ".mkv", ".avi")
SPLITS = ("train", "validation", "test")
CROPS = ("center", "random")
MEMORY = 1 << 30  # bytes of decoded frames to keep
_HELD_OUT = 12  # of so many files, one is for validation and one for test
_DRAWS = 4  # uniform numbers for a clip: place in the pass, the crop's y and x, its file's place


@dataclass(frozen=True)
class File:
    """A readable video: where it is, its class, and its frames at the rate of the clips."""

    path: Path
    label: int
    frames: int
    step: float  # frames of the file from one frame of a clip to the next
    size: int  # bytes of its decoded frames


class Folder:
    """The clips of one part of a folder of videos.

    The part is the subfolder of its name where there is one named "train". Else, in an order of the
    names' hashes, one file in twelve is for test and one for validation; of fewer than twelve all
    are for training. A clip's label is the number of the subfolder that its file is in, in
    alphabetical order; -1 outside any.

    Args:
        path: the folder; files in its subfolders count too.
        split: "train", "validation" or "test".
        frames: length of a clip, in frames at the rate `fps`.
        size: side of a frame in pixels; the shorter side of a video is resized to it.
        stride: frames from the start of a window to the next window's; None for `frames`.
        fps: frames a second, each the nearest in time; None for the file's own, every frame.
        crop: "center", or "random": anew for each clip.
        channels: 3, or 1 for grey.
        seed: which order and which crops.

    Attributes:
        count: windows, which is clips of a pass.
        classes: the subfolders that labels number.
        skipped: path and reason of each file skipped so far.

    Raises:
        DataError: a wrong argument, or a folder without a clip.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        split: str = "train",
        *,
        frames: int = 16,
        size: int = 64,
        stride: int | None = None,
        fps: float | None = None,
        crop: str = "center",
        channels: int = 3,
        seed: int = 0,
    ):
        self.path, self.frames, self.size, self.seed = Path(path), frames, size, seed
        self.stride = frames if stride is None else stride
        self.fps, self.crop, self.channels = fps, crop, channels
        self._check(split)
        self.skipped: list[tuple[Path, str]] = []
        self._broken: set[File] = set()
        self._kept: OrderedDict[File, Future] = OrderedDict()
        self._passes: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="vgzoo-decode")
        found, self.classes = _listing(self.path, split)
        self.files = [f for f in self._pool.map(self._probe, found) if f is not None]
        windows = [(f.frames - frames) // self.stride + 1 for f in self.files]
        self.count = sum(windows)
        # For each window its file and its first frame.
        self._file = np.repeat(np.arange(len(windows)), windows)
        self._first = np.concatenate([np.arange(n) * self.stride for n in [0, *windows]])
        if not self.count:
            raise DataError(
                f"{self.path} has no {split} clip of {frames} frames: {len(found)} files for "
                f"{split}, {len(self.skipped)} of them skipped"
            )

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips `first … first + batch` of an endless sequence of passes.

        Returns:
            uint8 `(batch, frames, size, size, channels)` and int32 labels `(batch,)`.
        """
        drawn = list(self._pool.map(self._clip, range(first, first + batch)))
        return np.stack([c for c, _ in drawn]), np.array([n for _, n in drawn], "int32")

    def render(self, clip, label) -> dict:
        """The clips as they are."""
        return {"clip": clip, "label": label}

    def _check(self, split: str) -> None:
        if split not in SPLITS:
            raise DataError(f"no split {split!r}; there are: {', '.join(SPLITS)}")
        if not self.path.is_dir():
            raise DataError(f"no folder {self.path}: give one that holds videos")
        if self.crop not in CROPS:
            raise DataError(f"no crop {self.crop!r}; there are: {', '.join(CROPS)}")
        if self.channels not in (1, 3):
            raise DataError(f"channels must be 3, or 1 for grey, not {self.channels}")
        for name, value in (("frames", self.frames), ("size", self.size), ("stride", self.stride)):
            if not isinstance(value, int | np.integer) or value < 1:
                raise DataError(f"{name} must be a whole number of at least 1, not {value}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise DataError(f"fps must lie between 0 and 1000, not {self.fps}")

    def _probe(self, found: tuple[Path, int]) -> File | None:
        """What is known of a file before it is decoded; None if it is skipped."""
        path, label = found
        try:
            about = video.probe(path)
        except VideoError as error:
            return self._skip(path, str(error))
        step = 1.0 if self.fps is None else (about["fps"] or self.fps) / self.fps
        frames = int((about["frames"] - 0.5) / step) + 1
        while round((frames - 1) * step) >= about["frames"]:
            frames -= 1
        if frames < self.frames:
            return self._skip(path, f"{path} is too short: {frames} of {self.frames} frames")
        short, long = sorted((about["height"], about["width"]))
        area = self.size**2 * (long / short if self.crop == "random" else 1)
        return File(path, label, frames, step, int(frames * area * self.channels))

    def _skip(self, path: Path, reason: str) -> None:
        with self._lock:
            self.skipped.append((path, reason))
            number = len(self.skipped)
        warnings.warn(f"skipped (file {number} so far): {reason}", stacklevel=2)

    def _clip(self, i: int) -> tuple[np.ndarray, int]:
        number, place = divmod(i, self.count)
        order, table = self._pass(number)
        for window in chain(order[place:], order[:place]):
            file = self.files[self._file[window]]
            if file in self._broken:
                continue
            try:
                frames = self._decoded(file)
            except VideoError as error:
                with self._lock:
                    known = file in self._broken
                    self._broken.add(file)
                if not known:
                    self._skip(file.path, str(error))
                continue
            start = self._first[window]
            clip = frames[start : start + self.frames]
            room = np.array(clip.shape[1:3]) - self.size
            top, left = (table[place, 1:3] * (room + 1)).astype(int)
            return clip[:, top : top + self.size, left : left + self.size], file.label
        raise DataError(f"{self.path}: none of its {len(self.files)} files can be decoded")

    def _pass(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows of a pass in its order, and the uniform numbers of its places."""
        with self._lock:
            if number not in self._passes:
                self._passes[number] = self._shuffled(number)
                while len(self._passes) > 2:  # batches of two passes may be due at once
                    self._passes.popitem(last=False)
            return self._passes[number]

    def _shuffled(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        table = random.uniform_rows(self.seed, number * self.count, self.count, _DRAWS)
        order = np.argsort(table[: len(self.files), 3])
        sizes = np.array([f.size for f in self.files], "float64")[order]
        # As many files at a time as half of the memory holds: the next ones are read ahead.
        group = np.empty(len(order), int)
        group[order] = (np.cumsum(sizes) - sizes) // (MEMORY // 2)
        return np.lexsort((table[:, 0], group[self._file])), table

    def _decoded(self, file: File) -> np.ndarray:
        """A file's frames, from memory or, by the first who asks, from the disk."""
        with self._lock:
            future = self._kept.get(file)
            mine = future is None
            if mine:
                future = self._kept[file] = Future()
            self._kept.move_to_end(file)
            while len(self._kept) > 1 and sum(f.size for f in self._kept) > MEMORY:
                self._kept.popitem(last=False)
        if mine:
            try:
                future.set_result(self._decode(file))
            except BaseException as error:  # whoever waits must hear of it
                future.set_exception(error)
        return future.result()

    def _decode(self, file: File) -> np.ndarray:
        wanted = np.round(np.arange(file.frames) * file.step).astype(int)
        frames, seen = [], 0
        for chunk in video.stream(file.path):
            here = wanted[(wanted >= seen) & (wanted < seen + len(chunk))]
            frames.extend(self._resized(chunk[i - seen]) for i in here)
            seen += len(chunk)
        if len(frames) < file.frames:
            raise VideoError(f"{file.path} ends after {seen} frames, earlier than it says")
        return np.stack(frames)

    def _resized(self, frame: np.ndarray) -> np.ndarray:
        """One frame at the size of the clips; whole where the crop is random."""
        picture = Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame)
        picture = picture.convert("L" if self.channels == 1 else "RGB")
        short = min(picture.size)
        width, height = (max(self.size, round(s * self.size / short)) for s in picture.size)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        if self.crop == "center":
            left, top = (width - self.size) // 2, (height - self.size) // 2
            picture = picture.crop((left, top, left + self.size, top + self.size))
        return np.asarray(picture).reshape(picture.height, picture.width, self.channels)


def class_names(path: str | os.PathLike) -> tuple[str, ...]:
    """The subfolders of all parts that hold videos, in alphabetical order."""
    return _listing(Path(path), SPLITS[0])[1]


def _listing(root: Path, split: str) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """The files of a part with their labels, and the names of the classes of all parts."""
    divided = (root / "train").is_dir()
    # A folder divided already, or files to divide here: either way, places below where they are.
    places = {s: _videos(root / s) for s in SPLITS} if divided else {"": _videos(root)}
    every = chain.from_iterable(places.values())
    classes = tuple(sorted({place.parts[0] for place in every if len(place.parts) > 1}))
    if divided:
        mine, root = places[split], root / split
    else:
        ordered = sorted(places[""], key=lambda p: hashlib.sha256(p.as_posix().encode()).digest())
        held = len(ordered) // _HELD_OUT
        ends = len(ordered) - 2 * held, len(ordered) - held
        parts = ordered[: ends[0]], ordered[ends[0] : ends[1]], ordered[ends[1] :]
        mine = sorted(parts[SPLITS.index(split)])
    labels = (classes.index(p.parts[0]) if len(p.parts) > 1 else -1 for p in mine)
    return [(root / p, label) for p, label in zip(mine, labels, strict=True)], classes


def _videos(folder: Path) -> list[Path]:
    """Videos below a folder, hidden ones left out, as paths from it."""
    paths = [p.relative_to(folder) for p in sorted(folder.rglob("*")) if p.is_file()]
    shown = [p for p in paths if not any(part.startswith(".") for part in p.parts)]
    return [p for p in shown if p.suffix.lower() in SUFFIXES]
