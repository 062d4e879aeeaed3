"""Absolute error of a frame, summed over its pixels.

As OpenSTL (Tan et al. 2023, arXiv 2306.11249) computes it: pixels in [0, 1], absolute differences
summed over height, width and channels, then a mean over frames and clips.
"""

import keras
import numpy as np

from vgzoo.metrics.base import FrameMetric


@keras.saving.register_keras_serializable("vgzoo")
class FrameMAE(FrameMetric):
    """Absolute error summed over the pixels of a frame; less is better.

    Args:
        name: of the metric.

    Example:

    >>> metric = FrameMAE()
    >>> metric(np.ones((2, 20, 64, 64, 1)), np.full((2, 20, 64, 64, 1), 0.5))
    2048.0
    """

    def __init__(self, name: str = "frame_mae"):
        super().__init__(name)

    def frame_values(self, real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        return np.abs(generated - real).sum(axis=(2, 3, 4))
