"""A normalizing flow of transformers, causal in time.

After TARFlow (Zhai et al. 2024, "Normalizing flows are capable generative models", arXiv
2412.06329): a frame is a row of patches, and a stack of affine flows, each autoregressive over
patches in the order opposite to the last one's, turns them into noise. As in STARFlow-V (Gu et al.
2025, arXiv 2511.20462) a clip is modelled by one deep flow that goes on from frame to frame, and by
shallow ones that see a frame alone; the deep one stands at the side of the noise. It sees a window
of frames, so clips may be of any length, each frame as cheap as the last. What is made for 8-bit
pixels here: noise of one level's width is all that is added, and the first step of the flow makes
the distribution of single pixels Gaussian, exactly (`vgzoo.layers.marginal`).
"""

import math

import keras
import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import Marginal
from vgzoo.layers.spacetime import depth_to_space, space_to_depth
from vgzoo.levels import LEVEL, dequantise
from vgzoo.models.base import VideoModel, input_gradient, register, to_uint8
from vgzoo.optimizers import Muon

_CLIPS = 16  # whose densities are found at a time


@register
class TARFlow(VideoModel):
    """A flow of transformers over patches of clips; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of the patch.
        patch: side of a patch in pixels.
        features, heads: width of the transformers, and heads of their attention.
        shallow: layers of each of the flows that see a frame alone.
        deep: layers of the flow that goes on from frame to frame; 0 for still pictures.
        window: frames that it attends to in each layer, the last one included.
        noise: deviation of Gaussian noise, in [-1, 1], that is added while training for better
            samples, from which it is then taken away (Tweedie's formula); 0 for likelihoods.

    Example:

    >>> model = TARFlow(frames=2, height=8, width=8, patch=4, features=8, heads=2, shallow=(1,))
    >>> model.generate(1).shape
    (1, 2, 8, 8, 1)
    """

    family = "flow"
    tasks = ("generate", "density")
    references = ("arXiv:2412.06329", "arXiv:2511.20462", "arXiv:1602.00229", "arXiv:2002.03629")
    any_length = True
    logged = ("bits_per_dim",)

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        patch: int = 8,
        features: int = 192,
        heads: int = 3,
        shallow: tuple[int, ...] = (2, 2, 2, 2),
        deep: int = 4,
        window: int = 4,
        noise: float = 0.0,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % patch or width % patch:
            raise VgzooError(
                f"height and width must be multiples of patch={patch}, not {height}×{width}"
            )
        if features % (2 * heads):
            raise VgzooError(f"features must be a multiple of 2 · heads={heads}, not {features}")
        self.patch, self.features, self.heads = patch, features, heads
        self.shallow, self.deep, self.window, self.noise = tuple(shallow), deep, window, noise
        self.block = 1  # tokens that a sample finds together
        self.marginal = Marginal(name="marginal")
        sizes = {"width": features, "heads": heads}
        self.flows = [
            AutoregressiveFlow(
                **sizes, depth=depth, window=1, backward=bool(i % 2), name=f"shallow_{i}"
            )
            for i, depth in enumerate(self.shallow)
        ]
        if deep:
            backward = bool(len(self.shallow) % 2)
            self.flows.append(
                AutoregressiveFlow(
                    **sizes, depth=deep, window=window, backward=backward, name="deep"
                )
            )
        self.marginal.build((None, channels))
        for flow in self.flows:
            flow.build((None, *self.noise_shape(frames)))

    def get_config(self) -> dict:
        own = ("patch", "features", "heads", "deep", "window", "noise")
        return {
            **super().get_config(),
            "shallow": list(self.shallow),
            **{key: getattr(self, key) for key in own},
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    # -- density ---------------------------------------------------------------------------

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Bits per dimension."""
        levels, step = self._levels(x), self.next_noise_step()
        draw = random.uniform(ops.shape(levels), seed=self.seed, step=step)
        pixels = (levels + draw) * LEVEL - 1
        if self.noise:
            more = random.normal(ops.shape(levels), seed=self.seed, step=step, salt=1)
            pixels = ops.clip(pixels + self.noise * more, -1 + 1e-4, 1 - 1e-4)
        bits = ops.mean(self._bits(self._density(pixels)[1], levels.shape))
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
            float32 `(B, T, N, D)`, about standard normal: N patches of D values a frame.
        """
        single = np.ndim(clips) == 4
        noise = np.concatenate([found for found, _ in self._noises(clips, seed)])
        return noise[0] if single else noise

    def decode(self, noise) -> np.ndarray:
        """Noise `(B, T, N, D)`, or one clip's → clips, uint8.

        Raises:
            VgzooError: another shape.
        """
        noise = np.asarray(noise, "float32")
        single = noise.ndim == 3
        noise = noise[None] if single else noise
        if noise.ndim != 4 or noise.shape[1:] != self.noise_shape(noise.shape[1]):
            raise VgzooError(
                f"noise of shape {noise.shape} came; {self.name} decodes (B, T, "
                f"{', '.join(map(str, self.noise_shape(1)[1:]))})"
            )
        frames, made = noise.shape[1], []
        run = self._coder(f"decode {self.block}", lambda n: to_uint8(self._shown(n)))
        for i in range(0, len(noise), _CLIPS):
            made.append(ops.convert_to_numpy(run(noise[i : i + _CLIPS])))
        clips = np.concatenate(made).reshape(-1, frames, self.height, self.width, self.channels)
        return clips[0] if single else clips

    def _noises(self, clips, seed: int):
        """Noise and log-densities of some clips at a time."""
        clips = self.checked_clips(clips, least=1)
        for i in range(0, len(clips), _CLIPS):
            rows = np.arange(i, i + _CLIPS).clip(max=len(clips) - 1)  # the last batch is filled up
            pixels = dequantise(clips[rows[: len(clips) - i]], seed=seed, start=i)
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], _CLIPS - len(pixels), axis=0)])
            noise, found = self._coder("forward", self._density)(pixels)
            noise, found = map(ops.convert_to_numpy, (noise, found))
            yield noise[: len(clips) - i], found[: len(clips) - i].astype("float64")

    def _density(self, pixels):
        """Pixels in (-1, 1) → their noise, and nats `(B,)`."""
        noise, log_determinant = self._forward(pixels)
        density = -0.5 * ops.square(noise) - 0.5 * math.log(2 * math.pi)
        return noise, ops.sum(density, axis=(1, 2, 3)) + log_determinant

    def _forward(self, pixels):
        """Pixels `(B, T, H, W, C)` in (-1, 1) → noise `(B, T, N, D)`, log-determinant `(B,)`."""
        frames = pixels.shape[1]
        values, slopes = self.marginal(pixels)
        log_determinant = ops.sum(slopes, axis=(1, 2, 3, 4))
        x = self._tokens(values)
        for flow in self.flows:
            alone = flow.window == 1
            x = ops.reshape(x, (-1, 1 if alone else frames, *x.shape[2:]))
            x, found = flow(x)
            found = ops.sum(ops.reshape(found, (-1, frames)), axis=1) if alone else found
            x = ops.reshape(x, (-1, frames, *x.shape[2:]))
            log_determinant = log_determinant + found
        return x, log_determinant

    def _backward(self, noise):
        """Noise → pixels in (-1, 1)."""
        x, frames = noise, noise.shape[1]
        for flow in reversed(self.flows):
            x = ops.reshape(x, (-1, 1 if flow.window == 1 else frames, *x.shape[2:]))
            x = ops.reshape(flow.invert(x, self.block), (-1, frames, *x.shape[2:]))
        return self.marginal.invert(self._pixels(x))

    def _tokens(self, clip):
        _, frames, height, width, channels = clip.shape
        x = space_to_depth(ops.reshape(clip, (-1, height, width, channels)), self.patch)
        return ops.reshape(x, (-1, *self.noise_shape(frames)))

    def _pixels(self, tokens):
        frames, rows = tokens.shape[1], self.height // self.patch
        x = ops.reshape(tokens, (-1, rows, self.width // self.patch, tokens.shape[3]))
        x = depth_to_space(x, self.patch)
        return ops.reshape(x, (-1, frames, self.height, self.width, self.channels))

    # -- generation ------------------------------------------------------------------------

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        tokens = self.height * self.width // self.patch**2
        return (frames, tokens, self.channels * self.patch**2)

    def sample(self, noise, *, labels=None, frames: int, steps: int | None):
        return self._shown(noise)

    def _shown(self, noise):
        pixels = self._backward(noise)
        if self.noise:
            # Tweedie's formula: what a noisy clip most likely was before the noise.
            score = input_gradient(lambda p: self._density(p)[1], pixels)
            pixels = pixels + self.noise**2 * score
        # Level x lies between x/128 - 1 and (x + 1)/128 - 1.
        level = ops.clip(ops.floor((pixels + 1) / LEVEL), 0, 255)
        return level / 127.5 - 1


MODEL = TARFlow
