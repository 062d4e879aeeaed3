"""Files to frames and frames to files: PyAV for moving video, Pillow for gif, webp and png.

`vgzoo.video` is the public face; it checks the arrays and the arguments. Here every frame is
uint8 (H, W, C), and every failure is a one-line `VideoError`. Nothing here guesses a format by a
file's name: what is read is told by its first bytes.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from vgzoo.errors import VideoError

# ffmpeg would open a text file as terminal art and a playlist as a list of addresses to fetch;
# a clip that came from somebody else gets neither.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf"
_IMAGES = (b"GIF8", b"\x89PNG", b"\xff\xd8\xff", b"BM")
GIF_FPS = 50  # browsers slow down a gif whose frames are shorter than 20 ms


def frames(path: Path) -> Iterator[np.ndarray]:
    """Yields the file's frames, uint8 (H, W, C), upright, one in memory at a time."""
    source = _image_frames if _is_image(path) else _video_frames
    shape = None
    for index, frame in enumerate(source(path)):
        shape = shape or frame.shape
        if frame.shape != shape:
            raise VideoError(
                f"{path}: frame {index} is {frame.shape[1]}x{frame.shape[0]} where the first is "
                f"{shape[1]}x{shape[0]}; re-encode it at one size"
            )
        yield frame


def probe(path: Path) -> dict:
    """What `vgzoo.video.probe` gives."""
    if _is_image(path):
        with _image(path) as image:
            holds, fps, channels = _timeline(image)
            count, (width, height) = sum(holds), image.size
        return dict(frames=count, height=height, width=width, fps=fps, channels=channels)
    height, width, channels = next(_video_frames(path)).shape
    with _container(path) as (container, stream):
        fps = float(stream.average_rate or stream.guessed_rate or 0) or None
        # A webm names no frame count, so the packets are counted: no decoding, no memory.
        packets = container.demux(stream)
        count = sum(1 for packet in packets if packet.size and not packet.is_discard)
    return dict(frames=count, height=height, width=width, fps=fps, channels=channels)


# --------------------------------------------------------------- what a file is, and if it is whole


def _is_image(path: Path) -> bool:
    """Whether Pillow reads this file. A missing, empty or cut-off file raises VideoError."""
    if path.is_dir():
        raise VideoError(f"{path} is a folder; wanted a video file")
    if not path.exists():
        raise VideoError(f"no such file: {path}")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(64)
            declared = _declared_size(file, head, size)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {reason(error)}") from error
    if not size:
        raise VideoError(f"{path} is empty (0 bytes); wanted a video file")
    if declared > size:
        raise VideoError(
            f"{path} is cut off after {size} of at least {declared} bytes; get or write it again"
        )
    return head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _declared_size(file: io.BufferedReader, head: bytes, size: int) -> int:
    """The least length that the file must have by what it says itself; 0 where it says nothing.

    ffmpeg and Pillow take many a cut-off file for a shorter video, without a word.
    """
    if head[:4] == b"GIF8":
        file.seek(-min(size, 16), os.SEEK_END)
        ended = file.read().rstrip(b"\0\r\n").endswith(b";")  # padding is common
        return 0 if ended else size + 1
    if head[:4] == b"RIFF" and len(head) >= 8:
        length = int.from_bytes(head[4:8], "little")
        return 0 if length in (0, 2**32 - 1) else length + 8
    if head[:4] == b"\x1aE\xdf\xa3":
        header_end = 4 + sum(_ebml_size(head[4:]))
        file.seek(header_end)
        segment = file.read(12)
        if segment[:4] != b"\x18S\x80g":
            return 0
        width, length = _ebml_size(segment[4:])
        unknown = length == 2 ** (7 * width) - 1  # a live recording
        return 0 if unknown else header_end + 4 + width + length
    if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide"):
        return 0
    end = 0
    while end + 8 <= size:  # an mp4 is a row of boxes
        file.seek(end)
        box = file.read(16)
        length = int.from_bytes(box[:4], "big")
        if length == 1:
            length = int.from_bytes(box[8:], "big")
        if length < 8:  # 0: to the end of the file
            break
        end += length
    return end


def _ebml_size(field: bytes) -> tuple[int, int]:
    """The bytes that a Matroska length field takes, and the length it gives."""
    width = 9 - field[:1].rjust(1, b"\xff")[0].bit_length()
    return width, int.from_bytes(field[:width], "big") & (2 ** (7 * width) - 1)


def reason(error: Exception) -> str:
    """One line of what a library said."""
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__


# ------------------------------------------------------------------------------------- moving video


