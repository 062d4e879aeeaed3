"""Edits of files of any length, in windows of a few frames, the sound copied as it is."""

from __future__ import annotations

import heapq
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from vgzoo import _codecs, video
from vgzoo.edit.base import Edit, Footage, opencv
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
        sound: whether the sound goes along, bit by bit. It does not where the edits change the
            time, because it would no longer fit.
        progress: called with the frames done and the frames to come in all.

    Returns:
        `frames`, `height`, `width`, `fps` of the new file, and `sound`: how many sound tracks.

    Raises:
        VgzooError: a file that cannot be read or written, an edit that does not take it, or a
            sound that the new file's format cannot hold.
    """
    source, target = Path(source), Path(target)
    video._suffix(target, _SUFFIXES)
    opencv()
    footage = edits.stream(open_footage(source))
    tracks = _tracks(source, target) if sound and edits.keeps_time else 0
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
                    _join(pictures, source, whole, target.suffix.lower())
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
    }


def _tracks(source: Path, target: Path) -> int:
    """How many sound tracks there are to copy; raises where the target cannot hold them."""
    if _codecs._is_image(source):
        return 0
    with _codecs._container(source) as (container, _):
        codecs = [stream.codec_context.name for stream in container.streams.audio]
    for codec in codecs:
        if target.suffix.lower() == ".webm" and codec not in ("opus", "vorbis", "libopus"):
            raise VideoError(
                f"{source} has {codec} sound, which .webm cannot hold; write .mp4, or mute it"
            )
    return len(codecs)


def _join(pictures: Path, source: Path, target: Path, suffix: str) -> None:
    """The pictures of one file and the sound of the other, packet by packet."""
    import av

    muxing = {} if suffix == ".webm" else {"movflags": "+faststart"}
    with (
        av.open(f"file:{pictures}") as seen,
        _codecs._container(source) as (heard, old),
        av.open(f"file:{target}", "w", format=suffix[1:], options=muxing) as out,
    ):
        picture = seen.streams.video[0]
        into = out.add_stream_from_template(picture)
        sounds = {track.index: out.add_stream_from_template(track) for track in heard.streams.audio}
        # The new pictures begin at 0; where the old ones did not, the sound moves along.
        begin = float((old.start_time or 0) * old.time_base)

        def shown() -> Iterator[tuple[float, int, Any]]:
            for number, packet in enumerate(seen.demux(picture)):
                if packet.dts is not None:
                    packet.stream = into
                    yield float(packet.dts * packet.time_base), number, packet

        def sounding() -> Iterator[tuple[float, int, Any]]:
            for number, packet in enumerate(heard.demux(*heard.streams.audio)):
                if packet.dts is None:
                    continue
                shift = round(begin / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                if packet.pts + (packet.duration or 0) >= 0:  # a codec's lead-in is kept
                    packet.stream = sounds[packet.stream.index]
                    yield float(packet.dts * packet.time_base), number, packet

        for _, _, packet in heapq.merge(shown(), sounding(), key=lambda item: item[:2]):
            out.mux(packet)
