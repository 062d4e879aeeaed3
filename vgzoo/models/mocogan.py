"""MoCoGAN, the classical baseline among GANs for video.

After Tulyakov et al. 2018, "MoCoGAN: decomposing motion and content for video generation" (arXiv
1707.04993): a content latent is one for all frames, a recurrent network turns noise into a motion
latent for each, and a DCGAN (Radford et al. 2015, arXiv 1511.06434) draws every frame from both.
One discriminator judges single frames, another the clip, with convolutions over space and time.
With the paper's cross-entropy, and with what was added to it since (noise on what the
discriminators see, statistics of batches), one loop of strokes was all that was learned here. So
both discriminators, without normalisation, play the game of `r3gan` with the generator: beside
that, this is a baseline of what a generator is worth that knows nothing of things and their paths.
What the paper's model also does, telling classes apart, is left out.
"""

import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.spacetime import he_normal, leaky, space_to_depth
from vgzoo.models._adversarial import Adversarial
from vgzoo.models.base import VideoModel, register

_SIDE = 4  # of what the generator begins with and an image's discriminator ends with
_KERNEL = 4  # of every convolution, in space and time
_EVERY = 4  # how many frames apart those are that the frames' discriminator judges in training


@keras.saving.register_keras_serializable("vgzoo")
class Generator(keras.Model):
    """Latents `(B, content + motion · (1 + T))` → clip `(B, T, H, W, C)` in [-1, 1]."""

    def __init__(self, *, widths, channels, content, motion):
        super().__init__(name="generator")
        self.content, self.motion = content, motion
        self.cell = layers.GRUCell(motion, name="motion")
        self.enter = layers.Dense(_SIDE**2 * widths[0], use_bias=False, name="enter")
        self.first = _norm(0)
        self.base = (_SIDE, _SIDE, widths[0])
        self.steps = []
        for i, width in enumerate(widths[1:], 1):
            self.steps.append(_up(width, f"up_{i}"))
            self.steps.append(_norm(i))
            self.steps.append(layers.ReLU(name=f"relu_{i}"))
        self.pixels = _up(channels, "pixels", bias=-2.0)  # begin with black

    def call(self, latents, training=False):
        frames = (latents.shape[1] - self.content) // self.motion - 1
        content, state, *noise = ops.split(
            latents, [self.content + i * self.motion for i in range(frames + 1)], axis=1
        )
        found = []
        for step in noise:
            state = self.cell(step, [state])[0]
            found.append(ops.concatenate([content, state], axis=1))
        x = self.enter(ops.reshape(ops.stack(found, axis=1), (-1, self.content + self.motion)))
        x = ops.relu(self.first(ops.reshape(x, (-1, *self.base)), training=training))
        for step in self.steps:
            norm = isinstance(step, layers.BatchNormalization)
            x = step(x, training=training) if norm else step(x)
        x = ops.tanh(self.pixels(x))
        return ops.reshape(x, (-1, frames, *x.shape[1:]))


class Judge(layers.Layer):
    """Pictures or clips → scores of their parts, `(B, parts)`: a DCGAN's discriminator, in patches.

    Args:
        widths: channels of its layers; each halves the sides.
        time: whether it sees clips `(B, T, H, W, C)`; of T frames it takes 3 in each layer.
    """

    def __init__(self, widths: tuple[int, ...], time: bool, **kwargs):
        super().__init__(**kwargs)
        # A stride of 2 over 4 pixels is none over 2 × 2 blocks of 2 × 2: the same layer, and trains
        # 1.1 to 2.3 times as fast here in space and time.
        kind, kernel = (layers.Conv3D, (_KERNEL, 2, 2)) if time else (layers.Conv2D, 2)
        self.pad = ((0, 0), *[(0, 0)] * time, (1, 1), (1, 1), (0, 0))
        # Only differences of scores count, so a bias of the last would never learn.
        self.convolutions = [
            kind(
                width,
                kernel,
                use_bias=i < len(widths),
                kernel_initializer=he_normal(),
                name=f"conv_{i}",
            )
            for i, width in enumerate((*widths, 1))
        ]

    def call(self, x):
        for i, convolution in enumerate(self.convolutions):
            x = leaky(x) if i else x
            x = convolution(space_to_depth(ops.pad(x, self.pad), 2))
        return ops.cast(ops.reshape(x, (-1, math.prod(x.shape[1:]))), "float32")


