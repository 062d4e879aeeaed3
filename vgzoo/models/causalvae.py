"""A causal video autoencoder.

After the autoencoders of Wan (2025, arXiv 2503.20314) and VidTok (Tang et al. 2024, arXiv
2412.13061), shrunk: four frames by 4×4 pixels become one place of the latent, the first frame
stands alone, and nothing looks ahead. So a picture is a clip of one frame, and a clip of any length
and size goes through in parts, in constant memory, with the same result as in one piece. What
differs:

- convolutions are factorised into space and time, and no layer is normalised: there is nothing that
  a part of a clip could not know;
- pixels enter and leave in blocks of 2×2, and most of the work is done at the latent's size, where
  a wide convolution costs no more than a narrow one at full size;
- the objective is the absolute error of pixels and, at three scales, of their differences to their
  neighbours in space and time; no critic and no network of features.

The latent is Gaussian with a faint pull to the standard normal (Kingma and Welling 2013,
arXiv 1312.6114), or quantised (FSQ, Mentzer et al. 2023, arXiv 2309.15505). New clips are decoded
from a linear prior that is fitted to latents of real clips when training is done.
"""

from collections.abc import Iterable, Iterator, Sequence

import keras
import numpy as np
from keras import layers, ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.causal import DoubleTime, HalveTime, Past
from vgzoo.layers.linear_prior import LinearPrior
from vgzoo.layers.quantizer import FSQ
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, downsample, he_normal, leaky, space_to_depth
from vgzoo.models.base import VideoModel, register, to_uint8
from vgzoo.optimizers import Muon
from vgzoo.samplers import parts
from vgzoo.video import as_uint8

RATE = 4  # frames, rows and columns to one place of the latent
_KL = 1e-6


