"""Frames at another size, as products with matrices, as OpenCV has them."""

import numpy as np


def matrix(old: int, new: int, method: str) -> np.ndarray:
    """How much of each old row is in each new one.

    Args:
        old, new: how many there are.
        method: "nearest", "linear", "cubic", or "area": means over what a row covers.

    Returns:
        float32 `(new, old)`.
    """
    step = old / new
    if method == "area" and step > 1:
        edges = np.arange(new + 1) * step
        upper = np.minimum(edges[1:, None], np.arange(old) + 1)
        lower = np.maximum(edges[:-1, None], np.arange(old))
        return (np.maximum(upper - lower, 0) / step).astype("float32")
    weights = np.zeros((new, old))
    rows = np.arange(new)
    if method == "nearest":
        weights[rows, np.minimum((rows * step).astype(int), old - 1)] = 1
        return weights.astype("float32")
    place = (rows + 0.5) * step - 0.5
    left = np.floor(place).astype(int)
    t = place - left
    if method == "cubic":  # Keys's kernel with a = -0.75
        a = -0.75
        parts = [(((a * d - 5 * a) * d + 8 * a) * d - 4 * a) for d in (t + 1, 2 - t)]
        near = [(((a + 2) * d - (a + 3)) * d * d + 1) for d in (t, 1 - t)]
        taps = zip((-1, 0, 1, 2), (parts[0], *near, parts[1]), strict=True)
    else:
        taps = zip((0, 1), (1 - t, t), strict=True)
    for offset, part in taps:
        np.add.at(weights, (rows, np.clip(left + offset, 0, old - 1)), part)
    return weights.astype("float32")
