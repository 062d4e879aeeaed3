"""Glow for video: the classical normalizing flow, frame by frame, with a prior that looks back.

After Glow (Kingma and Dhariwal 2018, arXiv 1807.03039) and VideoFlow (Kumar et al. 2019, arXiv
1903.01434): each frame goes through the same multi-scale flow, in which half of the channels leave
after each level; what leaves is Gaussian, with a mean and a scale that a convolutional network over
time and space makes of what left at that level in the frames before and of what goes on to the
coarser levels of its own frame. A clip of one frame is a still, and of any length is as good. What
is made for 8-bit pixels here: the first step makes the distribution of single pixels Gaussian,
exactly (`vgzoo.layers.marginal`), without which black pixels, all alike, tear scales apart.
"""

import math

import keras
from keras import layers, ops

from vgzoo.errors import VgzooError
from vgzoo.layers.causal import Past
from vgzoo.layers.coupling import GlowStep
from vgzoo.layers.marginal import Marginal
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth
from vgzoo.models._density import Density
from vgzoo.models.base import VideoModel, register


class Prior(keras.Model):
    """Means and logarithms of scales of what leaves at a level, `(B·T, h, w, C)` each.

    Args:
        channels: of what leaves.
        filters, blocks: of the network.
    """

    def __init__(self, *, channels: int, filters: int, blocks: int, name: str):
        super().__init__(name=name)
        self.into = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer=he_normal(), name="into"
        )
        self.blocks = [
            Block(filters, time=True, causal=True, name=f"block_{i}") for i in range(blocks)
        ]
        self.out = layers.Conv2D(
            2 * channels, 3, padding="same", kernel_initializer="zeros", name="out"
        )

    def call(self, before, coarse=None, frames: int = 1, past: Past | None = None):
        """From what left one frame before, and what goes on in this one."""
        x = before if coarse is None else ops.concatenate([before, coarse], axis=-1)
        x = self.into(ops.cast(x, self.compute_dtype))
        for block in self.blocks:
            x = block(x, frames=frames, past=past)
        return ops.split(ops.cast(self.out(leaky(x)), "float32"), 2, axis=-1)


