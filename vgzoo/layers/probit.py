"""The normal distribution, exact far out in its tails too.

`erf` says 1 from 4 deviations on in single precision, where a rare pixel still has its place.
"""

import math

from keras import ops

_LEAST = 1e-30  # of probability
_TAIL = 0.02425
# Acklam's rational function of the root of -2 ln p, for p in the tail; to 1e-9.
_OVER = (
    -7.784894002430293e-03,
    -3.223964580411365e-01,
    -2.400758277161838,
    -2.549732539343734,
    4.374664141464968,
    2.938163982698783,
)
_UNDER = (7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996, 3.754408661907416, 1.0)
# erfc(x) = t exp(-x² + P(t)), t = 1 / (1 + x/2): "Numerical Recipes", 6.2; to 1.2e-7 of itself.
_ERFC = (
    0.17087277,
    -0.82215223,
    1.48851587,
    -1.13520398,
    0.27886807,
    -0.18628806,
    0.09678418,
    0.37409196,
    1.00002368,
    -1.26551223,
)


def quantile(below, above):
    """Where a standard normal variable has so much probability below and above it.

    Args:
        below, above: float32, of sum 1; the smaller one counts.
    """
    less = ops.clip(ops.minimum(below, above), _LEAST, 0.5)
    middle = math.sqrt(2) * ops.erfinv(1 - 2 * ops.maximum(less, _TAIL))
    root = ops.sqrt(-2 * ops.log(ops.minimum(less, _TAIL)))
    far = -_polynomial(_OVER, root) / _polynomial(_UNDER, root)
    value = ops.where(less < _TAIL, far, middle)
    return ops.where(below < above, -value, value)


def tails(value):
    """The inverse of `quantile`: the probabilities below and above a value."""
    x = ops.abs(value) / math.sqrt(2)
    t = 1 / (1 + 0.5 * x)
    less = 0.5 * t * ops.exp(-ops.square(x) + _polynomial(_ERFC, t))
    low = value < 0
    return ops.where(low, less, 1 - less), ops.where(low, 1 - less, less)


def _polynomial(coefficients, x):
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total