@contextmanager
def _container(path: Path) -> Iterator[tuple]:
    """The open container and its video stream; both are dead memory once it is closed."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": _CONTAINERS}
    try:
        container = av.open(f"file:{path}", options=options, metadata_errors="replace")
    except (OSError, av.FFmpegError) as error:
        raise VideoError(
            f"{path} is not a video or picture that can be read, or is damaged"
        ) from error
    with container:
        if not container.streams.video:
            raise VideoError(f"{path} has no video stream; wanted a video file")
        yield container, container.streams.video[0]


def _video_frames(path: Path) -> Iterator[np.ndarray]:
    import av

    count = 0
    with _container(path) as (container, stream):
        stream.thread_type = "AUTO"
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise VideoError(f"{path} is damaged at frame {count}; write it again")
                turns = round(frame.rotation / 90)  # a phone held upright
                yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
                count += 1
        except (OSError, av.FFmpegError) as error:
            line = f"{path} is damaged after {count} frames: {reason(error)}; write it again"
            raise VideoError(line) from error
    if not count:
        raise VideoError(f"{path} holds no frames; wanted at least one")


class Encoder:
    """H.264 in mp4 or VP9 in webm, one frame at a time, at a constant rate.

    Colours are stored as BT.709 and marked so, in 4:2:0, which is what every player shows. H.264
    knows no odd size in 4:2:0: an odd edge is doubled by one row or column there.
    """

    def __init__(self, path: Path, suffix: str, height: int, width: int, fps: Fraction) -> None:
        import av

        vp9 = suffix == ".webm"
        self._pad = (0, 0) if vp9 else (height % 2, width % 2)
        # faststart puts the index first, so that a web page plays while it loads.
        muxing = {} if vp9 else {"movflags": "+faststart"}
        self._container = av.open(f"file:{path}", "w", format=suffix[1:], options=muxing)
        quality = {"crf": "20", "b": "0", "cpu-used": "4", "row-mt": "1"} if vp9 else {"crf": "18"}
        codec = "libvpx-vp9" if vp9 else "libx264"
        self._stream = stream = self._container.add_stream(codec, rate=fps, options=quality)
        stream.height, stream.width = height + self._pad[0], width + self._pad[1]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.color_range = 1  # limited, as BT.709 (1) has it
        context.colorspace = context.color_primaries = context.color_trc = 1
        self._time_base = 1 / fps
        self._count = 0

    def add(self, frame: np.ndarray) -> None:
        """Encodes one uint8 (H, W, C) frame."""
        import av

        frame = np.pad(frame, ((0, self._pad[0]), (0, self._pad[1]), (0, 0)), mode="edge")
        # Grey goes in as RGB: swscale maps "gray" to luma without the change of range.
        rgb = np.ascontiguousarray(np.broadcast_to(frame, (*frame.shape[:2], 3)))
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
            format="yuv420p",
            src_colorspace="ITU709",
            dst_colorspace="ITU709",
            src_color_range="JPEG",
            dst_color_range="MPEG",
        )
        picture.pts, picture.time_base = self._count, self._time_base
        self._container.mux(self._stream.encode(picture))
        self._count += 1

    def close(self, *, whole: bool) -> None:
        """Closes the file; `whole` first writes what the codec still holds, and tells of errors."""
        import av

        try:
            if whole:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except (OSError, av.FFmpegError):
            if whole:  # else an earlier error is the one to report
                raise


# ----------------------------------------------------------------------------------- gif, webp, png


@contextmanager
def _image(path: Path) -> Iterator:
    from PIL import Image

    try:
        with Image.open(path, formats=("GIF", "WEBP", "BMP", "PNG", "JPEG")) as image:
            yield image
    except VideoError:
        raise
    except Exception as error:  # damage surfaces as OSError, SyntaxError, IndexError and others
        raise VideoError(f"{path} is damaged or cut off: {reason(error)}") from error


def _timeline(image) -> tuple[list[int], float | None, int]:
    """How many equal steps each stored frame is held, the frames per second, the channels.

    Writers of gif and webp merge equal frames into one that is shown longer; read at a constant
    rate, a frame held three times as long as its neighbours comes three times.
    """
    durations, grey = [], True
    for index in range(getattr(image, "n_frames", 1)):
        image.seek(index)
        image.load()
        if image.mode in ("I;16", "I", "F"):
            raise VideoError(f"{image.filename}: 16 bits a pixel; wanted 8, convert it first")
        grey = grey and image.mode in ("1", "L", "LA")
        duration = float(image.info.get("duration", 0))
        durations.append(duration if duration > 10 else 100.0)  # as every browser shows it
    channels = 1 if grey else 3
    if len(durations) == 1:
        return [1], 1000 / durations[0] if "duration" in image.info else None, channels
    # A gif counts in 10 ms: 40 frames a second are stored as 20, 30, 20, 30.
    longest = max(1.4 * min(durations), min(durations) + 10)
    usual = [duration for duration in durations if duration <= longest]
    step = sum(usual) / len(usual)
    return [max(1, round(duration / step)) for duration in durations], 1000 / step, channels


def _image_frames(path: Path) -> Iterator[np.ndarray]:
    from PIL import Image

    with _image(path) as image:
        holds, _, channels = _timeline(image)
        for index, hold in enumerate(holds):
            image.seek(index)
            picture = image
            if image.has_transparency_data:
                picture = image.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", image.size, "black"), picture)
            pixels = np.array(picture.convert("L" if channels == 1 else "RGB"))
            for _ in range(hold):
                yield pixels.reshape(*pixels.shape[:2], channels).copy()


def _ticks(count: int, fps: Fraction, per_second: int) -> list[int]:
    """Whole-tick durations of `count` frames whose sum stays within half a tick of the rate."""
    marks = [round(index * per_second / fps) for index in range(count + 1)]
    return [end - start for start, end in zip(marks, marks[1:], strict=False)]


def index_colours(clips: np.ndarray, extra: int) -> tuple[np.ndarray, np.ndarray]:
    """RGB clips (..., 3) as indices (..., 1) into one palette (256, 3) that holds grey `extra`.

    One palette and no dithering: a pixel that does not change keeps its colour in every frame.
    Exact where the clips have at most 255 colours, else the median cut.
    """
    from PIL import Image

    palette = np.full((256, 3), extra, np.uint8)
    pixels = clips.reshape(-1, 3)
    sample = np.ascontiguousarray(pixels[:: 1 + len(pixels) // 2**18])
    if len(np.unique(sample, axis=0)) <= 255:  # spares a video of many colours the slow count
        colours, indices = np.unique(pixels, axis=0, return_inverse=True)
        if len(colours) <= 255:
            palette[: len(colours)] = colours
            return indices.reshape(*clips.shape[:-1], 1).astype(np.uint8), palette
    chosen = Image.fromarray(sample[None]).quantize(255, Image.Quantize.MEDIANCUT, kmeans=2)
    flat = chosen.getpalette()[: 255 * 3]
    palette[: len(flat) // 3] = np.reshape(flat, (-1, 3))
    whole = Image.fromarray(clips.reshape(-1, clips.shape[-2], 3))
    indices = np.asarray(whole.quantize(palette=chosen, dither=Image.Dither.NONE))
    return indices.reshape(*clips.shape[:-1], 1), palette


def write_gif(
    target: Path | io.BytesIO,
    pictures: Iterable[np.ndarray],
    count: int,
    fps: Fraction,
    palette: np.ndarray | None,
) -> None:
    """`count` pictures (H, W, 1): indices into `palette`, or greys where it is None. Loops.

    ffmpeg's writer, because Pillow's drops a frame that equals the one before it.
    """
    import av

    durations = _ticks(count, fps, 100)
    options = {"loop": "0", "final_delay": str(durations[-1])}
    where = target if isinstance(target, io.BytesIO) else f"file:{target}"
    with av.open(where, "w", format="gif", options=options) as container:
        stream = container.add_stream("gif", rate=100)
        stream.pix_fmt = "gray" if palette is None else "pal8"
        if palette is not None:  # alpha, red, green, blue
            palette = np.concatenate([np.full((256, 1), 255, np.uint8), palette], 1)
        clock = 0
        for picture, duration in zip(pictures, durations, strict=True):
            if not clock:
                stream.height, stream.width = picture.shape[:2]
            pixels = np.ascontiguousarray(picture[..., 0])
            content = pixels if palette is None else (pixels, palette)
            frame = av.VideoFrame.from_ndarray(content, format=stream.pix_fmt)
            frame.pts, frame.time_base, frame.duration = clock, Fraction(1, 100), duration
            container.mux(stream.encode(frame))
            clock += duration
        container.mux(stream.encode(None))


def write_webp(path: Path, pictures: Iterable[np.ndarray], count: int, fps: Fraction) -> None:
    """Lossless animated webp that loops.

    Pillow encodes each picture; the animation around them is put together here, because libwebp's
    own drops a frame that equals the one before it.
    """
    chunks = [b""]
    for picture, duration in zip(pictures, _ticks(count, fps, 1000), strict=True):
        height, width = picture.shape[:2]
        still = io.BytesIO()
        # Twice as fast as Pillow's default effort, for equal bytes.
        _picture(picture).convert("RGB").save(still, "WEBP", lossless=True, method=2, quality=50)
        header = bytes(6) + _u24(width - 1) + _u24(height - 1) + _u24(duration) + b"\x02"
        chunks.append(_chunk(b"ANMF", header + still.getvalue()[12:]))
    animated = b"\x02\0\0\0" + _u24(width - 1) + _u24(height - 1)
    chunks[0] = b"WEBP" + _chunk(b"VP8X", animated) + _chunk(b"ANIM", bytes(6))
    path.write_bytes(_chunk(b"RIFF", b"".join(chunks)))


def write_png(path: Path, picture: np.ndarray) -> None:
    """One uint8 (H, W, C) picture."""
    _picture(picture).save(path, "PNG")


def _picture(pixels: np.ndarray):
    from PIL import Image

    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _u24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
