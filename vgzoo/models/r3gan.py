"""R3GAN for video.

After Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN"
(arXiv 2501.05441): residual networks without normalisation, last convolution of every branch
zero, a learned 4×4 base, a relativistic pairing loss and gradient penalties on real and on
generated clips (R1 and R2). What is made for video here:

- a content latent draws a sprite once for the whole clip, whatever its length: the work of a 2-D
  GAN, shared by all frames;
- a motion latent becomes a path: where the sprite's centre lies in each frame, and how large it
  is. Straight on and back at a wall is where it begins, a prior that suits things in a box; waves
  over time, of learned amplitude, frequency and phase (after StyleGAN-V, Skorokhodov et al. 2021,
  arXiv 2112.14683), bend it;
- the sprite is set there by two small matrix products (after the write attention of DRAW, Gregor
  et al. 2015, arXiv 1502.04623, and the posed features of BlockGAN, Nguyen-Phuoc et al. 2020,
  arXiv 2002.08988). A scene may be made of several objects, drawn by the same weights from latents
  of their own; where they meet, the greater feature wins;
- one convolution turns the scene's features into pixels, and a block factorised into space and
  time adds detail; the discriminator, made of such blocks, scores each frame and the whole clip;
- these blocks work at half resolution: pixels enter and leave in blocks of 2×2, which costs a
  quarter and loses nothing, since a block's four pixels are four channels.
"""

import functools
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.placing import place
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import (
    depth_to_space,
    downsample,
    he_normal,
    leaky,
    space_to_depth,
    upsample,
)
from vgzoo.layers.trajectory import Trajectory
from vgzoo.models._adversarial import Adversarial
from vgzoo.models.base import VideoModel, register


@keras.saving.register_keras_serializable("vgzoo")
class Generator(keras.Model):
    """Latents `(B, objects · (content + motion))` → clip `(B, T, H, W, C)`, about [-1, 1]."""

    def __init__(
        self, *, size, widths, features, channels, content, motion, objects, waves, frames
    ):
        super().__init__(name="generator")
        self.size, self.widths, self.channels, self.objects = size, widths, channels, objects
        self.content, self.motion, self.frames = content, motion, frames
        self.mapping = [
            layers.Dense(128, kernel_initializer=he_normal(), name=f"mapping_{i}") for i in (0, 1)
        ]
        self.code = layers.Dense(widths[0], name="code")
        self.base = self.add_weight(
            name="base", shape=(4, 4, widths[0]), initializer="random_normal"
        )
        self.base.assign(self.base * 20)  # standard normal
        self.blocks, self.widen = [], []
        for i, width in enumerate(widths):
            side = 4 * 2**i
            self.blocks.append(Block(width, time=False, styled=True, name=f"block_{side}"))
            if i + 1 < len(widths):
                self.widen.append(layers.Conv2D(widths[i + 1], 1, name=f"to_{2 * side}"))
        self.sprite = layers.Conv2D(features, 3, padding="same", name="sprite")
        # The walls stand at first where the sprite reaches the edge.
        reach = max(1 - 4 * 2 ** len(widths) / min(size), 0.25)
        self.trajectory = Trajectory(waves, reach, name="trajectory")
        self.pixels = layers.Conv2D(
            channels,
            3,
            padding="same",
            bias_initializer=keras.initializers.Constant(-1),  # begin with black
            name="pixels",
        )
        self.scene = Block(4 * features, time=True, name="scene")
        self.detail = layers.Conv2D(
            4 * channels, 3, padding="same", kernel_initializer="zeros", name="detail"
        )

    def call(self, latents, frames: int | None = None):
        frames = frames or self.frames
        latents = ops.reshape(latents, (-1, self.content + self.motion))  # (B·objects, ·)
        sprite = self._draw(latents[:, : self.content])
        path = self.trajectory(latents[:, self.content :], frames=frames)
        x = place(sprite, path, *self.size)
        x = ops.reshape(x, (-1, self.objects, frames, *x.shape[2:]))
        x = functools.reduce(ops.maximum, ops.unstack(x, self.objects, axis=1))
        x = ops.reshape(x, (-1, *x.shape[2:]))  # (B·T, H, W, features)
        h = self.scene(space_to_depth(x, 2), frames=frames)
        x = self.pixels(leaky(x)) + depth_to_space(self.detail(leaky(h)), 2)
        # No tanh: where it saturates, a generator that has gone black never learns again.
        return ops.reshape(x, (-1, frames, *self.size, self.channels))

    def _draw(self, content):
        """Content latents `(B, content)` → sprites `(B, side, side, features)`."""
        # Normalised as in StyleGAN: only the direction of a content latent matters.
        style = content * ops.rsqrt(ops.mean(ops.square(content), axis=-1, keepdims=True) + 1e-6)
        for dense in self.mapping:
            style = leaky(dense(style))
        code = self.code(style)
        x = ops.cast(self.base, code.dtype) * code[:, None, None]
        for i, block in enumerate(self.blocks):
            x = block(x, frames=1, style=style)
            if i < len(self.widen):
                x = self.widen[i](x)
            x = upsample(x)
        return self.sprite(leaky(x))


