"""A reader of moving digits: which two are in a frame, and where.

A small residual network looks at one frame at a time and spreads a probability of one over all
places and classes, half of it for each digit; after the centre heatmaps of Zhou et al. 2019,
"Objects as Points" (arXiv 1904.07850), with two differences. A single softmax over place and class
takes the place of a sigmoid for each cell, since the number of digits is known: what is unsure
shows as a spread of the mass. And a digit's half is shared by the four cells around its centre, so
that their mean gives its place to a fraction of a pixel.

It never sees two frames at once: a judge of motion must not have learnt what motion is likely.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.errors import VgzooError
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth
from vgzoo.models.base import VideoModel, register
from vgzoo.video import as_uint8

CLASSES = 10
CELL = 2  # pixels a side


class Detector(keras.Model):
    """Frames `(N, H, W, 1)` in [-1, 1] → float32 logits `(N, H/2, W/2, 10)`."""

    def __init__(self, *, stem: int, width: int, blocks: int):
        super().__init__(name="detector")
        self.pixels = layers.Conv2D(
            stem, 3, padding="same", kernel_initializer=he_normal(), name="pixels"
        )
        self.narrow = layers.Conv2D(width, 1, kernel_initializer=he_normal(), name="narrow")
        self.blocks = [Block(width, time=False, name=f"block_{i}") for i in range(blocks)]
        self.cells = layers.Conv2D(
            4 * CLASSES, 3, padding="same", kernel_initializer="zeros", name="cells"
        )

    def call(self, frame):
        x = leaky(self.pixels(space_to_depth(ops.cast(frame, self.compute_dtype), CELL)))
        x = self.narrow(space_to_depth(x, 2))  # (N, H/4, W/4, width)
        for block in self.blocks:
            x = block(x)
        return ops.cast(depth_to_space(self.cells(leaky(x)), 2), "float32")


@register
class DigitReader(VideoModel):
    """Reads the two digits of each frame; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; grey, of any length.
        digit: side of a digit's image, in pixels.
        stem: channels at half resolution.
        filters: channels at a quarter of the resolution.
        blocks: residual blocks there.

    Example:

    >>> model = DigitReader(filters=8, blocks=1)
    >>> model.heatmaps(np.zeros((1, 16, 64, 64, 1), "uint8")).shape
    (1, 16, 32, 32, 10)
    """

    family = "judge"
    tasks = ("read-digits",)
    references = ("arXiv:1904.07850", "arXiv:1502.04681")
    any_length = True
    logged = ("overlap",)

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        digit: int = 28,
        stem: int = 24,
        filters: int = 48,
        blocks: int = 3,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if channels != 1:
            raise VgzooError(f"digits are read in grey clips: channels must be 1, not {channels}")
        if height % 4 or width % 4 or not 0 < digit < min(height, width):
            raise VgzooError(
                f"frames of {height}×{width} with digits of {digit} pixels came; wanted sides that "
                "are multiples of 4 and larger than a digit"
            )
        self.digit, self.stem, self.filters, self.blocks = digit, stem, filters, blocks
        self.network = Detector(stem=stem, width=filters, blocks=blocks)
        self.network(keras.KerasTensor((1, height, width, 1)))

    def get_config(self) -> dict:
        own = ("digit", "stem", "filters", "blocks")
        return {**super().get_config(), **{k: getattr(self, k) for k in own}}

    def tensor_groups(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.network.weights}

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3, beta_2=0.99, use_ema=True, ema_momentum=0.998)

    def heatmaps(self, clips, *, batch_size: int = 16) -> np.ndarray:
        """Where the digits of each frame are, and which.

        Args:
            clips: `(B, T, H, W, 1)`, uint8 or float in [0, 1].
            batch_size: clips at a time.

        Returns:
            float32 `(B, T, H/2, W/2, 10)`: for every frame probabilities that add up to one, half
            for each digit. Cell (i, j) is centred at pixel (2i + ½, 2j + ½).

        Raises:
            VgzooError: frames of another size.
        """
        clips = as_uint8(clips)
        clips = clips if clips.ndim == 5 else clips[None]
        if clips.shape[2:] != (self.height, self.width, 1):
            raise VgzooError(
                f"{self.name} reads clips (B, T, {self.height}, {self.width}, 1), not {clips.shape}"
            )
        grid = (self.height // CELL, self.width // CELL, CLASSES)
        maps = np.empty((*clips.shape[:2], *grid), "float32")
        for start in range(0, len(clips), batch_size):
            part = clips[start : start + batch_size]
            part = np.concatenate([part, np.zeros((batch_size - len(part), *part.shape[1:]), "u1")])
            logits = self.network.predict_on_batch(
                part.reshape(-1, *part.shape[2:]).astype("float32") / 127.5 - 1
            )
            logits = ops.convert_to_numpy(logits).reshape(batch_size, clips.shape[1], -1)
            mass = np.exp(logits - logits.max(axis=-1, keepdims=True))
            mass /= mass.sum(axis=-1, keepdims=True)
            mass = mass.reshape(batch_size, clips.shape[1], *grid)
            maps[start : start + batch_size] = mass[: len(clips) - start]
        return maps

    def features(self, clips, *, batch_size: int = 16) -> np.ndarray:
        """Mass of each class, averaged over a clip's frames: float32 `(B, 10)`."""
        return self.heatmaps(clips, batch_size=batch_size).sum(axis=(2, 3)).mean(axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of where and what, averaged over digits and frames.

        Args:
            x: `{"clip", "label", "path"}`: `(B, T, H, W, 1)`; the classes `(B, D)`; top and left
                edge of each digit in each frame `(B, D, T, 2)`, in pixels.
        """
        if not isinstance(x, dict) or not {"label", "path"} <= x.keys():
            raise VgzooError(
                f'{self.name} trains on {{"clip", "label", "path"}}: classes (B, D) and the top '
                "left corners (B, D, T, 2) of the digits of each clip"
            )
        clip = self.network_clip(x)
        frames = clip.shape[1]
        logits = self.network(ops.reshape(clip, (-1, self.height, self.width, 1)))
        rows, columns = logits.shape[1:3]
        flat = ops.log_softmax(ops.reshape(logits, (-1, rows * columns * CLASSES)))
        logs = ops.reshape(flat, (-1, frames, rows, columns * CLASSES))
        path = ops.transpose(ops.cast(x["path"], "float32"), (0, 2, 1, 3))  # (B, T, D, 2)
        centre = (path + (self.digit - 1) / 2 - (CELL - 1) / 2) / CELL
        hats = [
            ops.relu(1 - ops.abs(centre[..., axis, None] - ops.arange(size, dtype="float32")))
            for axis, size in ((0, rows), (1, columns))
        ]
        classes = ops.one_hot(x["label"], CLASSES, dtype="float32")  # (B, D, 10)
        digits = classes.shape[1]
        seen = ops.reshape(ops.matmul(hats[0], logs), (-1, frames, digits, columns, CLASSES))
        seen = ops.sum(hats[1][..., None] * seen, axis=3)  # (B, T, D, 10)
        loss = -ops.mean(ops.sum(classes[:, None] * seen, axis=-1))

        mass = ops.sum(ops.reshape(ops.exp(flat), (-1, frames, rows * columns, CLASSES)), axis=2)
        ideal = ops.mean(classes, axis=1)[:, None]
        self.track(overlap=ops.mean(ops.sum(ops.minimum(mass, ideal), axis=-1)))
        return loss


MODEL = DigitReader
