"""A small encoder of clips: the eye behind FCD, the Fréchet clip distance.

FVD (Unterthiner et al. 2018, arXiv 1812.01717) looks through a network trained on films of people
at 224×224 pixels. This one is made for the clips of this zoo: trained from scratch, supervised, to
tell what is in a clip (digits, or the class of a photograph) and how it moves (places and
velocities of digits, or the camera's), in one network for all of them.

Convolutions are factorised into space and time (Tran et al. 2018, arXiv 1711.11248). Three depths
give the features, side by side: what is fine fades in what is deep, and a judge needs both. Each
feature is brought to variance one over the training clips, so that none outweighs the others.

One rule makes every clip fit: grey becomes RGB, and frames become 64×64, bilinearly.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.errors import VgzooError
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import downsample, he_normal, leaky, space_to_depth
from vgzoo.models.base import VideoModel, register
from vgzoo.video import as_uint8

GAPS = 3  # equal parts of a clip


class Trunk(keras.Model):
    """Clip `(B, T, 64, 64, 3)` in [-1, 1], T even → float32 features `(B, D)`."""

    def __init__(self, *, stem: int, widths: tuple[int, int, int], head: int):
        super().__init__(name="trunk")
        self.widths, self.head = widths, head
        fine, middle, coarse = widths
        self.pixels = layers.Conv2D(
            stem, 3, padding="same", kernel_initializer=he_normal(), name="pixels"
        )

        def to(width: int, name: str):
            return layers.Conv2D(width, 1, kernel_initializer=he_normal(), name=name)

        self.to_fine, self.to_middle = to(fine, "to_fine"), to(middle, "to_middle")
        self.to_coarse, self.to_place = to(coarse, "to_coarse"), to(32, "to_place")
        self.fine = Block(fine, time=True, name="fine")
        self.middle = [Block(middle, time=True, name=f"middle_{i}") for i in (0, 1)]
        self.coarse = Block(coarse, time=True, name="coarse")
        self.frame = layers.Dense(coarse, kernel_initializer=he_normal(), name="frame")
        self.clip = layers.Dense(head, kernel_initializer=he_normal(), name="clip")
        # Variance one, but no weights of its own: those of what follows would only undo them.
        self.even = layers.BatchNormalization(
            center=False, scale=False, epsilon=1e-4, dtype="float32", name="even"
        )

    def call(self, clip, training=False):
        _, frames, height, width, channels = clip.shape
        x = ops.reshape(ops.cast(clip, self.compute_dtype), (-1, height, width, channels))
        x = leaky(self.pixels(space_to_depth(x, 2)))
        x = self.fine(self.to_fine(space_to_depth(x, 2)), frames=frames)  # (B·T, 16, 16, ·)
        features = [self._mean(leaky(x), frames)]
        x = downsample(leaky(x))
        # Two frames become one of twice the channels.
        x = ops.reshape(x, (-1, frames // 2, 2, *x.shape[1:]))
        x = ops.reshape(ops.transpose(x, (0, 1, 3, 4, 2, 5)), (-1, *x.shape[3:5], 2 * x.shape[-1]))
        x = self.to_middle(x)  # (B·T/2, 8, 8, ·)
        for block in self.middle:
            x = block(x, frames=frames // 2)
        features.append(self._mean(leaky(x), frames // 2))
        x = self.coarse(self.to_coarse(downsample(leaky(x))), frames=frames // 2)
        # Where something is matters here as much as what it is: no mean over places.
        x = leaky(self.to_place(leaky(x)))
        x = leaky(self.frame(ops.reshape(x, (-1, frames // 2, int(np.prod(x.shape[1:]))))))
        parts = ops.matmul(ops.cast(_thirds(frames // 2), x.dtype), x)  # (B, GAPS, ·)
        features.append(leaky(self.clip(ops.reshape(parts, (-1, GAPS * self.widths[2])))))
        features = ops.concatenate([ops.cast(f, "float32") for f in features], axis=-1)
        return self.even(features, training=training)

    def _mean(self, x, frames: int):
        _, height, width, filters = x.shape
        return ops.mean(ops.reshape(x, (-1, frames * height * width, filters)), axis=1)


@register
class ClipEncoder(VideoModel):
    """Clips to features; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; square, RGB, of any even length.
        stem: channels at half resolution.
        widths: channels at a quarter, an eighth and a sixteenth of it.
        head: length of the deepest features.
        contents: classes it is trained to tell, those of all datasets together.
        motions: numbers that tell how each third of a clip moves.

    Example:

    >>> model = ClipEncoder(stem=8, widths=(8, 8, 8), head=16)
    >>> model.features(np.zeros((2, 16, 32, 32, 1), "uint8")).shape
    (2, 32)
    """

    family = "judge"
    tasks = ("encode-clips",)
    references = ("arXiv:1812.01717", "arXiv:1711.11248")
    any_length = True
    logged = ("content_loss", "motion_loss")

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 3,
        seed: int = 0,
        stem: int = 16,
        widths: tuple[int, int, int] = (32, 64, 128),
        head: int = 128,
        contents: int = 30,
        motions: int = 16,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height != width or height % 16 or channels != 3 or frames % 2:
            raise VgzooError(
                f"clips of {frames}×{height}×{width}×{channels} came; the encoder takes an even "
                "number of square RGB frames whose side is a multiple of 16"
            )
        if len(widths) != 3:
            raise VgzooError(f"widths must be three numbers of channels, not {widths}")
        self.stem, self.widths, self.head = stem, tuple(widths), head
        self.contents, self.motions = contents, motions
        self.network = Trunk(stem=stem, widths=self.widths, head=head)
        features = self.network(keras.KerasTensor((1, frames, height, width, channels)))
        self.content = layers.Dense(contents, dtype="float32", name="content")
        self.motion = layers.Dense(GAPS * motions, dtype="float32", name="motion")
        for dense in (self.content, self.motion):
            dense.build(features.shape)

    def get_config(self) -> dict:
        own = ("stem", "head", "contents", "motions")
        config = {**super().get_config(), **{k: getattr(self, k) for k in own}}
        return {**config, "widths": list(self.widths)}

    def tensor_groups(self) -> dict[str, list[keras.Variable]]:
        return {"model": [*self.network.weights, *self.content.weights, *self.motion.weights]}

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(1e-3, beta_2=0.99, use_ema=True, ema_momentum=0.998)

    def end_burn_in(self) -> None:
        """Gives the deepest features variance one by their own weights.

        Nothing holds their size while training, and half precision cannot hold the square of what
        they grow to. A leaky ReLU takes a factor out as it came in, so nothing else changes.
        """
        even, dense = self.network.even, self.network.clip
        mean, variance = even.moving_mean, even.moving_variance
        scale = ops.rsqrt(variance[-self.head :] + even.epsilon)
        dense.kernel.assign(dense.kernel * scale)
        dense.bias.assign(dense.bias * scale)
        mean.assign(ops.concatenate([mean[: -self.head], mean[-self.head :] * scale]))
        ones = ops.ones((self.head,), variance.dtype)
        variance.assign(ops.concatenate([variance[: -self.head], ones]))

    def features(self, clips, *, batch_size: int = 16) -> np.ndarray:
        """What distances between sets of clips are taken of.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], grey or RGB, of any
                size and an even length.
            batch_size: clips at a time.

        Returns:
            float32 `(B, D)`.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: an odd number of frames.
        """
        clips = as_uint8(clips)
        clips = clips if clips.ndim == 5 else clips[None]
        if clips.shape[1] % 2:
            raise VgzooError(
                f"clips of {clips.shape[1]} frames came; {self.name} takes an even number: leave "
                "one out"
            )
        rows = []
        for start in range(0, len(clips), batch_size):
            part = clips[start : start + batch_size]
            filled = np.concatenate(
                [part, np.zeros((batch_size - len(part), *part.shape[1:]), "u1")]
            )
            made = self.network.predict_on_batch(network_input(filled, self.height))
            rows.append(ops.convert_to_numpy(made)[: len(part)])
        return np.concatenate(rows)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the content, and squared error of the motion where it is known.

        Args:
            x: `{"clip", "content", "motion", "known"}`: `(B, T, H, W, 3)`; shares of the classes
                `(B, contents)`; how each third of a clip moves `(B, 3, motions)`, in numbers of
                about one, and 1 where those have a meaning.
        """
        if not isinstance(x, dict) or not {"content", "motion", "known"} <= x.keys():
            raise VgzooError(
                f'{self.name} trains on {{"clip", "content", "motion", "known"}}: see '
                "vgzoo.train.truths"
            )
        features = self.network(self.network_clip(x), training=training)
        logs = ops.log_softmax(self.content(features))
        content = -ops.mean(ops.sum(ops.cast(x["content"], "float32") * logs, axis=-1))
        told = ops.reshape(self.motion(features), (-1, GAPS, self.motions))
        known = ops.cast(x["known"], "float32")
        error = known * ops.square(told - ops.cast(x["motion"], "float32"))
        motion = ops.sum(error) / ops.maximum(ops.sum(known), 1)
        self.track(content_loss=content, motion_loss=motion)
        return content + motion


def network_input(clips: np.ndarray, side: int):
    """uint8 `(B, T, H, W, C)` → float32 `(B, T, side, side, 3)` in [-1, 1], by the one rule."""
    batch, frames, height, width, channels = clips.shape
    x = ops.convert_to_tensor(clips.astype("float32"))
    if (height, width) != (side, side):
        x = ops.image.resize(
            ops.reshape(x, (-1, height, width, channels)),
            (side, side),
            interpolation="bilinear",
            antialias=max(height, width) > side,
            data_format="channels_last",
        )
        x = ops.reshape(x, (batch, frames, side, side, channels))
    return (ops.repeat(x, 3, axis=-1) if channels == 1 else x) / 127.5 - 1


def _thirds(frames: int) -> np.ndarray:
    """Matrix `(GAPS, frames)` of means over equal parts; a short clip's parts share frames."""
    edges = np.linspace(0, frames, GAPS + 1)
    now = np.arange(frames)
    share = np.minimum(now + 1, edges[1:, None]) - np.maximum(now, edges[:-1, None])
    return (np.maximum(share, 0) * GAPS / frames).astype("float32")


MODEL = ClipEncoder
