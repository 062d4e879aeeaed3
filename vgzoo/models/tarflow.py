"""A normalizing flow of transformers, causal in time.

After TARFlow (Zhai et al. 2024, "Normalizing flows are capable generative models", arXiv
2412.06329): a frame is a row of patches, and a stack of affine flows, each autoregressive over
patches in the order opposite to the last one's, turns them into noise. As in STARFlow-V (Gu et al.
2025, arXiv 2511.20462) a clip is modelled by one deep flow that goes on from frame to frame, and by
shallow ones that attend to a frame alone; the deep one stands at the side of the noise. It sees a
window of frames, so clips may be of any length, each frame as cheap as the last. What is made for
8-bit pixels here: noise of one level's width is all that is added, and the first step of the flow
makes the distribution of single pixels Gaussian, exactly (`vgzoo.layers.marginal`). In clips that
step knows what the frame before showed within reach, and each flow is told what the frames before
let it expect (`vgzoo.layers.mixture_flow`, `vgzoo.layers.anticipation`): attention alone is slow
to learn that things move.
"""

import keras
import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.errors import VgzooError
from vgzoo.layers.anticipation import Anticipation, mismatch, shifts, steady, ways
from vgzoo.layers.autoregressive import AutoregressiveFlow
from vgzoo.layers.marginal import Marginal, levels
from vgzoo.layers.mixture_flow import MixtureFlow
from vgzoo.layers.spacetime import depth_to_space, space_to_depth
from vgzoo.models._density import Density
from vgzoo.models.base import VideoModel, input_gradient, register
from vgzoo.optimizers import Muon

