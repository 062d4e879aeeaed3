"""Kernel distance between two sets of features: unbiased squared MMD with a polynomial kernel.

Bińkowski et al. 2018, "Demystifying MMD GANs" (KID, arXiv 1801.01401): k(x, y) = (x·y / D + 1)³,
pairs of a point with itself left out, so that its expectation doesn't depend on N and is 0 for
equal distributions; single values may lie below 0. They average over subsets of 1,000; here all
pairs of the whole sets are taken, which has the same expectation and less variance.
"""

import keras
import numpy as np

from vgzoo.metrics.features import FeatureMetric

BLOCK = 1024  # rows of the kernel matrix in memory at a time


@keras.saving.register_keras_serializable("vgzoo")
class KernelDistance(FeatureMetric):
    """Unbiased kernel distance between the real and the generated features; less is better.

    All features are kept.

    Args:
        name: of the metric.

    Example:

    >>> metric = KernelDistance()
    >>> metric.update_state(real=[[1.0], [-1.0]], generated=[[2.0], [2.0]])
    >>> metric.result()  # 0 + (4 + 1)³ - 2 ((2 + 1)³ + (1 - 2)³) / 2
    99.0
    """

    def __init__(self, name: str = "kernel_distance"):
        super().__init__(name)

    def distance(self) -> float:
        real, generated = self.real.stacked(), self.generated.stacked()
        return _mean_of_pairs(real) + _mean_of_pairs(generated) - 2 * _mean(real, generated)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _sum(x: np.ndarray, y: np.ndarray) -> float:
    return sum(float(_kernel(x[i : i + BLOCK], y).sum()) for i in range(0, len(x), BLOCK))


def _mean(x: np.ndarray, y: np.ndarray) -> float:
    return _sum(x, y) / (len(x) * len(y))


def _mean_of_pairs(x: np.ndarray) -> float:
    """Mean of k(xᵢ, xⱼ) over i ≠ j."""
    itself = float((((x * x).sum(axis=1) / x.shape[1] + 1) ** 3).sum())
    return (_sum(x, x) - itself) / (len(x) * (len(x) - 1))
