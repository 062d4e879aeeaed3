"""What lossless video codecs need for clips, in bits per dimension: the bar for a likelihood.

A model whose bits per dimension are above those of a codec has learned less about video than the
codec's authors knew. Two through PyAV, each clip coded alone, at settings that suit small clips:

- FFV1 (RFC 9043): range coder, large contexts, carried over from frame to frame. Version 1, because
  it keeps all that a decoder needs in the packets, and has no slices to pay for. RGB goes through
  its reversible colour transform.
- x264 (ITU-T H.264, High 4:4:4 Predictive) at `qp 0`, preset veryslow, which predicts along motion.
  RGB is coded as RGB (libx264rgb), since YUV of 8 bits would lose.

Only packet bytes count, no container's. The note with its own settings that x264 puts into every
first packet (about 700 bytes, 0.07 bits per dimension of a grey 20×64×64 clip) is left out: a
decoder doesn't need it.
"""

import re
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.base import MeanMetric
from vgzoo.video import as_uint8

# By codec and channels: ffmpeg's encoder and pixel format.
ENCODERS = MappingProxyType(
    {
        ("ffv1", 1): ("ffv1", "gray"),
        ("ffv1", 3): ("ffv1", "bgr0"),
        ("x264", 1): ("libx264", "gray"),
        ("x264", 3): ("libx264rgb", "rgb24"),
    }
)
_OPTIONS = {
    # The contexts start anew at a key frame, so there is only one.
    "ffv1": {"level": "1", "coder": "1", "context": "1", "g": "100000"},
    "x264": {"qp": "0", "preset": "veryslow"},
}
_UNIT = re.compile(rb"\0?\0\0\x01.*?(?=\0?\0\0\x01|\Z)", re.DOTALL)
_SEI = 6  # supplemental enhancement information: notes, no pictures


@keras.saving.register_keras_serializable("vgzoo")
class CodecBitsPerDim(MeanMetric):
    """Bits that a lossless codec needs for one value (pixel and channel); less is better.

    Args:
        codec: `"ffv1"` or `"x264"`.
        name: of the metric, `<codec>_bits_per_dim` if None.

    Raises:
        VgzooError: an unknown codec.

    Example:

    >>> black = np.zeros((1, 8, 64, 64, 1), "uint8")
    >>> CodecBitsPerDim("ffv1")(black) < 0.1  # of 8
    True
    """

    def __init__(self, codec: str = "ffv1", name: str | None = None):
        if codec not in _OPTIONS:
            raise VgzooError(f"unknown codec {codec!r}; wanted 'ffv1' or 'x264'")
        super().__init__(name or f"{codec}_bits_per_dim")
        self.codec = codec

    def update_state(self, clips: Any) -> None:
        """Takes clips: `(B, T, H, W, C)` or one, uint8 or float in [0, 1] (then rounded to 8 bits).

        Raises:
            VideoError: an array that is no clip.
            VgzooError: this build of PyAV does not have the encoder, or it refuses the size.
        """
        clips = as_uint8(clips)
        for clip in clips if clips.ndim == 5 else clips[None]:
            self.add(8 * sum(map(len, encode(clip, self.codec))), clip.size)

    def get_config(self) -> dict:
        return {"codec": self.codec, "name": self.name}


def encode(clip: np.ndarray, codec: str) -> list[bytes]:
    """The packets of one clip, uint8 `(T, H, W, C)`; a decoder needs them and the size alone.

    Raises:
        VgzooError: this build of PyAV does not have the encoder, or it refuses the size.
    """
    import av

    encoder, pixels = ENCODERS[codec, clip.shape[-1]]
    height, width = clip.shape[1:3]
    try:
        context = av.CodecContext.create(encoder, "w")
        context.height, context.width, context.pix_fmt = height, width, pixels
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        context.thread_count = 1  # threads cut a frame into slices, which cost bits
        context.options = _OPTIONS[codec]
        packets = []
        for number, frame in enumerate(_frames(clip, pixels)):
            frame.pts = number
            packets += context.encode(frame)
        packets = [bytes(packet) for packet in packets + context.encode(None)]
    except (ValueError, av.FFmpegError) as error:
        raise VgzooError(
            f"{encoder} did not take {len(clip)} frames of {width}x{height} {pixels} ({error}); "
            "try the other codec, or PyAV's own wheels"
        ) from error
    return [without_notes(packet) for packet in packets] if codec == "x264" else packets


def without_notes(packet: bytes) -> bytes:
    """An H.264 packet (Annex B) less its SEI units."""
    units = _UNIT.findall(packet)
    return b"".join(unit for unit in units if unit[unit.index(1) + 1] & 31 != _SEI)


def _frames(clip: np.ndarray, pixels: str):
    from av import VideoFrame

    for frame in np.ascontiguousarray(clip):
        if frame.shape[-1] == 1:
            yield VideoFrame.from_ndarray(frame[..., 0], format="gray")
        else:
            yield VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)