@keras.saving.register_keras_serializable("vgzoo")
class Discriminator(keras.Model):
    """Clip `(B, T, H, W, C)` in [-1, 1] → scores: of the clip's parts, then of its frames'."""

    def __init__(self, *, widths, frames, side):
        super().__init__(name="discriminator")
        halvings = len(widths) + 1
        self.parts = (frames - (_KERNEL - 1) * halvings) * (side // 2**halvings) ** 2  # of a clip
        self.video = Judge(widths, True, name="video")
        self.image = Judge(widths, False, name="image")

    def call(self, clip, first=None):
        """Scores `(B, parts)`; of frames only every fourth from that one on, if it is given."""
        _, frames, *size = clip.shape
        clip = ops.cast(clip, self.compute_dtype)
        seen = clip
        if first is not None:
            chosen = ops.add(np.arange(0, frames - _EVERY + 1, _EVERY, dtype="int32"), first)
            seen = ops.take(clip, chosen, axis=1)
        alone = self.image(ops.reshape(seen, (-1, *size)))
        alone = ops.reshape(alone, (-1, seen.shape[1] * alone.shape[1]))
        return ops.concatenate([self.video(clip), alone], axis=1)


@register
class MoCoGAN(Adversarial, VideoModel):
    """A GAN of content and motion; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; frames are square.
        widths: channels of the generator at 4×4, 8×8, … up to half the frame's side.
        discriminator_widths: channels of both discriminators at half the side, a quarter, …
        content, motion: lengths of the latents.
        gamma, burn_in, penalty_stride: of the gradient penalties; see `Adversarial`.

    Example:

    >>> model = MoCoGAN(frames=8, height=16, width=16, widths=(8, 8), discriminator_widths=(8,))
    >>> model.generate(2, seed=0).shape
    (2, 8, 16, 16, 1)
    """

    references = ("arXiv:1707.04993", "arXiv:1511.06434", "arXiv:2501.05441")

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        widths: tuple[int, ...] = (512, 256, 128, 64),
        discriminator_widths: tuple[int, ...] = (64, 128, 256),
        content: int = 50,
        motion: int = 10,
        gamma: float = 1.0,
        burn_in: Sequence[tuple[int, float]] = (),
        penalty_stride: int = 4,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        side = _SIDE * 2 ** len(widths)
        if not height == width == side:
            raise VgzooError(
                f"{len(widths)} widths draw square frames of {side} pixels a side, not "
                f"{height}×{width}"
            )
        layers_ = len(discriminator_widths) + 1
        if frames <= (_KERNEL - 1) * layers_:
            raise VgzooError(
                f"{len(discriminator_widths)} discriminator_widths judge clips of more than "
                f"{(_KERNEL - 1) * layers_} frames, not {frames}"
            )
        self.widths, self.discriminator_widths = tuple(widths), tuple(discriminator_widths)
        self.content, self.motion = content, motion
        self.gamma, self.penalty_stride = gamma, penalty_stride
        self.burn_in = [list(point) for point in burn_in]
        self.generator = Generator(
            widths=self.widths, channels=channels, content=content, motion=motion
        )
        self.discriminator = Discriminator(
            widths=self.discriminator_widths, frames=frames, side=side
        )
        self.generator(keras.KerasTensor((1, *self.noise_shape(frames))))
        self.discriminator(keras.KerasTensor((1, frames, height, width, channels)))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "discriminator_widths": list(self.discriminator_widths),
            "content": self.content,
            "motion": self.motion,
            "gamma": self.gamma,
            "burn_in": self.burn_in,
            "penalty_stride": self.penalty_stride,
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(
            2e-4, beta_1=0.0, beta_2=0.99, use_ema=True, ema_momentum=0.999
        )

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (self.content + self.motion * (1 + frames),)

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        return self.generator(noise)

    def latent_parts(self, frames: int) -> dict[str, np.ndarray]:
        content, motion = np.split(np.arange(*self.noise_shape(frames)), [self.content])
        return {"content": content[None], "motion": motion[None]}

    def content_weights(self) -> np.ndarray:
        return ops.convert_to_numpy(self.generator.enter.kernel)[: self.content]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        real = self.network_clip(x)
        step = self.next_noise_step()
        size = (ops.shape(real)[0], *self.noise_shape(self.frames))
        noise = random.normal(size, seed=self.seed, step=step)
        first = random.uniform((), seed=self.seed, step=step, salt=1) * _EVERY
        fake = self.generator(noise, training=training)
        return self.game(real, fake, step, first=ops.cast(first, "int32"))


def _norm(i: int) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.9, name=f"norm_{i}")  # DCGAN's


def _up(width: int, name: str, bias: float | None = None) -> layers.Layer:
    """Twice the side."""
    return layers.Conv2DTranspose(
        width,
        _KERNEL,
        2,
        padding="same",
        use_bias=bias is not None,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),  # DCGAN's
        bias_initializer=keras.initializers.Constant(bias or 0),
        name=name,
    )


MODEL = MoCoGAN