class Discriminator(keras.Model):
    """Clip `(B, T, H, W, C)` in [-1, 1] → scores `(B, 1 + T)`: the clip's, then each frame's."""

    def __init__(self, *, widths, head):
        super().__init__(name="discriminator")
        self.widths, self.parts = widths, 1
        self.pixels = layers.Conv2D(
            widths[-1], 3, padding="same", kernel_initializer=he_normal(), name="pixels"
        )
        self.blocks, self.narrow = [], []
        # The finest level has no block of its own: it would be half of all the work.
        for i in reversed(range(len(widths) - 1)):
            side = 4 * 2**i
            self.narrow.append(layers.Conv2D(widths[i], 1, name=f"to_{side}"))
            self.blocks.append(Block(widths[i], side <= 16, name=f"block_{side}"))
        self.features = layers.Dense(head, kernel_initializer=he_normal(), name="features")
        self.time = layers.Conv1D(
            head, 4, strides=2, padding="same", kernel_initializer=he_normal(), name="time"
        )
        # Only differences of scores count, so a bias would never learn.
        self.frame_score = layers.Dense(1, use_bias=False, name="frame_score")
        self.clip_score = layers.Dense(1, use_bias=False, name="clip_score")

    def call(self, clip):
        _, frames, height, width, channels = clip.shape
        x = ops.reshape(ops.cast(clip, self.compute_dtype), (-1, height, width, channels))
        x = self.pixels(space_to_depth(x, 2))
        for narrow, block in zip(self.narrow, self.blocks, strict=True):
            x = block(downsample(narrow(leaky(x))), frames=frames)
        x = leaky(self.features(ops.reshape(leaky(x), (-1, frames, 16 * self.widths[0]))))
        per_frame = self.frame_score(x)[..., 0]  # (B, T)
        moving = leaky(self.time(x))
        per_clip = self.clip_score(ops.mean(moving, axis=1))  # (B, 1)
        return ops.cast(ops.concatenate([per_clip, per_frame], axis=-1), "float32")


