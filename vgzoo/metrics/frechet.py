"""Fréchet distance between Gaussians fitted to two sets of features.

Dowson and Landau 1982, "The Fréchet distance between multivariate normal distributions"; used on
network features by Heusel et al. 2017 (FID, arXiv 1706.08500). Its value falls as N grows, so N
belongs beside it, and the value of real clips against other real clips.

    d² = |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½

The usual code takes a square root of the nonsymmetric Σ₁Σ₂, which with fewer clips than features
has no good one (hence the ε on its diagonal and the dropped imaginary part). Here each covariance
is factored, Σ = F Fᵀ, by its symmetric eigen-decomposition, and the last trace is the sum of the
singular values of F₁ᵀ F₂: no roots of small noise, no ε, never imaginary, and right for covariances
of any rank.
"""

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.features import FeatureMetric, Moments


def frechet_distance(
    mean1: np.ndarray, cov1: np.ndarray, mean2: np.ndarray, cov2: np.ndarray
) -> float:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians: what FID and FVD print.

    Args:
        mean1, mean2: `(D,)`.
        cov1, cov2: `(D, D)`, symmetric, positive semidefinite; of any rank.

    Returns:
        d² as told above, at least 0.

    Raises:
        VgzooError: shapes that do not fit, NaN or infinite values, or no covariance.

    Example:

    >>> frechet_distance([0, 0], np.eye(2), [3, 4], 4 * np.eye(2))  # 25 + 2 (2 - 1)²
    27.0
    """
    mean1, cov1, mean2, cov2 = (np.asarray(a, "float64") for a in (mean1, cov1, mean2, cov2))
    width = mean1.size
    shapes = mean1.shape, cov1.shape, mean2.shape, cov2.shape
    if shapes != ((width,), (width, width)) * 2:
        came = ", ".join(map(str, shapes))
        raise VgzooError(f"means and covariances of shapes {came} came; wanted (D,), (D, D) twice")
    if not all(np.isfinite(a).all() for a in (mean1, cov1, mean2, cov2)):
        raise VgzooError("a mean or covariance holds NaN or infinite values; wanted numbers")
    factor1, factor2 = _factor(cov1), _factor(cov2)
    cross = np.linalg.svd(factor1.T @ factor2, compute_uv=False).sum()
    shift = mean1 - mean2
    return float(max(0.0, shift @ shift + np.trace(cov1) + np.trace(cov2) - 2 * cross))


def _factor(cov: np.ndarray) -> np.ndarray:
    """F `(D, rank)` with F Fᵀ = cov."""
    values, vectors = np.linalg.eigh((cov + cov.T) / 2)
    # What rounding leaves of an eigenvalue 0; its square root would be no longer small.
    noise = len(cov) * np.finfo("float64").eps * np.abs(values).max(initial=0)
    if values.min(initial=0) < -1e-6 * np.abs(values).max(initial=0):
        raise VgzooError(f"a covariance has the eigenvalue {values.min():.3g}; wanted none below 0")
    kept = values > noise
    return vectors[:, kept] * np.sqrt(values[kept])


@keras.saving.register_keras_serializable("vgzoo")
class FrechetDistance(FeatureMetric):
    """Fréchet distance between the real and the generated features seen so far; less is better.

    Only a count, a mean and a covariance (divided by N - 1) of each set are kept.

    Args:
        name: of the metric.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> metric = FrechetDistance()
    >>> for _ in range(4):
    ...     metric.update_state(rng.normal(0, 1, (500, 8)), rng.normal(1, 1, (500, 8)))
    >>> metric.counts, round(metric.result())  # |μ₁ - μ₂|² = 8
    ((2000, 2000), 8)
    """

    keep = Moments

    def __init__(self, name: str = "frechet_distance"):
        super().__init__(name)

    def distance(self) -> float:
        return frechet_distance(*self.real.gaussian(), *self.generated.gaussian())
