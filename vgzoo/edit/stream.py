"""Edits of files of any length, in windows of a few frames, and the sound that goes with them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from vgzoo import video
from vgzoo.edit.base import Edit, opencv
from vgzoo.edit.footage import Footage
from vgzoo.edit.sound import join, tracks_of
from vgzoo.errors import VideoError

_WINDOW = 1 << 22  # pixels: as float32 RGB 48 MiB, of which an edit holds several copies
_SUFFIXES = (".mp4", ".webm")


def open_footage(source: str | os.PathLike) -> Footage:
    """A file as footage, whose chunks are decoded anew each time they are asked for.

    Raises:
        VideoError: no such file, no video, or a still picture.
    """
    found = video.probe(source)
    if found["fps"] is None:
        raise VideoError(f"{source} is a still picture; wanted a video")
    chunk = max(1, min(16, _WINDOW // (found["height"] * found["width"])))
    return Footage(found["frames"], found["fps"], lambda: video.stream(source, chunk=chunk))


def edit_file(
    source: str | os.PathLike,
    target: str | os.PathLike,
    edits: Edit,
    *,
    sound: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict:
    """Edits a video file.

    Memory does not grow with its length. The new file appears when it is whole; until then, and
    after an error, what was there before stays.

    Args:
        source: what `vgzoo.read` reads.
        target: `.mp4` or `.webm`.
        edits: one edit, or a `Sequential` of them.
        sound: whether the sound goes along: bit by bit where the edits keep the time, cut by
            `Trim` and in another tempo by `Speed`. Under other edits of time it would not fit any
            more, and is left out.
        progress: called with the frames done and the frames to come in all.

    Returns:
        `frames`, `height`, `width`, `fps` of the new file, `sound`: how many sound tracks, and
        `sound_left_out`: how many did not fit.

    Raises:
        VgzooError: a file that cannot be read or written, an edit that does not take it, or a
            sound that the new file's format cannot hold.
    """
    source, target = Path(source), Path(target)
    video._suffix(target, _SUFFIXES)
    opencv()
    footage = edits.stream(open_footage(source))
    heard = footage.sound if sound else None
    found = tracks_of(source, target, heard) if sound else 0
    tracks = found if heard else 0
    shape, done = None, 0
    with video._replacing(target) as whole:
        pictures = whole.with_name(f".vgzoo-{secrets.token_hex(6)}{target.suffix.lower()}")
        try:
            with video.VideoWriter(pictures, fps=footage.fps, scale=1) as out:
                for chunk in footage.chunks():
                    out.append(chunk)
                    shape, done = chunk.shape, done + len(chunk)
                    if progress is not None:
                        progress(done, footage.frames)
            if tracks:
                with video._one_line(target):
                    join(pictures, source, whole, target.suffix.lower(), heard)
            else:
                os.replace(pictures, whole)
        finally:
            pictures.unlink(missing_ok=True)
    return {
        "frames": done,
        "height": shape[1],
        "width": shape[2],
        "fps": round(footage.fps, 3),
        "sound": tracks,
        "sound_left_out": found - tracks,
    }