class Encoder(keras.Model):
    """Clip `(B, 1 + 4k, H, W, C)` in [-1, 1] → `(B, 1 + k, H/4, W/4, outputs)`."""

    def __init__(self, *, widths: Sequence[int], blocks: Sequence[int], outputs: int):
        super().__init__(name="encoder")
        self.outputs = outputs
        self.pixels = _conv(widths[0], "pixels")
        self.levels = _levels(widths, blocks)
        self.narrow = [HalveTime(width, name=f"to_{i + 1}") for i, width in enumerate(widths[1:])]
        self.out = _conv(outputs, "out")

    def call(self, clip, past: Past | None = None):
        past = past or Past()
        _, frames, height, width, channels = clip.shape
        x = ops.reshape(clip, (-1, height, width, channels))
        x = self.pixels(space_to_depth(x, 2))
        for i, level in enumerate(self.levels):
            for block in level:
                x = block(x, frames=frames, past=past)
            if i == 0:
                x = space_to_depth(x, 2)
            if i < len(self.narrow):
                x, frames = self.narrow[i](x, frames=frames), (frames + 1) // 2
        x = ops.cast(self.out(leaky(x)), "float32")
        return ops.reshape(x, (-1, frames, height // RATE, width // RATE, self.outputs))


class Decoder(keras.Model):
    """Latent `(B, 1 + k, h, w, L)` → clip `(B, 1 + 4k, 4h, 4w, C)`, about [-1, 1]."""

    def __init__(self, *, widths: Sequence[int], blocks: Sequence[int], channels: int):
        super().__init__(name="decoder")
        self.channels = channels
        self.latent = _conv(widths[-1], "latent")
        self.levels = _levels(widths, blocks)[::-1]
        sizes = [*reversed(widths[1:-1]), 4 * widths[0]]
        self.widen = [DoubleTime(size, name=f"to_{1 - i}") for i, size in enumerate(sizes)]
        self.out = _conv(4 * channels, "out")

    def call(self, latent, past: Past | None = None):
        past = past or Past()
        _, frames, height, width, depth = latent.shape
        x = ops.reshape(ops.cast(latent, self.compute_dtype), (-1, height, width, depth))
        x = self.latent(x)
        for i, level in enumerate(self.levels):
            for block in level:
                x = block(x, frames=frames, past=past)
            if i < len(self.widen):
                x, frames = self.widen[i](x, frames=frames, past=past), 2 * frames - past.first
            if i == len(self.widen) - 1:
                x = depth_to_space(x, 2)
        x = depth_to_space(self.out(leaky(x)), 2)
        return ops.reshape(x, (-1, frames, height * RATE, width * RATE, self.channels))


@register
class CausalVAE(VideoModel):
    """A causal video autoencoder; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; frames of a multiple of 4
            pixels. Clips of other lengths and sizes are trained on and coded too.
        widths: channels at half the frame's size, at a quarter and half the rate, and at a quarter
            and a quarter of the rate.
        encoder_blocks, decoder_blocks: residual blocks at each of these.
        latent: channels of the latent.
        levels: of each of these channels, where the latent is quantised; Gaussian if None.
        gradient_weight: of the differences to neighbours, beside the pixels themselves.

    Example:

    >>> model = CausalVAE(frames=5, height=16, width=16, widths=(8, 8, 8))
    >>> clip = np.zeros((9, 16, 16, 3), "uint8")
    >>> model.encode(clip).shape
    (3, 4, 4, 4)
    >>> model.reconstruct(clip).shape
    (9, 16, 16, 3)
    """

    family = "vae"
    tasks = ("generate", "reconstruct")
    references = (
        "arXiv:2503.20314",
        "arXiv:2412.13061",
        "arXiv:2310.05737",
        "arXiv:1312.6114",
        "arXiv:2309.15505",
    )
    any_length = True
    side_step = RATE
    logged = ("pixel_loss", "gradient_loss", "kl", "psnr")
    fitted_to = 2048

    def __init__(
        self,
        *,
        frames: int = 17,
        height: int = 64,
        width: int = 64,
        channels: int = 3,
        seed: int = 0,
        widths: Sequence[int] = (32, 128, 256),
        encoder_blocks: Sequence[int] = (1, 1, 2),
        decoder_blocks: Sequence[int] = (1, 1, 2),
        latent: int = 4,
        levels: Sequence[int] | None = None,
        gradient_weight: float = 0.25,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % RATE or width % RATE:
            raise VgzooError(f"height and width must be multiples of 4, not {height}×{width}")
        for name, value in (
            ("widths", widths),
            ("encoder_blocks", encoder_blocks),
            ("decoder_blocks", decoder_blocks),
        ):
            if len(value) != 3:
                raise VgzooError(f"{name} must be three numbers, not {list(value)}")
            setattr(self, name, tuple(value))
        if levels is not None and len(levels) != latent:
            raise VgzooError(f"latent={latent} channels need as many levels, not {list(levels)}")
        self.latent, self.levels = latent, levels and tuple(levels)
        self.gradient_weight = gradient_weight
        self.quantizer = FSQ(levels) if levels else None
        self.encoder = Encoder(
            widths=self.widths,
            blocks=self.encoder_blocks,
            outputs=latent if levels else 2 * latent,
        )
        self.decoder = Decoder(widths=self.widths, blocks=self.decoder_blocks, channels=channels)
        self.prior = LinearPrior(height // RATE, width // RATE, latent, name="prior")
        self.encoder(keras.KerasTensor((1, 1 + RATE, height, width, channels)))
        self.decoder(keras.KerasTensor((1, *self.noise_shape(1 + RATE))))

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "widths": list(self.widths),
            "encoder_blocks": list(self.encoder_blocks),
            "decoder_blocks": list(self.decoder_blocks),
            "latent": self.latent,
            "levels": self.levels and list(self.levels),
            "gradient_weight": self.gradient_weight,
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    # -- training --------------------------------------------------------------------------

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Error of pixels and their differences, and the pull to the prior, per value of a clip."""
        real = self.network_clip(x)
        frames = real.shape[1]
        step = self.next_noise_step()
        latent, kl = self._posterior(self.encoder(_whole(real)), step)
        made = self.decoder(latent)[:, :frames]
        error = ops.cast(made, "float32") - ops.cast(real, "float32")
        pixels, gradients = ops.mean(ops.abs(error)), _differences(error)
        mse = ops.mean(ops.square(error / 2), axis=(1, 2, 3, 4))
        psnr = -10 / np.log(10) * ops.mean(ops.log(mse + 1e-10))
        values = latent.shape[-1] / (RATE**3 * self.channels)  # of the latent, to one of the clip
        self.track(pixel_loss=pixels, gradient_loss=gradients, kl=kl, psnr=psnr)
        return pixels + self.gradient_weight * gradients + _KL * values * kl

    def _posterior(self, out, step=None):
        """What the encoder gives → a latent, drawn where there is a step, and nats per value."""
        if self.quantizer:
            return self.quantizer(out), ops.zeros(())
        mean, log_variance = ops.split(out, 2, axis=-1)
        if step is None:
            return mean, None
        log_variance = ops.clip(log_variance, -20.0, 10.0)
        kl = 0.5 * ops.mean(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance)
        noise = random.normal(ops.shape(mean), seed=self.seed, step=step)
        return mean + ops.exp(0.5 * log_variance) * noise, kl

    def fit_to(self, clips: Iterable[np.ndarray]) -> None:
        self.prior.fit(np.concatenate([self.encode(batch) for batch in clips]))

    # -- coding ----------------------------------------------------------------------------

    def encode(self, clips) -> np.ndarray:
        """Latents of clips.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1], of any length; H and W
                multiples of 4. A length that is not 1 + 4k is filled up with the last frame.

        Returns:
            float32 `(B, 1 + ⌈(T - 1) / 4⌉, H/4, W/4, L)`: the means of the latent, or its codes.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: frames of another size or kind.
        """
        clips, single = self._batch(clips)
        latents = parts.coded(self._encoded, parts.of_clips, clips, RATE)
        return latents[0] if single else latents

    def decode(self, latents) -> np.ndarray:
        """Latents `(B, 1 + k, h, w, L)`, or one clip's → clips, uint8 `(B, 1 + 4k, 4h, 4w, C)`.

        Raises:
            VgzooError: another shape.
        """
        latents = np.asarray(latents, "float32")
        single = latents.ndim == 4
        latents = latents[None] if single else latents
        if latents.ndim != 5 or latents.shape[-1] != self.latent or not latents.size:
            raise VgzooError(
                f"latents of shape {latents.shape} came; {self.name} decodes (B, 1 + k, h, w, "
                f"{self.latent})"
            )
        clips = parts.coded(self._decoded, parts.of_latents, latents, RATE)
        return clips[0] if single else clips

    def reconstruct(self, clips) -> np.ndarray:
        """Clips as they come back from their latents, uint8; arguments and errors of `encode`."""
        clips, single = self._batch(clips)
        made = parts.coded(self._through, parts.of_clips, clips, RATE)[:, : clips.shape[1]]
        return made[0] if single else made

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """What `reconstruct` gives, frame by frame, in constant memory; four frames late.

        Args:
            frames: of one clip, `(H, W, C)`, uint8 or float in [0, 1].
        """
        checked = (self._batch(np.asarray(frame)[None])[0][0, 0] for frame in frames)
        return parts.streamed(self._through, checked, RATE)

    def _batch(self, clips) -> tuple[np.ndarray, bool]:
        clips = as_uint8(clips)
        single = clips.ndim == 4
        clips = clips[None] if single else clips
        _, _, height, width, channels = clips.shape
        if height % RATE or width % RATE or channels != self.channels:
            raise VgzooError(
                f"frames of {height}×{width}×{channels} came; {self.name} takes sides that are "
                f"multiples of 4 and {self.channels} channels: crop or pad them"
            )
        return clips, single

    def _through(self, clips: parts.Parts) -> Iterator[np.ndarray]:
        return self._decoded(self._encoded(clips))

    def _encoded(self, clips: parts.Parts) -> Iterator[np.ndarray]:
        def run(clip, kept):
            past = Past(kept)
            clip = ops.cast(clip, self.compute_dtype) / 127.5 - 1
            latent, _ = self._posterior(self.encoder(clip, past=past))
            return latent, past.kept

        return parts.carried(self._coder("encode", run), clips)

    def _decoded(self, latents: parts.Parts) -> Iterator[np.ndarray]:
        def run(latent, kept):
            past = Past(kept)
            return to_uint8(self.decoder(latent, past=past)), past.kept

        return parts.carried(self._coder("decode", run), latents)

    # -- generation ------------------------------------------------------------------------

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        steps = 1 + -(-(frames - 1) // RATE)
        return (steps, self.height // RATE, self.width // RATE, self.latent)

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        latent = self.prior(noise)
        latent = self.quantizer.nearest(latent) if self.quantizer else latent
        return self.decoder(latent)[:, :frames]


def _conv(filters: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=he_normal(), name=name)


def _levels(widths: Sequence[int], blocks: Sequence[int]) -> list[list[Block]]:
    return [
        [Block(width, time=True, causal=True, name=f"block_{i}_{j}") for j in range(count)]
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True))
    ]


def _whole(clip):
    """A clip filled up to 1 + 4k frames with its last one."""
    missing = -(clip.shape[1] - 1) % RATE
    return ops.concatenate([clip] + [clip[:, -1:]] * missing, axis=1) if missing else clip


def _differences(error):
    """Mean absolute difference to the neighbours in space, at three scales, and in time."""
    _, frames, height, width, channels = error.shape
    total = _step(error, 1) if frames > 1 else 0.0
    x = ops.reshape(error, (-1, height, width, channels))
    for scale in range(3):
        x = downsample(x) if scale else x
        total = total + _step(x, 1) + _step(x, 2)
    return total


def _step(x, axis: int):
    """Mean absolute difference to what comes next along an axis."""
    # Split, not sliced: under TensorFlow a slice's gradient is many times slower.
    _, later = ops.split(x, [1], axis=axis)
    sooner, _ = ops.split(x, [x.shape[axis] - 1], axis=axis)
    return ops.mean(ops.abs(later - sooner))


MODEL = CausalVAE
