"""Precision and recall of a set of generated features.

Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models"
(arXiv 1904.06991): a set's manifold is the union of balls around its points, each reaching to the
point's k-th nearest neighbour in the set (k = 3). Precision is the share of generated points inside
the real manifold (are they good?), recall the share of real points inside the generated manifold
(are they all there?). Both depend on N: take sets of one size, and print it.
"""

import keras
import numpy as np

from vgzoo.metrics.base import at_least_one
from vgzoo.metrics.features import FeatureMetric

BLOCK = 1024  # rows of the distance matrix in memory at a time


@keras.saving.register_keras_serializable("vgzoo")
class PrecisionRecall(FeatureMetric):
    """Share of good clips among the generated, and of real clips that are covered.

    All features are kept. The result is `{"precision": …, "recall": …}`, both in [0, 1].

    Args:
        k: the neighbour a ball reaches to; a set needs more than `k` points.
        name: of the metric.

    Raises:
        VgzooError: `k` below 1.

    Example:

    >>> metric = PrecisionRecall(k=1)
    >>> metric.update_state(real=[[0.0], [1.0], [10.0], [11.0]], generated=[[0.0], [0.5]])
    >>> metric.result()  # good, but only one half of the truth
    {'precision': 1.0, 'recall': 0.5}
    """

    def __init__(self, k: int = 3, name: str = "precision_recall"):
        super().__init__(name)
        self.k = at_least_one("k", k)

    @property
    def least(self) -> int:
        return self.k + 1

    def get_config(self) -> dict:
        return {"k": self.k, "name": self.name}

    def distance(self) -> dict[str, float]:
        real, generated = self.real.stacked(), self.generated.stacked()
        centre = real.mean(axis=0)  # differences of smaller numbers lose fewer digits
        real, generated = real - centre, generated - centre
        return {
            "precision": _share_inside(generated, real, _reach(real, self.k)),
            "recall": _share_inside(real, generated, _reach(generated, self.k)),
        }


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squares = (x * x).sum(axis=1)[:, None] + (y * y).sum(axis=1)
    return np.maximum(squares - 2 * x @ y.T, 0)


def _reach(points: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each point to its k-th nearest neighbour, `(N,)`."""
    reach = []
    for start in range(0, len(points), BLOCK):
        squared = _squared_distances(points[start : start + BLOCK], points)
        own = np.arange(len(squared))
        squared[own, start + own] = 0  # not a rounding error that might outrank a neighbour
        reach.append(np.partition(squared, k, axis=1)[:, k])
    return np.concatenate(reach)


def _share_inside(points: np.ndarray, centres: np.ndarray, reach: np.ndarray) -> float:
    inside = 0
    for start in range(0, len(points), BLOCK):
        squared = _squared_distances(points[start : start + BLOCK], centres)
        inside += int((squared <= reach).any(axis=1).sum())
    return inside / len(points)
