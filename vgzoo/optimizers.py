"""The optimizer of networks whose work is in kernels."""

import math

import keras
from keras import ops

_QUINTIC = (3.4445, -4.7750, 2.0315)  # steepest at 0 of those that keep [0, 1.2] bounded
_RMS = 0.2  # of Adam's steps, about


@keras.saving.register_keras_serializable("vgzoo")
class Muon(keras.optimizers.Adam):
    """Muon (Jordan et al. 2024) for kernels of dense and convolutional layers, Adam for the rest.

    The step of a kernel is its momentum with all singular values made about equal, by Newton-Schulz
    iterations, and of the size that Adam's would have (Liu et al. 2025, arXiv 2502.16982). A
    convolution's kernel is the matrix from its inputs, all places of it, to its filters;
    `keras.optimizers.Muon` leaves those to Adam.

    Args:
        learning_rate: number or schedule.
        momentum: of the kernels' steps, by Nesterov.
        iterations: of Newton and Schulz.
        adam: as for `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=1e-3, *, momentum=0.95, newton_schulz=5, **adam):
        super().__init__(learning_rate, **adam)
        self.momentum, self.newton_schulz = momentum, newton_schulz

    def get_config(self) -> dict:
        own = {"momentum": self.momentum, "newton_schulz": self.newton_schulz}
        return super().get_config() | own

    def update_step(self, gradient, variable, learning_rate) -> None:
        if len(variable.shape) not in (2, 4):
            return super().update_step(gradient, variable, learning_rate)
        rate, gradient = (ops.cast(x, variable.dtype) for x in (learning_rate, gradient))
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, self.momentum * momentum + gradient)
        matrix = gradient + self.momentum * momentum
        # Of its shape the gradient may know less than the variable.
        matrix = ops.reshape(matrix, (math.prod(variable.shape[:-1]), variable.shape[-1]))
        step = rate * _RMS * max(matrix.shape) ** 0.5 * self._orthogonal(matrix)
        self.assign_sub(variable, ops.reshape(step, variable.shape))

    def _orthogonal(self, matrix):
        """A matrix with its singular values brought near 1."""
        tall = matrix.shape[0] > matrix.shape[1]
        # Half precision is enough: what is near 1 need not be nearer.
        x = ops.cast(ops.transpose(matrix) if tall else matrix, "bfloat16")
        x = x / (ops.norm(x) + 1e-7)
        a, b, c = _QUINTIC
        for _ in range(self.newton_schulz):
            square = ops.matmul(x, ops.transpose(x))
            x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
        return ops.cast(ops.transpose(x) if tall else x, matrix.dtype)