_MANY = 256  # tokens of a frame, above which XLA pays for samples on a CPU too
_PAST = 4  # frames that say what the next one may be


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
        recall, patches: layers of the flow of clips that knows what the frame before showed, and
            learned patches that it has for what is new.
        foresight, reach: channels of the network that reads the frames before, and pixels, each
            way, that anything moves from one to the next.
        block: tokens that are found together in a sample: more take fewer, wider rounds.
        noise: deviation of Gaussian noise, in [-1, 1], that is added while training for better
            samples, from which it is then taken away (Tweedie's formula); 0 for likelihoods.
        motion_temperature: factor on the noise of samples in all frames but the first, beside the
            temperature that is asked for: below 1 what was seen keeps its shape.

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
        recall: int = 2,
        patches: int = 96,
        foresight: int = 96,
        reach: int = 4,
        block: int = 1,
        noise: float = 0.0,
        motion_temperature: float = 1.0,
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
        self.recall, self.patches, self.foresight, self.reach = recall, patches, foresight, reach
        if not 0 <= motion_temperature <= 1:
            raise VgzooError(f"motion_temperature must be 0 … 1, not {motion_temperature}")
        self.block, self.noise, self.motion_temperature = block, noise, motion_temperature
        # Compiling takes as long as some frames of this many; stills of digits are done before.
        self.small_steps = height * width // patch**2 >= _MANY
        sizes = {"width": features, "heads": heads, "told": foresight if deep else 0}
        self.anticipation = None
        if deep:
            self.anticipation = Anticipation(
                patch=patch, filters=foresight, blocks=2, name="anticipation"
            )
            self.levels = MixtureFlow(
                **sizes,
                ways=len(ways(reach)),
                patches=patches,
                columns=width // patch,
                depth=recall,
                window=1,
                name="levels",
            )
        else:
            self.levels = Marginal(name="marginal")
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
        shape = self.noise_shape(frames)
        if deep:
            count = len(ways(reach))
            self.anticipation(
                keras.KerasTensor((1, _PAST, height, width, channels)),
                keras.KerasTensor((1, _PAST - 1, shape[1], count)),
            )
            self.levels.build((None, *shape))
        else:
            self.levels.build((None, channels))
        for flow in self.flows:
            flow.build((None, *shape))

    def get_config(self) -> dict:
        own = ("patch", "features", "heads", "deep", "window", "recall", "patches", "foresight")
        own += ("reach", "block", "noise", "motion_temperature")
        return {
            **super().get_config(),
            "shallow": list(self.shallow),
            **{key: getattr(self, key) for key in own},
        }

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    def _forward(self, pixels):
        """Pixels `(B, T, H, W, C)` in (-1, 1) → noise `(B, T, N, D)`, log-determinant `(B,)`."""
        frames, about = pixels.shape[1], None
        if self.anticipation:
            about, likely, shown = self._expected(pixels)
            x, found = self.levels(self._each(self._tokens(pixels)), (about, likely), shown)
            x = ops.reshape(x, (-1, frames, *x.shape[2:]))
            log_determinant = ops.sum(ops.reshape(found, (-1, frames)), axis=1)
        else:
            x, slopes = self.levels(pixels)
            x, log_determinant = self._tokens(x), ops.sum(slopes, axis=(1, 2, 3, 4))
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
        """What the frames before each say of it, black before the first, and what it may show.

        Features `(B·T, 1, N, foresight)`, chances `(B·T, 1, N, ways)` that what moved goes on so,
        and levels `(B·T, 1, N, D, ways)`.
        """
        now = levels(pixels)
        frames, size = now.shape[1], now.shape[2:]
        black = ops.zeros_like(ops.split(now, [1], axis=1)[0])
        known = ops.concatenate([black] * _PAST + [now], axis=1)
        shown = self._shifts(ops.split(known, [_PAST - 1, frames + _PAST - 1], axis=1)[1])
        moved = mismatch(self._tokens(self._each(now))[:, 0], shown)
        moved = ops.reshape(moved, (-1, frames, *moved.shape[1:]))
        nothing = ops.zeros_like(ops.split(moved, [1], axis=1)[0])  # all that is black matches
        moved = ops.concatenate([nothing] * (_PAST - 1) + [moved], axis=1)
        before = ops.reshape(self._windows(known, frames, _PAST), (-1, _PAST, *size))
        moved = self._windows(moved, frames, _PAST - 1)
        return *self._said(before, ops.reshape(moved, (-1, *moved.shape[2:]))), shown[:, None]

    def _said(self, before, moved):
        """Features and chances of the frames after some, of their levels and of how these moved."""
        last = ops.split(moved, [_PAST - 2], axis=1)[1][:, 0]
        likely = steady(last, self.width // self.patch)
        return self.anticipation(before, moved)[:, None], likely[:, None]

    def _expected_next(self, before):
        """The same of the frame after some, of levels `(B, past, H, W, C)`."""
        pairs = ops.split(before, [1], axis=1)[1]
        tokens = self._tokens(self._each(pairs))[:, 0]
        shown = self._shifts(before)
        shown = ops.reshape(shown, (-1, _PAST, *shown.shape[1:]))
        seen, shown = ops.split(shown, [_PAST - 1], axis=1)
        moved = mismatch(tokens, ops.reshape(seen, (-1, *seen.shape[2:])))
        moved = ops.reshape(moved, (-1, _PAST - 1, *moved.shape[1:]))
        return *self._said(before, moved), shown

    def _shifts(self, clips):
        """Levels that each frame of clips lets the next one show: `(B·T, N, D, ways)`."""
        frames = ops.reshape(clips, (-1, *clips.shape[2:]))
        return shifts(frames, self.patch, self.reach)

    def _backward(self, noise):
        """Noise → pixels in (-1, 1), one frame after another."""
        rows, frames = ops.shape(noise)[0], noise.shape[1]
        size = (self.height, self.width, self.channels)

        def next_frame(t, clip, before, state):
            x = ops.slice(noise, (0, t, 0, 0), (rows, 1, *noise.shape[2:]))
            about = None
            if self.anticipation:
                about, likely, shown = self._expected_next(before)
            for flow in reversed(self.flows):
                if flow.window == 1:
                    x, _ = flow.invert(x, self.block, about)
                else:
                    x, state = flow.invert(x, self.block, about, state)
            if self.anticipation:
                x, _ = self.levels.invert(x, self.block, (about, likely), shown=shown)
                frame = self._pixels(x)
            else:
                frame = self.levels.invert(self._pixels(x))
            clip = ops.slice_update(clip, (0, t, 0, 0, 0), frame)
            before = ops.concatenate([before[:, 1:], levels(frame)], axis=1)
            return t + 1, clip, before, state

        state = self.flows[-1].begin(noise)
        start = ops.zeros((rows, frames, *size)), ops.zeros((rows, _PAST, *size))
        return ops.while_loop(
            lambda t, *_: t < frames, next_frame, (0, *start, state), maximum_iterations=frames
        )[1]

    @staticmethod
    def _each(x):
        """`(B, T, …)` → `(B·T, 1, …)`."""
        return ops.reshape(x, (-1, 1, *x.shape[2:]))

    @staticmethod
    def _windows(x, frames: int, past: int):
        """Of each frame the `past` before it: `(B, T + past, …)` → `(B, T, past, …)`."""
        parts = [ops.split(x, [i, i + frames], axis=1)[1] for i in range(past)]
        return ops.stack(parts, axis=2)

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
        warmth = [1.0] + [self.motion_temperature] * (frames - 1)
        noise = ops.multiply(noise, np.array(warmth, "float32")[:, None, None])
        return super().sample(noise, labels=labels, frames=frames, steps=steps)

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
