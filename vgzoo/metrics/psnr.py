"""Peak signal-to-noise ratio: 10 log₁₀(1 / MSE) of each frame, in dB, pixels in [0, 1].

A mean of the frames' ratios, as OpenSTL (Tan et al. 2023, arXiv 2306.11249) and SVG (Denton and
Fergus 2018, arXiv 1802.07687) take it, not the ratio of the mean error. One frame that is exact
makes it infinite.
"""

import keras
import numpy as np

from vgzoo.metrics.base import FrameMetric


@keras.saving.register_keras_serializable("vgzoo")
class PSNR(FrameMetric):
    """Peak signal-to-noise ratio of a frame in dB; more is better.

    Args:
        name: of the metric.

    Example:

    >>> metric = PSNR()
    >>> round(metric(np.zeros((2, 20, 64, 64, 1)), np.full((2, 20, 64, 64, 1), 0.1)), 6)
    20.0
    """

    higher_is_better = True

    def __init__(self, name: str = "psnr"):
        super().__init__(name)

    def frame_values(self, real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        error = np.square(generated - real).mean(axis=(2, 3, 4))
        with np.errstate(divide="ignore"):
            return -10 * np.log10(error)
