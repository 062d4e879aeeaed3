"""Paths of things through the frame, from a motion latent: straight, between walls, bent by waves.

The waves, of learned amplitude, frequency and phase, are after StyleGAN-V (Skorokhodov et al. 2021,
arXiv 2112.14683).
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.spacetime import he_normal, leaky


class Waves(layers.Layer):
    """Motion latent `(B, M)` → one vector per frame `(B, T, 2·count)`.

    Waves whose periods lie between 4 frames and 64, each within a factor of two of its own place
    on a logarithmic scale, beside a copy of the latent's own features. They are triangles, since
    things move straight on from one turn to the next, and as high as they are long, since what
    turns around often does not get far.
    """

    def __init__(self, count: int, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.hidden = layers.Dense(2 * count, kernel_initializer=he_normal(), name="hidden")
        self.wave = layers.Dense(3 * count, name="wave")
        self.still = layers.Dense(count, name="still")
        periods = np.geomspace(64, 4, count).astype("float32")
        self.places, self.height = 2 * np.pi / periods, periods / 16

    def call(self, motion, frames: int):
        h = leaky(self.hidden(motion))
        amplitude, frequency, phase = ops.split(ops.cast(self.wave(h), "float32"), 3, axis=-1)
        frequency = ops.multiply(2 ** ops.tanh(frequency), self.places)
        # Time counts from the middle of the clip, so that a longer clip grows at both ends.
        time = ops.arange(frames, dtype="float32")[:, None] - (frames - 1) / 2
        waves = triangle(frequency[:, None] * time + np.pi * phase[:, None])
        waves = ops.multiply((1 + amplitude[:, None]) * waves, self.height)
        still = ops.repeat(self.still(h)[:, None], frames, axis=1)
        return ops.concatenate([ops.cast(waves, still.dtype), still], axis=-1)


def triangle(angle):
    """The triangle wave that has sine's zeros and peaks."""
    turn = angle / (2 * np.pi) - 0.25
    return 4 * ops.abs(turn - ops.floor(turn) - 0.5) - 1


class Trajectory(layers.Layer):
    """Motion latent `(B, M)` → float32 `(B, T, 3)`: the centre's y and x, and the size.

    The centre is given in halves of the frame, -1 … 1 from edge to edge. It moves straight on, from
    where and whither the latent says, at a speed that is at first the same for all, and turns back
    at a wall of learned place; the waves bend that path as far as it is learned. The size is the
    scale's logarithm to base 2, at first 0.

    Args:
        waves: how many.
        reach: where the walls are at first, in halves of the frame.
        width: of the hidden layers.
    """

    def __init__(self, waves: int, reach: float, width: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.waves = Waves(waves, name="waves")
        self.hidden = [
            layers.Dense(width, kernel_initializer=he_normal(), name=f"hidden_{i}") for i in (0, 1)
        ]
        self.start = layers.Dense(2, kernel_initializer=he_normal(), name="start")
        self.heading = layers.Dense(2, kernel_initializer=he_normal(), name="heading")
        self.speed = layers.Dense(
            1,
            kernel_initializer="zeros",
            bias_initializer=keras.initializers.Constant(0.1),
            name="speed",
        )
        self.bend = layers.Dense(3, kernel_initializer="zeros", name="bend")
        self.first_reach = reach

    def build(self, shape):
        self.reach = self.add_weight(
            name="reach", shape=(2,), initializer=keras.initializers.Constant(self.first_reach)
        )

    @property
    def unsteady(self) -> list[keras.Variable]:
        """The weights without which all move straight on, at one speed and in one size."""
        return [self.speed.kernel, self.bend.kernel]

    def call(self, motion, frames: int):
        h = motion
        for dense in self.hidden:
            h = leaky(dense(h))
        start, heading, speed = (
            ops.cast(dense(h), "float32") for dense in (self.start, self.heading, self.speed)
        )
        heading = heading * ops.rsqrt(ops.sum(ops.square(heading), axis=-1, keepdims=True) + 1e-6)
        # Time counts from the middle of the clip, so that a longer clip grows at both ends.
        time = ops.arange(frames, dtype="float32")[:, None] - (frames - 1) / 2
        bend = ops.cast(self.bend(leaky(self.waves(motion, frames=frames))), "float32")
        centre = start[:, None] + (speed * heading)[:, None] * time + bend[..., :2]
        reach = ops.cast(self.reach, "float32")
        centre = reach * triangle(np.pi / 2 * centre / reach)
        return ops.concatenate([centre, ops.tanh(bend[..., 2:])], axis=-1)
