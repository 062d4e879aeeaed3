"""Structural similarity.

Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity", as
scikit-image computes it when asked for nothing else: means over 7×7 pixels with equal weights
(Wang's window is a Gaussian of 11×11), covariances divided by 48, K₁ = 0.01, K₂ = 0.03, windows
inside the frame only, channels averaged. Two protocols are in use and differ in the second digit:

- `"skimage"`: `data_range=1`, which is what pixels in [0, 1] have;
- `"openstl"`: `data_range=2`, which scikit-image up to 0.19.3 took float images to have, and so
  what OpenSTL (Tan et al. 2023, arXiv 2306.11249) and the Moving MNIST tables made with it print.
"""

from types import MappingProxyType

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.base import FrameMetric

DATA_RANGES = MappingProxyType({"skimage": 1, "openstl": 2})
WINDOW = 7


@keras.saving.register_keras_serializable("vgzoo")
class SSIM(FrameMetric):
    """Structural similarity of frames, 1 for equal ones; more is better.

    Args:
        protocol: `"skimage"` or `"openstl"`, as told above.
        name: of the metric; the protocol's name is in it if None, for figures to carry.

    Raises:
        VgzooError: an unknown protocol.

    Example:

    >>> clip = np.random.default_rng(0).random((1, 4, 16, 16, 1))
    >>> metric = SSIM("openstl")
    >>> metric.name, round(metric(clip, clip), 6)
    ('ssim_openstl', 1.0)
    """

    higher_is_better = True

    def __init__(self, protocol: str = "skimage", name: str | None = None):
        if protocol not in DATA_RANGES:
            known = " or ".join(map(repr, DATA_RANGES))
            raise VgzooError(f"unknown SSIM protocol {protocol!r}; wanted {known}")
        super().__init__(name or f"ssim_{protocol}")
        self.protocol = protocol

    def get_config(self) -> dict:
        return {"protocol": self.protocol, "name": self.name}

    def frame_values(self, real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        if min(real.shape[2:4]) < WINDOW:
            height, width = real.shape[2:4]
            raise VgzooError(
                f"frames of {height}x{width} pixels came; SSIM looks through a window of "
                f"{WINDOW}x{WINDOW}: enlarge them or use PSNR"
            )
        span = DATA_RANGES[self.protocol]
        # Clip by clip: a dozen arrays of a clip's size at once, not of a batch's.
        maps = (_similarity(x, y, span) for x, y in zip(real, generated, strict=True))
        return np.stack([m.mean(axis=(1, 2, 3)) for m in maps])


def _similarity(x: np.ndarray, y: np.ndarray, span: float) -> np.ndarray:
    """`(T, H, W, C)` twice → the similarity of each window, `(T, H - 6, W - 6, C)`."""
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    square, product = mean_x**2 + mean_y**2, mean_x * mean_y
    variances = unbiased * (_window_mean(x * x + y * y) - square)
    covariance = unbiased * (_window_mean(x * y) - product)
    return (2 * product + c1) * (2 * covariance + c2) / ((square + c1) * (variances + c2))


def _window_mean(x: np.ndarray) -> np.ndarray:
    """Means of all whole windows: `(T, H, W, C)` → `(T, H - 6, W - 6, C)`."""
    rows, columns = (n - WINDOW + 1 for n in x.shape[1:3])
    x = sum(x[:, i : i + rows] for i in range(WINDOW))
    return sum(x[:, :, i : i + columns] for i in range(WINDOW)) / WINDOW**2