@register
class Glow(Density, VideoModel):
    """A multi-scale flow with a prior that looks back; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of 2 to the
            power of the levels.
        levels: how often the sides are halved.
        steps: of the flow at each level.
        filters: of the networks in its steps.
        prior_filters, prior_blocks: of the networks of the prior, one for each level.

    Example:

    >>> model = Glow(frames=2, height=8, width=8, levels=2, steps=1, filters=8, prior_filters=8)
    >>> model.generate(1).shape
    (1, 2, 8, 8, 1)
    """

    references = ("arXiv:1807.03039", "arXiv:1903.01434")
    any_length = True

    def __init__(
        self,
        *,
        frames: int = 16,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        levels: int = 3,
        steps: int = 8,
        filters: int = 128,
        prior_filters: int = 64,
        prior_blocks: int = 1,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % 2**levels or width % 2**levels:
            raise VgzooError(
                f"height and width must be multiples of {2**levels} for {levels} levels, not "
                f"{height}×{width}"
            )
        self.sizes = {"levels": levels, "steps": steps, "filters": filters}
        self.sizes |= {"prior_filters": prior_filters, "prior_blocks": prior_blocks}
        self.leaving: list[tuple[int, int, int]] = []  # shape of what leaves a frame at each level
        self.marginal = Marginal(name="marginal")
        self.marginal.build((None, channels))
        self.levels, self.priors = [], []
        depth = channels
        for i in range(levels):
            high, wide, depth = height // 2 ** (i + 1), width // 2 ** (i + 1), 4 * depth
            flow = [GlowStep(filters, seed=100 * i + j, name=f"step_{i}_{j}") for j in range(steps)]
            for step in flow:
                step.build((None, high, wide, depth))
            last = i + 1 == levels
            depth = depth if last else depth // 2
            self.leaving.append((high, wide, depth))
            prior = Prior(
                channels=depth, filters=prior_filters, blocks=prior_blocks, name=f"prior_{i}"
            )
            frame = keras.KerasTensor((2, *self.leaving[-1]), "float32")
            prior(frame, None if last else keras.KerasTensor((2, high, wide, depth)), frames=2)
            self.levels.append(flow)
            self.priors.append(prior)

    def get_config(self) -> dict:
        return super().get_config() | self.sizes

    def noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, self.height * self.width * self.channels)

    def _forward(self, pixels):
        """Pixels `(B, T, H, W, C)` → noise `(B, T, H·W·C)`, finest level first; log-determinant."""
        frames = pixels.shape[1]
        x, slopes = self.marginal(ops.reshape(pixels, (-1, *pixels.shape[2:])))
        noise, log_determinant = [], ops.sum(slopes, axis=(1, 2, 3))
        for flow, prior, shape in zip(self.levels, self.priors, self.leaving, strict=True):
            x = space_to_depth(x, 2)
            for step in flow:
                x, found = step(x)
                log_determinant = log_determinant + found
            last = shape[-1] == x.shape[-1]
            x, z = (None, x) if last else ops.split(x, 2, axis=-1)
            clip = ops.reshape(z, (-1, frames, *shape))
            before, _ = ops.split(ops.pad(clip, ((0, 0), (1, 0), *[(0, 0)] * 3)), [frames], axis=1)
            mean, log_scale = prior(ops.reshape(before, (-1, *shape)), x, frames=frames)
            log_determinant = log_determinant - ops.sum(log_scale, axis=(1, 2, 3))
            z = (z - mean) * ops.exp(-log_scale)
            noise.append(ops.reshape(z, (-1, frames, math.prod(shape))))
        log_determinant = ops.sum(ops.reshape(log_determinant, (-1, frames)), axis=1)
        return ops.concatenate(noise, axis=-1), log_determinant

    def _backward(self, noise):
        """Noise → pixels, the coarsest level first."""
        sizes = [math.prod(shape) for shape in self.leaving]
        places = [sum(sizes[: i + 1]) for i in range(len(sizes) - 1)]
        parts = ops.split(noise, places, axis=-1) if places else [noise]
        x = None
        levels = zip(parts, self.levels, self.priors, self.leaving, strict=True)
        for part, flow, prior, shape in reversed(list(levels)):
            z = self._drawn(ops.reshape(part, (-1, noise.shape[1], *shape)), prior, x)
            x = z if x is None else ops.concatenate([x, z], axis=-1)
            for step in reversed(flow):
                x = step.invert(x)
            x = depth_to_space(x, 2)
        x = self.marginal.invert(x)
        return ops.reshape(x, (-1, noise.shape[1], *x.shape[1:]))

    def _drawn(self, noise, prior, coarse):
        """What leaves at a level, one frame after the other: `(B·T, h, w, C)`."""
        frames, shape = noise.shape[1], noise.shape[2:]
        if coarse is not None:
            coarse = ops.reshape(coarse, (-1, frames, *coarse.shape[1:]))

        def next_frame(t, before, kept):
            part = ops.take(noise, t, axis=1)
            beside = None if coarse is None else ops.take(coarse, t, axis=1)
            past = Past(kept)
            mean, log_scale = prior(before, beside, frames=1, past=past)
            return mean + ops.exp(log_scale) * part, past.kept

        z, kept = next_frame(0, ops.zeros_like(noise[:, 0]), {})
        made = ops.slice_update(ops.zeros_like(noise), (0,) * 5, z[:, None])

        def body(t, made, before, kept):
            z, kept = next_frame(t, before, kept)
            return t + 1, ops.slice_update(made, (0, t, 0, 0, 0), z[:, None]), z, kept

        _, made, *_ = ops.while_loop(lambda t, *_: t < frames, body, (1, made, z, kept))
        return ops.reshape(made, (-1, *shape))


MODEL = Glow
