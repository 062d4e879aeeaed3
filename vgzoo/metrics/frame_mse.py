"""Squared error of a frame, summed over its pixels.

As in the tables for Moving MNIST since Shi et al. 2015 (arXiv 1506.04214), and as OpenSTL (Tan et
al. 2023, arXiv 2306.11249) computes it: pixels in [0, 1], squared differences summed over height,
width and channels, then a mean over frames and clips. OpenSTL takes the network's output as it is;
here clips are within [0, 1], which can only lower the error.
"""

import keras
import numpy as np

from vgzoo.metrics.base import FrameMetric


@keras.saving.register_keras_serializable("vgzoo")
class FrameMSE(FrameMetric):
    """Squared error summed over the pixels of a frame; less is better.

    Args:
        name: of the metric.

    Example:

    >>> metric = FrameMSE()
    >>> metric(np.ones((2, 20, 64, 64, 1)), np.full((2, 20, 64, 64, 1), 0.5))
    1024.0
    """

    def __init__(self, name: str = "frame_mse"):
        super().__init__(name)

    def frame_values(self, real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        return np.square(generated - real).sum(axis=(2, 3, 4))
