"""What lossy codecs make of clips at so many bits: the bar for an autoencoder.

Two of them, each clip coded alone and decoded again:

- JPEG (ITU-T T.81) of each frame through Pillow, chroma at half size as is usual, Huffman tables
  made to fit. Only the entropy-coded scan counts: the tables before it could be agreed upon.
- H.264 through PyAV's libx264, preset veryslow, one quantiser for all frames. Chroma at full size,
  since on the clips of this zoo that gives more of RGB back at equal bits. Only packets count, less
  x264's note with its own settings.
"""

import io
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.codecs import without_notes

_SCAN = b"\xff\xda"
Codec = Callable[[np.ndarray, int], tuple[np.ndarray, int]]  # (clip, setting) → (clip, bits)


def jpeg(clip: np.ndarray, quality: int) -> tuple[np.ndarray, int]:
    """A clip uint8 `(T, H, W, C)` through JPEG of a quality from 1 to 95, and its bits."""
    from PIL import Image

    frames, bits = [], 0
    for frame in clip:
        file = io.BytesIO()
        picture = Image.fromarray(frame.squeeze(-1) if frame.shape[-1] == 1 else frame)
        picture.save(file, "JPEG", quality=quality, optimize=True)
        coded = file.getvalue()
        bits += 8 * (len(coded) - coded.index(_SCAN))
        frames.append(np.asarray(Image.open(file)).reshape(frame.shape))
    return np.stack(frames), bits


def h264(clip: np.ndarray, quantiser: int) -> tuple[np.ndarray, int]:
    """A clip uint8 `(T, H, W, C)` through H.264 at a quantiser from 0 to 51, and its bits.

    Raises:
        VgzooError: this build of PyAV has no libx264, or it refuses the size.
    """
    import av

    height, width, channels = clip.shape[1:]
    try:
        coder = av.CodecContext.create("libx264", "w")
        coder.width, coder.height, coder.pix_fmt = width, height, "yuv444p"
        coder.time_base, coder.framerate = Fraction(1, 25), Fraction(25)
        coder.thread_count = 1
        coder.options = {"qp": str(quantiser), "preset": "veryslow"}
        packets = []
        for i, frame in enumerate(
            np.ascontiguousarray(clip.repeat(4 - channels, axis=-1)[..., :3])
        ):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = i
            packets += coder.encode(picture)
        packets += coder.encode(None)
        decoder = av.CodecContext.create("h264", "r")
        pictures = [p for packet in packets for p in decoder.decode(packet)] + decoder.decode(None)
    except (ValueError, av.FFmpegError) as error:
        raise VgzooError(
            f"libx264 did not take {len(clip)} frames of {width}x{height} ({error}); "
            "install PyAV's own wheels"
        ) from error
    made = np.stack([p.to_ndarray(format="rgb24") for p in pictures])
    bits = 8 * sum(len(without_notes(bytes(packet))) for packet in packets)
    return made[..., :channels], bits


def at_most(
    codec: Codec, clips: np.ndarray, bits: float, settings: range, sample: int = 64
) -> tuple[np.ndarray, float]:
    """Clips at the best setting that takes no more bits a clip than asked.

    Args:
        codec: `jpeg` or `h264`.
        clips: uint8 `(B, T, H, W, C)`.
        bits: mean of a clip.
        settings: from the fewest bits to the most; its first one is taken where all take more.
        sample: clips by which the setting is chosen.

    Returns:
        The clips decoded, and their mean bits.
    """

    def mean_bits(setting: int) -> float:
        return float(np.mean([codec(clip, setting)[1] for clip in clips[:sample]]))

    low, high = 0, len(settings)  # the answer lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mean_bits(settings[middle]) <= bits else (low, middle)
    made, counts = zip(*(codec(clip, settings[low]) for clip in clips), strict=True)
    return np.stack(made), float(np.mean(counts))
