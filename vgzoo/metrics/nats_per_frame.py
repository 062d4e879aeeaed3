"""Nats per frame of models of binary pixels (Bernoulli).

These have probabilities at once, so no noise is added; for Moving MNIST they are printed in nats
per frame (Srivastava et al. 2015, arXiv 1502.04681, and after). A variational model gives its lower
bound in place of the log-probability (NELBO), and the figure is then an upper bound.
"""

from typing import Any

import keras

from vgzoo.metrics.base import MeanMetric, at_least_one, per_clip


@keras.saving.register_keras_serializable("vgzoo")
class NatsPerFrame(MeanMetric):
    """Negative log-probability of a frame in nats, for models of binary pixels; less is better.

    Args:
        name: of the metric.

    Example:

    >>> import numpy as np
    >>> fair_coins = np.full(3, 20 * 64 * 64 * np.log(0.5))  # three clips of 20 frames
    >>> round(NatsPerFrame()(fair_coins, frames=20), 3)  # 4,096 pixels
    2839.131
    """

    def __init__(self, name: str = "nats_per_frame"):
        super().__init__(name)

    def update_state(self, log_prob: Any, frames: int) -> None:
        """Takes log-probabilities of clips.

        Args:
            log_prob: `(B,)`, nats, of whole clips; a lower bound (ELBO) will do.
            frames: frames in a clip that it covers.

        Raises:
            VgzooError: another shape, NaN, or frames below 1.
        """
        log_prob = per_clip("log_prob", log_prob)
        self.add(-log_prob.sum(), at_least_one("frames", frames) * len(log_prob))
