"""The sound that goes with edited pictures: copied as it is, or cut and in another tempo."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vgzoo import _codecs
from vgzoo.edit.footage import Sound
from vgzoo.errors import VideoError

_ENCODERS = {".mp4": "aac", ".webm": "libopus"}
_RATES = {".mp4": None, ".webm": 48000}  # Opus has no other
_WEBM = ("opus", "vorbis", "libopus", "libvorbis")

Timed = tuple[float, int, Any]  # seconds, a number, a packet


def tracks_of(source: Path, target: Path, heard: Sound | None) -> int:
    """How many sound tracks there are, to take along as `heard` says.

    Raises:
        VideoError: the target cannot hold one as it is.
    """
    if _codecs._is_image(source):
        return 0
    with _codecs._container(source) as (container, _):
        codecs = [stream.codec_context.name for stream in container.streams.audio]
    for codec in codecs:
        if heard == Sound() and target.suffix.lower() == ".webm" and codec not in _WEBM:
            raise VideoError(
                f"{source} has {codec} sound, which .webm cannot hold; write .mp4, or mute it"
            )
    return len(codecs)


def join(pictures: Path, source: Path, target: Path, suffix: str, heard: Sound) -> None:
    """Writes the pictures of one file and the sound of the other into a third."""
    import av

    muxing = {} if suffix == ".webm" else {"movflags": "+faststart"}
    with (
        av.open(f"file:{pictures}") as seen,
        _codecs._container(source) as (sounding, old),
        av.open(f"file:{target}", "w", format=suffix[1:], options=muxing) as out,
    ):
        picture = seen.streams.video[0]
        parts = [_shown(seen, picture, out.add_stream_from_template(picture))]
        # The new pictures begin at 0; where the old ones did not, the sound moves along.
        begin = float((old.start_time or 0) * old.time_base)
        tracks = list(sounding.streams.audio)
        if heard == Sound():
            into = {track.index: out.add_stream_from_template(track) for track in tracks}
            parts.append(_copied(sounding, tracks, into, begin))
        else:
            # The streams of all tracks first: none can be added once packets are written.
            streams = [_encoder(out, track, suffix) for track in tracks]
            for number, stream in enumerate(streams):
                parts.append(_retimed(source, number, stream, begin, heard))
        for _, _, packet in heapq.merge(*parts, key=lambda item: item[:2]):
            out.mux(packet)


def _shown(container: Any, picture: Any, into: Any) -> Iterator[Timed]:
    for number, packet in enumerate(container.demux(picture)):
        if packet.dts is not None:
            packet.stream = into
            yield float(packet.dts * packet.time_base), number, packet


def _copied(container: Any, tracks: list, into: dict[int, Any], begin: float) -> Iterator[Timed]:
    """The packets of all tracks, as they are."""
    for number, packet in enumerate(container.demux(*tracks)):
        if packet.dts is None:
            continue
        shift = round(begin / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        if packet.pts + (packet.duration or 0) >= 0:  # a codec's lead-in is kept
            packet.stream = into[packet.stream.index]
            yield float(packet.dts * packet.time_base), number, packet


def _encoder(out: Any, track: Any, suffix: str) -> Any:
    layout = "mono" if track.codec_context.channels == 1 else "stereo"
    return out.add_stream(_ENCODERS[suffix], rate=_RATES[suffix] or track.rate, layout=layout)


def _retimed(source: Path, number: int, into: Any, begin: float, heard: Sound) -> Iterator[Timed]:
    """The packets of one track, cut and in another tempo, encoded anew."""
    count = 0
    with _codecs._container(source) as (container, _):
        track = container.streams.audio[number]
        for frame in _filtered(container, track, begin, heard):
            for packet in into.encode(frame):
                yield float(packet.dts * packet.time_base), count, packet
                count += 1


def _filtered(container: Any, track: Any, begin: float, heard: Sound) -> Iterator[Any]:
    """The frames of a track behind ffmpeg's filters; then None, by which an encoder ends."""
    import av

    start, end = begin + heard.start, None if heard.end is None else begin + heard.end
    cut = f"start={start:.6f}" + ("" if end is None else f":end={end:.6f}")
    graph = av.filter.Graph()
    nodes = [graph.add_abuffer(template=track), graph.add("atrim", cut)]
    nodes.append(graph.add("asetpts", f"PTS-{start:.6f}/TB"))
    nodes += [graph.add("atempo", f"{factor:.9f}") for factor in tempos(heard.tempo)]
    nodes.append(graph.add("abuffersink"))
    for before, behind in zip(nodes, nodes[1:], strict=False):
        before.link_to(behind)
    graph.configure()

    def ready() -> Iterator[Any]:
        while True:
            try:
                yield graph.pull()
            except (BlockingIOError, EOFError):
                return

    for frame in container.decode(track):
        if end is not None and frame.time is not None and frame.time > end:
            break
        graph.push(frame)
        yield from ready()
    graph.push(None)
    yield from ready()
    yield None


def tempos(factor: float) -> list[float]:
    """Factors from 1/2 to 2, within which ffmpeg's `atempo` sounds best, whose product it is.

    Example:

    >>> tempos(5.0)
    [2.0, 2.0, 1.25]
    """
    found = []
    while factor > 2 or factor < 0.5:
        found.append(2.0 if factor > 2 else 0.5)
        factor /= found[-1]
    return found if factor == 1 else [*found, factor]
