"""The clip contract, and clips from and to files: mp4, webm, gif, animated webp, png, notebooks.

A clip is uint8 (T, H, W, C), a batch of clips uint8 (B, T, H, W, C), with one grey or three RGB
channels; float in [0, 1] is taken too. A range is never guessed: networks work in [-1, 1] inside,
and convert before a clip gets here.

- `.mp4` (H.264) and `.webm` (VP9) are small and lossy, `.webp` is exact, `.gif` is exact for grey
  and has one palette of 256 colours for the whole file, `.png` is a still film strip.
- A batch becomes one picture of tiles in a moving file; in a film strip each clip is a row.
- Files are written beside their place and renamed, so that a failure leaves what was there.
"""

from __future__ import annotations

import base64
import io
import math
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from vgzoo import _codecs
from vgzoo._atomic import replacing
from vgzoo._tiles import EDGE, auto_scale, enlarged, pictures
from vgzoo.errors import VideoError

__all__ = ["VideoWriter", "as_uint8", "probe", "read", "show", "stream", "write"]

_MOVING = (".mp4", ".webm", ".gif", ".webp")
_LONGEST = 16000  # H.264, VP9 and webp end just above


def as_uint8(clips: Any) -> np.ndarray:
    """Checks clips against the contract and gives them as uint8, of the same shape.

    Args:
        clips: (T, H, W, C) or (B, T, H, W, C) array or tensor, C 1 or 3, uint8 or float in [0, 1].

    Raises:
        VideoError: for any other shape, type or range, naming it.
    """
    wanted = "wanted (frames, height, width, channels) or (clips, frames, height, width, channels)"
    try:
        clips = np.asarray(clips)
    except (TypeError, ValueError, RuntimeError) as error:
        came = f"a {type(clips).__name__} that is no array"
        raise VideoError(f"{came} ({_codecs.reason(error)}); {wanted}") from error
    if clips.ndim not in (4, 5) or 0 in clips.shape:
        raise VideoError(f"an array of shape {clips.shape} came; {wanted}, none of them 0")
    if clips.shape[-1] not in (1, 3):
        raise VideoError(
            f"clips of shape {clips.shape} have {clips.shape[-1]} channels in the last axis; "
            "wanted 1 (grey) or 3 (RGB)"
        )
    if clips.dtype == np.uint8:
        return clips
    if clips.dtype.name == "bfloat16":  # NumPy knows it from ml_dtypes, not as a float
        clips = clips.astype(np.float32)
    if not np.issubdtype(clips.dtype, np.floating):
        raise VideoError(
            f"clips of type {clips.dtype} came; wanted uint8, or float in [0, 1]: "
            "convert them with .astype('uint8') if they hold 0 to 255"
        )
    low, high = float(clips.min()), float(clips.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise VideoError("clips hold NaN or infinite values; wanted uint8, or float in [0, 1]")
    if low < 0 or high > 1:
        raise VideoError(
            f"float clips from {low:.4g} to {high:.4g} came; wanted [0, 1]: "
            "pass (clips + 1) / 2 if they are in [-1, 1], clips / 255 if in [0, 255]"
        )
    return np.rint(clips * 255).astype(np.uint8)


def with_channels(clips: np.ndarray, channels: int) -> np.ndarray:
    """uint8 clips in RGB (3) or grey (1): the mean of the three, or the grey three times."""
    if channels == clips.shape[-1]:
        return clips
    if channels == 1:
        return np.round(clips.mean(axis=-1, keepdims=True)).astype("uint8")
    return clips.repeat(channels, axis=-1)


def read(path: str | os.PathLike, *, start: int = 0, frames: int | None = None) -> np.ndarray:
    """Reads a video, gif, webp or still picture as one clip.

    Videos and webp come as RGB; a gif or png of greys comes with one channel. A gif or webp of
    uneven durations comes at a constant rate, its longer frames repeated.

    Args:
        path: the file; what it is is told by its content, not its name.
        start: the first frame wanted.
        frames: how many at most, None for all; fewer come where the file ends.

    Returns:
        uint8 (T, H, W, C).

    Raises:
        VideoError: the file is missing, no video, damaged, cut off, or ends before `start`.
    """
    start = _whole("start", start, least=0)
    stop = None if frames is None else start + _whole("frames", frames)
    clip = list(islice(_codecs.frames(Path(path)), start, stop))
    if not clip:
        raise VideoError(f"{path} ends before frame {start}; wanted a start inside it")
    return np.stack(clip)


def stream(path: str | os.PathLike, *, chunk: int = 16) -> Iterator[np.ndarray]:
    """Reads a file as `read` does, as clips of `chunk` frames, only one of them in memory.

    Yields:
        uint8 (chunk, H, W, C); the last one may be shorter.

    Raises:
        VideoError: as `read`, when the damage is reached.
    """
    return _chunks(_codecs.frames(Path(path)), _whole("chunk", chunk))


def _chunks(frames: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    while clip := list(islice(frames, size)):
        yield np.stack(clip)


def probe(path: str | os.PathLike) -> dict:
    """What `read` would give, without decoding a video: `frames`, `height`, `width`, `fps`,
    `channels`. `fps` is a float, None for a still picture.

    Raises:
        VideoError: as `read`, as far as the first frame shows it.
    """
    return _codecs.probe(Path(path))


class VideoWriter:
    """Writes an mp4 or webm of any length, some frames at a time, in constant memory.

    The file appears, whole, when the `with` block ends; when the block raises, whatever was there
    before stays. Sizes as in `write`.

    Args:
        path: `.mp4` (H.264) or `.webm` (VP9), in a folder that exists.
        fps: frames a second, 0.1 to 1000.
        scale: whole-number enlargement, None for the automatic one.

    Example:
        >>> path = write("original.mp4", np.zeros((20, 64, 64, 3), np.uint8), fps=25)
        >>> with VideoWriter("negative.mp4", fps=probe(path)["fps"]) as out:
        ...     for clip in stream(path, chunk=8):
        ...         out.append(255 - clip)
    """

    def __init__(
        self, path: str | os.PathLike, *, fps: float = 10, scale: int | None = None
    ) -> None:
        self.path = Path(path)
        self.fps = _rate(fps)
        self.scale = None if scale is None else _whole("scale", scale)
        _suffix(self.path, (".mp4", ".webm"))
        self._shape: tuple[int, ...] | None = None
        self._encoder: _codecs.Encoder | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> VideoWriter:
        self._exit = ExitStack()
        self._temporary = self._exit.enter_context(_replacing(self.path))
        self._exit.push(self._close)
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit.__exit__(*error)

    def _close(self, kind: type | None, *_: Any) -> None:
        if self._encoder is not None:
            with _one_line(self.path):
                self._encoder.close(whole=kind is None)
        elif kind is None:
            raise VideoError(f"no frames came for {self.path}; append at least one clip")

    def append(self, clip: Any) -> None:
        """Adds a clip (T, H, W, C) behind what is there; the size of the first one counts.

        Raises:
            VideoError: no single clip, another size, or nothing more can be written.
        """
        if self._temporary is None:
            raise VideoError("a VideoWriter writes inside `with VideoWriter(...) as out:` only")
        clip = as_uint8(clip)
        if clip.ndim != 4:
            raise VideoError(f"a batch of shape {clip.shape} came; append one clip at a time")
        height, width, _ = shape = clip.shape[1:]
        if self._shape not in (None, shape):
            raise VideoError(f"frames of shape {shape} came after {self._shape}; wanted one size")
        suffix = self.path.suffix.lower()
        with _one_line(self.path):
            if self._encoder is None:
                self._shape = shape
                self.scale = self.scale or auto_scale(suffix, height, width)
                size = height * self.scale, width * self.scale
                self._encoder = _codecs.Encoder(self._temporary, suffix, *size, self.fps)
            for frame in clip:
                self._encoder.add(enlarged(frame, self.scale))


def write(
    path: str | os.PathLike,
    clips: Any,
    *,
    fps: float = 10,
    scale: int | None = None,
    columns: int | None = None,
) -> Path:
    """Writes clips to `.mp4`, `.webm`, `.gif`, `.webp` or `.png`, by the path's ending.

    Frames are enlarged by a whole number, nearest neighbour, and never stored at any other size,
    with one exception: H.264 has no odd sizes, so the automatic scale is even for an odd size, and
    with an odd `scale` that was asked for the last row or column is stored twice.

    Args:
        path: where to; its folder exists. An existing file is replaced when the new one is whole.
        clips: a clip or a batch as in `as_uint8`.
        fps: frames a second, 0.1 to 1000; 50 at most for gif and webp. Kept exactly, in a gif
            and webp on average (they count in 10 ms and 1 ms). A png has none.
        scale: enlargement; None: the least that makes the shorter side 128 pixels, 1 for png.
        columns: clips beside each other in a moving file; None: as square as it gets.

    Returns:
        The path.

    Raises:
        VideoError: one line on what cannot be written and why.
    """
    clips, path, rate = _batch(clips), Path(path), _rate(fps)
    suffix = _suffix(path, (*_MOVING, ".png"))
    count, length, height, width, _ = clips.shape
    if suffix == ".png":
        if columns is not None:
            raise VideoError("a png film strip has one row per clip; leave columns out")
        columns = length
        clips = clips.reshape(count * length, 1, height, width, -1)
    columns = _columns(columns, len(clips))
    rows = -(-len(clips) // columns)
    if scale is None:
        scale = 1 if suffix == ".png" else auto_scale(suffix, height, width, rows, columns)
    scale = _whole("scale", scale)
    high, wide = rows * height * scale, columns * width * scale
    if suffix != ".png" and max(high, wide) > _LONGEST:
        raise VideoError(
            f"the picture would have {wide}x{high} pixels; wanted {_LONGEST} a side at most: "
            "fewer clips, or a smaller scale"
        )
    if suffix in (".mp4", ".webm"):
        with VideoWriter(path, fps=rate, scale=1) as out:
            for picture in pictures(clips, scale, columns):
                out.append(picture[None])
        return path
    with _replacing(path) as temporary, _one_line(path):
        if suffix == ".png":
            _codecs.write_png(temporary, next(pictures(clips, scale, columns)))
        elif suffix == ".webp":
            tiled = pictures(clips, scale, columns)
            _codecs.write_webp(temporary, tiled, length, _at_most_50(rate))
        else:
            _write_gif(temporary, clips, rate, scale, columns)
    return path


def show(clips: Any, *, fps: float = 10, columns: int | None = None) -> Any:
    """Plays clips in a notebook: leave it as the last line of a cell.

    They are an inline gif in an `<img>`: it needs no codec, no script, no click and no trust in
    the notebook, so it plays in Jupyter, Colab, VS Code and exported pages alike, where a `<video>`
    is stripped or waits. The browser enlarges small frames, so the notebook stays small.

    Args:
        clips, fps, columns: as in `write`.

    Returns:
        An `IPython.display.HTML`.

    Raises:
        VideoError: for what is no clip, or outside a notebook.
    """
    clips, rate = _batch(clips), _rate(fps)
    ipython = sys.modules.get("IPython")  # whoever runs in a notebook has it loaded
    shell = ipython.get_ipython() if ipython else None
    if shell is None or type(shell).__name__ == "TerminalInteractiveShell":
        raise VideoError("show() needs a notebook; use vgzoo.write('clips.gif', clips) elsewhere")
    from IPython.display import HTML

    columns = _columns(columns, len(clips))
    file = io.BytesIO()
    _write_gif(file, clips, rate, 1, columns)
    width = next(pictures(clips[:, :1], 1, columns)).shape[1]
    width *= auto_scale(".gif", *clips.shape[2:4])
    return HTML(
        f'<img width="{width}" style="image-rendering: pixelated; max-width: 100%" '
        f'alt="{len(clips)} clips of {clips.shape[1]} frames" '
        f'src="data:image/gif;base64,{base64.b64encode(file.getvalue()).decode()}">'
    )


# ------------------------------------------------------------------------------- clips and pictures


def _batch(clips: Any) -> np.ndarray:
    clips = as_uint8(clips)
    return clips if clips.ndim == 5 else clips[None]


def _write_gif(
    target: Path | io.BytesIO, clips: np.ndarray, rate: Fraction, scale: int, columns: int
) -> None:
    palette, edge = None, EDGE
    if clips.shape[-1] == 3:
        clips, palette = _codecs.index_colours(clips, EDGE)
        edge = 255  # the palette's last entry
    tiled = pictures(clips, scale, columns, edge)
    _codecs.write_gif(target, tiled, clips.shape[1], _at_most_50(rate), palette)


# -------------------------------------------------------------------------- arguments and replacing


def _whole(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise VideoError(f"{name}={value!r} came; wanted a whole number, {least} or more")
    return int(value)


def _columns(columns: int | None, count: int) -> int:
    return min(count, math.ceil(count**0.5) if columns is None else _whole("columns", columns))


def _rate(fps: Any) -> Fraction:
    if isinstance(fps, bool) or not isinstance(fps, Real) or not 0.1 <= fps <= 1000:
        raise VideoError(f"fps={fps!r} came; wanted a number of frames a second, 0.1 to 1000")
    return Fraction(fps).limit_denominator(1001)  # 29.97002997 is 30000/1001


def _at_most_50(rate: Fraction) -> Fraction:
    if rate > _codecs.GIF_FPS:
        raise VideoError(
            f"fps={float(rate):g} came; browsers play a gif or webp at {_codecs.GIF_FPS} at most: "
            "ask for less, or write .mp4 or .webm"
        )
    return rate


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    if path.suffix.lower() not in known:
        raise VideoError(f"{path} ends in {path.suffix!r}; wanted one of {', '.join(known)}")
    return path.suffix.lower()


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """What the libraries say on a full disk or a size they cannot encode, as a VideoError."""
    import av

    try:
        yield
    except VideoError:
        raise
    except (OSError, ValueError, av.FFmpegError) as error:
        raise VideoError(f"cannot write {path}: {_codecs.reason(error)}") from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; it takes its place when the block ends without error."""
    if path.is_dir():
        raise VideoError(f"{path} is a folder; wanted a file to write")
    if not path.parent.is_dir():
        raise VideoError(f"no folder {path.parent} to write {path.name} in; make it first")
    with replacing(path) as temporary:
        yield temporary