@register
class R3GAN(Adversarial, VideoModel):
    """A GAN for short clips; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; the frame is square.
        widths: channels of the sprite at 4×4, 8×8, …; the last size is doubled once more to give
            the sprite's pixels: three widths draw a sprite of 32×32, four one of 64×64.
        features: channels of the sprite's pixels.
        discriminator_widths: channels of the discriminator at 4×4, 8×8, … up to half the frame's
            side.
        content, motion: length of an object's content and motion latent.
        objects: how many things a clip is made of.
        waves: how many waves carry the motion.
        gamma: weight of the gradient penalties.
        burn_in: `(step, weight), …`: in a training from scratch the weight goes through these
            points, as a geometric row between two of them; from the last one on it is gamma. A
            strong penalty holds the discriminator back while the generator is still easy to tell.
        steady: `(step, weight)`: in a training from scratch, from that step on, weight of the
            squares of what makes objects differ in speed and their paths bend. Where data have
            neither, the noise of the discriminator's gradients alone makes both.
        penalty_stride: every how many clips of a batch the penalties are computed.

    Example:

    >>> model = R3GAN(frames=8, height=16, width=16, widths=(8, 8), discriminator_widths=(8, 8))
    >>> model.generate(2, seed=0).shape
    (2, 8, 16, 16, 1)
    """

    references = ("arXiv:2501.05441", "arXiv:2112.14683", "arXiv:2002.08988", "arXiv:1502.04623")
    any_length = True

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        widths: tuple[int, ...] = (192, 128, 96),
        features: int = 8,
        discriminator_widths: tuple[int, ...] = (128, 96, 64, 32),
        content: int = 64,
        motion: int = 32,
        objects: int = 1,
        waves: int = 32,
        gamma: float = 3.0,
        burn_in: Sequence[tuple[int, float]] = (),
        steady: tuple[int, float] | None = None,
        penalty_stride: int = 4,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if not height == width == 2 ** (len(discriminator_widths) + 2):
            raise VgzooError(
                f"{len(discriminator_widths)} discriminator_widths judge square frames of "
                f"{2 ** (len(discriminator_widths) + 2)} pixels a side, not {height}×{width}"
            )
        self.widths, self.discriminator_widths = tuple(widths), tuple(discriminator_widths)
        self.content, self.motion, self.objects, self.waves = content, motion, objects, waves
        self.features, self.gamma, self.penalty_stride = features, gamma, penalty_stride
        self.burn_in = [list(point) for point in burn_in]
        self.steady = list(steady) if steady else None
        self.generator = Generator(
            size=(height, width),
            widths=self.widths,
            features=features,
            channels=channels,
            content=content,
            motion=motion,
            objects=objects,
            waves=waves,
            frames=frames,
        )
        self.discriminator = Discriminator(widths=self.discriminator_widths, head=128)
        self.generator(keras.KerasTensor((1, *self.noise_shape(frames))))
        self.discriminator(keras.KerasTensor((1, frames, height, width, channels)))

    def get_config(self) -> dict:
        own = ("features", "content", "motion", "objects", "waves", "gamma", "penalty_stride")
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "discriminator_widths": list(self.discriminator_widths),
            "burn_in": self.burn_in,
            "steady": self.steady,
            **{k: getattr(self, k) for k in own},
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(
            2e-4, beta_1=0.0, beta_2=0.99, use_ema=True, ema_momentum=0.999
        )

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (self.objects * (self.content + self.motion),)

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        return self.generator(noise, frames=frames)

    def latent_parts(self, frames: int) -> dict[str, np.ndarray]:
        index = np.arange(*self.noise_shape(frames)).reshape(self.objects, -1)
        content, motion = np.split(index, [self.content], axis=1)
        return {"content": content, "motion": motion}

    def content_weights(self) -> np.ndarray:
        return ops.convert_to_numpy(self.generator.mapping[0].kernel)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Both sides of the game in one scalar, each blind to the other's parameters."""
        real = self.network_clip(x)
        batch, frames = ops.shape(real)[0], real.shape[1]
        step = self.next_noise_step()
        noise = random.normal((batch, *self.noise_shape(frames)), seed=self.seed, step=step)
        fake = self.generator(noise, frames=frames)
        return self.game(real, fake, step) + self._unsteadiness(step)

    def _unsteadiness(self, step):
        if not self.steady:
            return 0.0
        begin, weight = self.steady
        squares = sum(ops.sum(ops.square(v)) for v in self.generator.trajectory.unsteady)
        return ops.where(step < begin, 0.0, weight * squares)

    def end_burn_in(self) -> None:
        super().end_burn_in()
        self.steady = None


MODEL = R3GAN
