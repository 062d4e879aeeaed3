"""What GANs share: two networks in two files, and the game that they play.

The game is that of Huang et al. 2024, "The GAN is dead; long live the GAN! A Modern Baseline GAN"
(arXiv 2501.05441): a relativistic pairing loss (Jolicoeur-Martineau 2018, arXiv 1807.00734) and
penalties on the discriminator's gradients at real and at generated clips (R1 and R2, Mescheder et
al. 2018, arXiv 1801.04406).
"""

import math
from typing import ClassVar

import keras
from keras import ops

from vgzoo.models._latents import Latents
from vgzoo.models.base import input_gradient


class Adversarial(Latents):
    """The part of a GAN that is no matter of its networks, `generator` and `discriminator`.

    A discriminator gives scores `(B, parts + others)`: its first `parts` are of the whole clip, the
    others of its frames; both count as much. A model has `gamma`, the weight of the penalties;
    `burn_in`, `(step, weight), …`, the points that it goes through before; and `penalty_stride`,
    every how many clips of a batch the penalties are computed.
    """

    family = "gan"
    tasks: ClassVar[tuple[str, ...]] = ("generate",)
    logged = ("generator_loss", "discriminator_loss", "margin", "r1", "r2")

    def tensor_groups(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.generator.weights, "discriminator": self.discriminator.weights}

    def end_burn_in(self) -> None:
        self.burn_in = []

    def game(self, real, fake, step, **options):
        """Both sides of the game in one scalar, each blind to the other's parameters.

        Args:
            real, fake: clips `(B, T, H, W, C)` in [-1, 1].
            step: number of the training step.
            options: more arguments of the discriminator.
        """
        batch = ops.shape(real)[0]
        fixed = ops.cast(ops.stop_gradient(fake), real.dtype)
        scores = self.discriminator(ops.concatenate([real, fixed], axis=0), **options)
        real_scores, fake_scores = scores[:batch], scores[batch:]
        d_loss = self._pairing(fake_scores - real_scores)
        g_loss = self._pairing(ops.stop_gradient(real_scores) - self._judged(fake, **options))

        every = self.penalty_stride
        r1, r2 = (self._penalty(clip[::every], **options) for clip in (real, fixed))
        margin = ops.mean(self._of_clips_and_frames(real_scores - fake_scores)[0])
        self.track(generator_loss=g_loss, discriminator_loss=d_loss, margin=margin, r1=r1, r2=r2)
        return g_loss + d_loss + 0.5 * self._penalty_weight(step) * (r1 + r2)

    def _judged(self, clip, **options):
        """Scores by a frozen copy of the discriminator: gradients reach the clip, not the judge."""
        scores, _ = self.discriminator.stateless_call(
            [ops.stop_gradient(v.value) for v in self.discriminator.trainable_variables],
            [v.value for v in self.discriminator.non_trainable_variables],
            clip,
            **options,
        )
        return scores

    def _of_clips_and_frames(self, scores) -> list:
        return ops.split(scores, [self.discriminator.parts], axis=1)

    def _pairing(self, difference):
        """Relativistic pairing loss of differences of scores."""
        return sum(ops.mean(ops.softplus(d)) for d in self._of_clips_and_frames(difference))

    def _penalty(self, clip, **options):
        """Mean squared norm of the discriminator's gradient at `clip`."""

        def score(c):
            scores = self._of_clips_and_frames(self.discriminator(c, **options))
            return sum(ops.mean(s, axis=1) for s in scores)

        gradient = input_gradient(score, ops.cast(clip, "float32"))
        return ops.mean(ops.sum(ops.square(ops.cast(gradient, "float32")), axis=(1, 2, 3, 4)))

    def _penalty_weight(self, step):
        if not self.burn_in:
            return self.gamma
        step = ops.cast(step, "float32")
        steps, weights = zip(*self.burn_in, strict=True)
        power = math.log(weights[0])
        for begin, end, before, after in zip(steps, steps[1:], weights, weights[1:], strict=False):
            done = ops.clip((step - begin) / (end - begin), 0.0, 1.0)
            power = power + done * math.log(after / before)
        return ops.where(step < steps[-1], ops.exp(power), self.gamma)
