"""A normalizing flow of transformers, causal in time.

After TARFlow (Zhai et al. 2024, "Normalizing flows are capable generative models", arXiv
2412.06329): a frame is a row of patches, and a stack of affine flows, each autoregressive over
patches in the order opposite to the last one's, turns them into noise. As in STARFlow-V (Gu et al.
2025, arXiv 2511.20462) a clip is modelled by one deep flow that goes on from frame to frame, and by
shallow ones that attend to a frame alone; the deep one stands at the side of the noise. It sees a
window of frames, so clips may be of any length, each frame as cheap as the last. What is made for
8-bit pixels here: noise of one level's width is all that is added, and the first step of the flow
makes the distribution of single pixels Gaussian, exactly (`vgzoo.layers.marginal`). And each flow
is told what the two frames before let it expect (`vgzoo.layers.anticipation`), motion included,
which attention alone is slow to learn.
"""

import keras
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.anticipation import Anticipation
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import Marginal
from vgzoo.layers.spacetime import depth_to_space, space_to_depth
from vgzoo.models._density import Density
from vgzoo.models.base import VideoModel, input_gradient, register
from vgzoo.optimizers import Muon


@register
class TARFlow(Density, VideoModel):
    """A flow of transformers over patches of clips; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of the patch.
        patch: side of a patch in pixels.
        features, heads: width of the transformers, and heads of their attention.
        shallow: layers of each of the flows that see a frame alone.
        deep: layers of the flow that goes on from frame to frame; 0 for still pictures.
        window: frames that it attends to in each layer, the last one included.
        foresight, reach: channels of the network that reads the two frames before, and pixels,
            each way, that anything moves from one to the next.
        block: tokens that are found together in a sample: more take fewer, wider rounds.
        noise: deviation of Gaussian noise, in [-1, 1], that is added while training for better
            samples, from which it is then taken away (Tweedie's formula); 0 for likelihoods.

    Example:

    >>> model = TARFlow(frames=2, height=8, width=8, patch=4, features=8, heads=2, shallow=(1,))
    >>> model.generate(1).shape
    (1, 2, 8, 8, 1)
    """

    references = ("arXiv:2412.06329", "arXiv:2511.20462", "arXiv:1602.00229", "arXiv:2002.03629")
    any_length = True

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
        foresight: int = 96,
        reach: int = 4,
        block: int = 1,
        noise: float = 0.0,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % patch or width % patch:
            raise VgzooError(
                f"height and width must be multiples of patch={patch}, not {height}×{width}"
            )
        if height * width // patch**2 % block:
            raise VgzooError(
                f"block={block} does not divide the {height * width // patch**2} tokens of a frame"
            )
        if features % (2 * heads):
            raise VgzooError(f"features must be a multiple of 2 · heads={heads}, not {features}")
        self.patch, self.features, self.heads = patch, features, heads
        self.shallow, self.deep, self.window = tuple(shallow), deep, window
        self.foresight, self.reach = foresight, reach
        self.block, self.noise = block, noise
        self.marginal = Marginal(name="marginal")
        self.anticipation = None
        if deep:
            self.anticipation = Anticipation(
                patch=patch, filters=foresight, blocks=2, reach=reach, name="anticipation"
            )
            self.anticipation(keras.KerasTensor((1, 2, height, width, channels)))
        sizes = {"width": features, "heads": heads, "told": foresight if deep else 0}
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
        own = ("patch", "features", "heads", "deep", "window", "foresight", "reach")
        own += ("block", "noise")
        return {
            **super().get_config(),
            "shallow": list(self.shallow),
            **{key: getattr(self, key) for key in own},
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    def _forward(self, pixels):
        """Pixels `(B, T, H, W, C)` in (-1, 1) → noise `(B, T, N, D)`, log-determinant `(B,)`."""
        frames = pixels.shape[1]
        values, slopes = self.marginal(pixels)
        log_determinant = ops.sum(slopes, axis=(1, 2, 3, 4))
        x, about = self._tokens(values), self._expected(pixels)
        for flow in self.flows:
            alone = flow.window == 1
            together = (-1, 1 if alone else frames)
            x = ops.reshape(x, (*together, *x.shape[2:]))
            if about is not None:
                about = ops.reshape(about, (*together, *about.shape[2:]))
            x, found = flow(x, about)
            found = ops.sum(ops.reshape(found, (-1, frames)), axis=1) if alone else found
            x = ops.reshape(x, (-1, frames, *x.shape[2:]))
            log_determinant = log_determinant + found
        return x, log_determinant

    def _expected(self, pixels):
        """What each frame's two before it say of it, black before the first."""
        if not self.anticipation:
            return None
        _, frames, *size = pixels.shape
        black = ops.full_like(pixels[:, :1], -1.0)
        known = ops.concatenate([black, black, pixels], axis=1)
        before = ops.stack([known[:, :frames], known[:, 1 : frames + 1]], axis=2)
        about = self.anticipation(ops.reshape(before, (-1, 2, *size)))
        return ops.reshape(about, (-1, frames, *about.shape[1:]))

    def _backward(self, noise):
        """Noise → pixels in (-1, 1), one frame after another."""
        rows, frames = ops.shape(noise)[0], noise.shape[1]
        size = (self.height, self.width, self.channels)

        def next_frame(t, clip, before, state):
            x = ops.slice(noise, (0, t, 0, 0), (rows, 1, *noise.shape[2:]))
            about = self.anticipation(before)[:, None] if self.anticipation else None
            for flow in reversed(self.flows):
                if flow.window == 1:
                    x, _ = flow.invert(x, self.block, about)
                else:
                    x, state = flow.invert(x, self.block, about, state)
            frame = self.marginal.invert(self._pixels(x))
            clip = ops.slice_update(clip, (0, t, 0, 0, 0), frame)
            return t + 1, clip, ops.concatenate([before[:, 1:], frame], axis=1), state

        state = self.flows[-1].begin(noise)
        start = ops.zeros((rows, frames, *size)), ops.full((rows, 2, *size), -1.0)
        return ops.while_loop(lambda t, *_: t < frames, next_frame, (0, *start, state))[1]

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

    def _cleaned(self, pixels):
        if not self.noise:
            return pixels
        # Tweedie's formula: what a noisy clip most likely was before the noise.
        score = input_gradient(lambda p: self._log_density(p)[1], pixels)
        return pixels + self.noise**2 * score

    def _noised(self, pixels, step):
        if not self.noise:
            return pixels
        draw = random.normal(ops.shape(pixels), seed=self.seed, step=step, salt=1)
        return ops.clip(pixels + self.noise * draw, -1 + 1e-4, 1 - 1e-4)


MODEL = TARFlow
