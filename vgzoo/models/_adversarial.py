"""What GANs share: two networks in two files, and a judge that the generator cannot move."""

from typing import ClassVar

import keras
from keras import ops

from vgzoo.models._latents import Latents


class Adversarial(Latents):
    """The part of a GAN that is no matter of its networks, `generator` and `discriminator`."""

    family = "gan"
    tasks: ClassVar[tuple[str, ...]] = ("generate",)

    def tensor_groups(self) -> dict[str, list[keras.Variable]]:
        return {"model": self.generator.weights, "discriminator": self.discriminator.weights}

    def judged(self, clip, *inputs, **options):
        """Scores by a frozen copy of the discriminator: gradients reach the clip, not the judge."""
        scores, _ = self.discriminator.stateless_call(
            [ops.stop_gradient(v.value) for v in self.discriminator.trainable_variables],
            [v.value for v in self.discriminator.non_trainable_variables],
            clip,
            *inputs,
            **options,
        )
        return scores
