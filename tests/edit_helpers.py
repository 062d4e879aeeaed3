"""What the tests of edits share: one of each edit, a clip for it, comparisons."""

from pathlib import Path

import keras
import numpy as np

from vgzoo import edit
from vgzoo.edit.sampling import Warp

RNG = np.random.default_rng(0)
CLIP = RNG.integers(0, 256, (5, 12, 14, 3), "uint8")
SAMPLES = {
    "sequential": dict(edits=[{"edit": "invert"}]),
    "random": dict(of="exposure", stops=(-1, 1)),
    "colour_match": dict(reference=CLIP[:1, ::-1] // 2),
    "histogram_match": dict(reference=CLIP[:1, ::-1, :, :1] // 2),
    "clahe": dict(tiles=2),
    "resize": dict(height=6),
    "letterbox": dict(height=16, width=16),
    "perspective": dict(corners=[[0.1, 0], [1, 0], [1, 0.9], [0, 1]]),
    "resample": dict(fps=20, source_fps=25),
    "loop": dict(fade=2),
    "equirect_view": dict(height=8, width=10),
    "blur": dict(sigma=1),
    "bloom": dict(sigma=1),
    "overlay": dict(source=CLIP[:2, :6, :7, :1] // 2),
    "picture_in_picture": dict(source=CLIP[:2, :6, :7, :1]),
    "watermark": dict(source=CLIP[:2, :6, :7, :1], size=0.5),
    "side_by_side": dict(source=CLIP[:2, :6, :7, :1]),
    "text": dict(text="i", size=6),
    "cross_fade": dict(source=CLIP[:3, ..., :1] // 2, frames=2),
    "wipe": dict(source=CLIP[:3, ..., :1] // 2, frames=2),
    "inpaint": dict(mask=str(Path(__file__).with_name("hole.png"))),
    "lut": dict(file=str(Path(__file__).with_name("warm.cube"))),
}
PLAIN = [name for name in edit.names() if name not in ("sequential", "random")]


def make(name: str, **settings) -> edit.Edit:
    return edit.build(name, **(SAMPLES.get(name, {}) | settings))


def clip_for(layer: edit.Edit) -> np.ndarray:
    return CLIP if 3 in layer.channels else CLIP[..., :1]


def numpy(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


def close(came, wanted, levels: float = 1):
    """Nowhere further apart than so many levels."""
    assert np.abs(numpy(came).astype(float) - np.asarray(wanted, float)).max() <= levels


def luma(clip: np.ndarray) -> np.ndarray:
    """BT.709, in the levels that came."""
    return (clip @ np.array([0.2126, 0.7152, 0.0722])).astype("float32")


def assert_as_on_files(name: str) -> None:
    """An edit of tensors gives what OpenCV gives, to a level; between pixels, to ten on noise."""
    layer = make(name)
    clip = clip_for(layer)
    difference = layer.host(clip).astype(int) - numpy(layer(clip))
    # OpenCV looks up between pixels in 32nds; on noise that shows.
    assert np.abs(difference).max() <= (10 if isinstance(layer, Warp) else 1)
