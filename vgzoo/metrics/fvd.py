"""Fréchet video distance.

Unterthiner et al. 2018, "Towards Accurate Generative Models of Video: A New Metric & Challenges"
(arXiv 1812.01717): the Fréchet distance between Gaussians fitted to I3D's 400 logits of real and of
generated clips. Done by the protocol of StyleGAN-V (Skorokhodov et al. 2021, arXiv 2112.14683),
which fixed what the first paper left open: 16 frames (or 128), uint8, resized to 224×224 bilinearly
without antialiasing, mapped to [-1, 1]; 2,048 clips for figures to print. Covariances are divided
by N - 1, as in the first paper's code; StyleGAN-V's divides by N, which at 2,048 clips changes the
fourth digit. The distance falls as N grows, so N belongs beside every figure, and a figure of real
clips against other real clips beside it.
"""

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from vgzoo.errors import VgzooError
from vgzoo.metrics import i3d
from vgzoo.metrics.base import at_least_one
from vgzoo.metrics.frechet import FrechetDistance
from vgzoo.video import as_uint8

__all__ = ["FVD"]

SIZE = 224
LEAST_FRAMES = 9  # three halvings of time leave I3D's last pool the two frames it needs


@keras.saving.register_keras_serializable("vgzoo")
class FVD(FrechetDistance):
    """Fréchet video distance between the real and the generated clips seen so far; less is better.

    Clips go through I3D as they come, and are not kept.

    Args:
        weights: I3D's published weights, a file that `vgzoo.metrics.i3d.load` reads, or the
            network that it gave, to share one; the path in `VGZOO_I3D` if None.
        frames: frames of every clip, 16 or 128 in published figures, at least 9.
        batch_size: clips that go through the network at a time; it does not change the result.
        name: of the metric.

    Raises:
        VgzooError: no weights given, or not I3D's, or fewer frames than the network takes.

    Example:

    >>> metric = FVD(i3d.build())  # random weights, to show the call
    >>> metric.counts
    (0, 0)
    """

    def __init__(
        self,
        weights: str | Path | keras.Model | None = None,
        *,
        frames: int = 16,
        batch_size: int = 8,
        name: str = "fvd",
    ):
        super().__init__(name)
        self.frames = at_least_one("frames", frames)
        self.batch_size = at_least_one("batch_size", batch_size)
        if frames < LEAST_FRAMES:
            raise VgzooError(f"I3D needs clips of at least {LEAST_FRAMES} frames, not {frames}")
        weights = os.environ.get("VGZOO_I3D") if weights is None else weights
        if not weights:
            raise VgzooError(
                "FVD needs I3D's published weights, which cannot be shipped: get "
                "i3d_torchscript.pt (StyleGAN-V) or the TF-Hub module deepmind/i3d-kinetics-400, "
                "call vgzoo.metrics.i3d.convert(path, 'i3d.safetensors') once, and give FVD that "
                "file or set VGZOO_I3D to it"
            )
        given = isinstance(weights, keras.Model)
        self.network = weights if given else i3d.load(weights)
        self.weights = None if given else str(weights)

    def get_config(self) -> dict:
        own = {key: getattr(self, key) for key in ("weights", "frames", "batch_size")}
        return {**super().get_config(), **own}

    def update_state(self, real: Any = None, generated: Any = None) -> None:
        """Takes more clips of either kind; they need not be as many.

        Args:
            real: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], grey or RGB; or None.
            generated: likewise.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: clips of another length than `frames`, or none at all. Nothing of the call
                is taken then.
        """
        super().update_state(
            real=None if real is None else self.features(real),
            generated=None if generated is None else self.features(generated),
        )

    def features(self, clips: Any) -> np.ndarray:
        """I3D's logits of clips, float32 `(B, 400)`: what the distance is taken of."""
        clips = as_uint8(clips)
        clips = clips if clips.ndim == 5 else clips[None]
        if clips.shape[1] != self.frames:
            raise VgzooError(
                f"clips of {clips.shape[1]} frames came, FVD is set to {self.frames}: cut them to "
                "one length, or make it FVD(frames=…)"
            )
        parts = []
        for start in range(0, len(clips), self.batch_size):
            batch = network_input(clips[start : start + self.batch_size])
            parts.append(ops.convert_to_numpy(self.network.predict_on_batch(batch)))
        return np.concatenate(parts)


def network_input(clips: np.ndarray):
    """uint8 `(B, T, H, W, C)` → float32 `(B, T, 224, 224, 3)` in [-1, 1], as I3D was trained on.

    Bilinear, pixel centres at half coordinates, no antialiasing: PyTorch's `interpolate`.
    """
    batch, frames, height, width, channels = clips.shape
    x = ops.convert_to_tensor(clips.reshape(-1, height, width, channels).astype("float32"))
    x = ops.image.resize(
        x, (SIZE, SIZE), interpolation="bilinear", antialias=False, data_format="channels_last"
    )
    x = ops.reshape(x / 127.5 - 1, (batch, frames, SIZE, SIZE, channels))
    return ops.repeat(x, 3, axis=-1) if channels == 1 else x
