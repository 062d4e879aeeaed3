"""What models with an exact density share: bits, densities, and the way to the noise and back."""

import math
from typing import ClassVar

import keras
import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.levels import LEVEL, dequantise
from vgzoo.models._forecasting import to_uint8

_CLIPS = 16  # at a time


class Density:
    """The part of a normalizing flow that is no matter of its networks.

    A subclass writes `_forward` (pixels in (-1, 1) → noise, log-determinant), `_backward` (noise →
    pixels) and `noise_shape`, whose first axis is frames.
    """

    family = "flow"
    tasks: ClassVar[tuple[str, ...]] = ("generate", "density")
    logged: ClassVar[tuple[str, ...]] = ("bits_per_dim",)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Bits per dimension."""
        levels, step = self._levels(x), self.next_noise_step()
        draw = random.uniform(ops.shape(levels), seed=self.seed, step=step)
        pixels = (levels + draw) * LEVEL - 1
        bits = self._bits(self._log_density(self._noised(pixels, step))[1], levels.shape)
        bits = ops.mean(bits)
        self.track(bits_per_dim=bits)
        return bits

    def _levels(self, batch):
        """Levels 0 … 255 of a batch's clips, exactly, whatever the precision of the network."""
        clip = ops.convert_to_tensor(batch["clip"] if isinstance(batch, dict) else batch)
        self.network_clip(clip)  # says what is wrong with it
        if keras.backend.standardize_dtype(clip.dtype) == "uint8":
            return ops.cast(clip, "float32")
        return ops.round(255 * ops.cast(clip, "float32"))

    @staticmethod
    def _bits(log_prob, shape):
        return -log_prob / (math.log(2) * math.prod(shape[1:])) - math.log2(LEVEL)

    def log_prob(self, clips, *, seed: int = 0) -> np.ndarray:
        """Logarithms of the density of clips, at a point of each of their pixels' levels.

        A level's noise is drawn by `vgzoo.metrics.dequantise`, so that a density times the width of
        a level, 1/128, is a lower bound of the level's probability.

        Args:
            clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1] (then rounded to 8
                bits), of any length.
            seed: of the noise.

        Returns:
            float64 `(B,)`: nats, of pixels in [-1, 1].

        Raises:
            VideoError: an array that is no clip.
            VgzooError: frames of another size or kind.
        """
        return np.concatenate([found for _, found in self._noises(clips, seed)])

    def bits_per_dim(self, clips, *, seed: int = 0) -> np.ndarray:
        """Bits for each value of clips; arguments and errors of `log_prob`. float64 `(B,)`."""
        clips = self.checked_clips(clips, least=1)
        return self._bits(self.log_prob(clips, seed=seed), clips.shape)

    def invert(self, clips, *, seed: int = 0) -> np.ndarray:
        """The noise that `decode` makes clips of; arguments and errors of `log_prob`.

        Returns:
            float32 `(B, *noise_shape(T))`, about standard normal.
        """
        single = np.ndim(clips) == 4
        noise = np.concatenate([found for found, _ in self._noises(clips, seed)])
        return noise[0] if single else noise

    def decode(self, noise) -> np.ndarray:
        """Noise as `invert` gives it, of some clips or of one → clips, uint8.

        Raises:
            VgzooError: another shape.
        """
        noise = np.asarray(noise, "float32")
        wanted = self.noise_shape(1)
        single = noise.ndim == len(wanted)
        noise = noise[None] if single else noise
        if noise.ndim != 1 + len(wanted) or noise.shape[2:] != wanted[1:] or not noise.size:
            raise VgzooError(
                f"noise of shape {noise.shape} came; {self.name} decodes (B, T, "
                f"{', '.join(map(str, wanted[1:]))})"
            )
        run = self._coder("decode", lambda n: to_uint8(self._shown(n)), self.small_steps)
        parts = [run(noise[i : i + _CLIPS]) for i in range(0, len(noise), _CLIPS)]
        clips = np.concatenate([ops.convert_to_numpy(part) for part in parts])
        return clips[0] if single else clips

    def _noises(self, clips, seed: int):
        """Noise and log-densities of some clips at a time."""
        clips = self.checked_clips(clips, least=1)
        for i in range(0, len(clips), _CLIPS):
            rows = np.arange(i, i + _CLIPS).clip(max=len(clips) - 1)  # the last batch is filled up
            pixels = dequantise(clips[rows[: len(clips) - i]], seed=seed, start=i)
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], _CLIPS - len(pixels), axis=0)])
            noise, found = self._coder("forward", self._log_density)(pixels)
            noise, found = map(ops.convert_to_numpy, (noise, found))
            yield noise[: len(clips) - i], found[: len(clips) - i].astype("float64")

    def _log_density(self, pixels):
        """Pixels in (-1, 1) → their noise, and nats `(B,)`."""
        noise, log_determinant = self._forward(pixels)
        density = -0.5 * ops.square(noise) - 0.5 * math.log(2 * math.pi)
        return noise, ops.sum(density, axis=tuple(range(1, len(noise.shape)))) + log_determinant

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        return self._shown(noise)

    def _shown(self, noise):
        """Noise → clip in [-1, 1]."""
        # Level x lies between x/128 - 1 and (x + 1)/128 - 1.
        level = ops.floor((self._cleaned(self._backward(noise)) + 1) / LEVEL)
        return ops.clip(level, 0, 255) / 127.5 - 1

    def _noised(self, pixels, step):
        """What is trained on in place of pixels."""
        return pixels

    def _cleaned(self, pixels):
        """What is shown in place of a sample."""
        return pixels
