"""What is not known of frames, and in holes, made of what surrounds it: smooth, or a plane."""

import numpy as np
from keras import ops

_ROUNDS = 4  # of least squares, the first of which takes all for equally right
_OFF = 0.5  # distance from a plane at which a value counts half
_LEAST = 1e-2  # sum of weights, that is nothing


def completed(x, known, rounds: int = 0):
    """Values `(N, H, W, C)` with those that are not known, or less, made of the nearest that are.

    By pull and push (Gortler et al. 1996, "The lumigraph"): means of what is known at half the
    size, of which what is not known is made likewise, come back enlarged.

    Args:
        x: values.
        known: how far each is known, `(N, H, W, 1)` in [0, 1].
        rounds: how often, at each size, what is not known becomes the mean of what is around it.
            With some it is nearly as smooth as can be, a membrane.
    """
    x, (height, width) = ops.convert_to_tensor(x), x.shape[1:3]
    if min(height, width) < 2:
        count = ops.sum(known, axis=(1, 2), keepdims=True)
        mean = ops.sum(known * x, axis=(1, 2), keepdims=True) / (count + 1e-6)
        return mean + known * (x - mean)
    share = ops.average_pool(known, 2, strides=2, padding="same")
    half = ops.average_pool(known * x, 2, strides=2, padding="same") / (share + 1e-6)
    half = completed(half, ops.minimum(4 * share, 1.0), rounds)
    around = ops.image.resize(half, (height, width), data_format="channels_last")
    whole = around + known * (x - around)
    for _ in range(rounds):
        around = ops.average_pool(whole, 3, strides=1, padding="same")
        whole = around + known * (x - around)
    return whole


def planar(x, known):
    """Values `(N, H, W, C)` with those that are not known, or less, on a plane near most that are.

    By least squares, again and again with less weight for what is far off (Holland and Welsch
    1977, "Robust regression using iteratively reweighted least-squares"), so that what is one
    thing among others does not bend it.

    Args:
        x: values, those of one pixel near the plane or all off it: the motion of a camera.
        known: how far each is known, `(N, H, W, 1)` in [0, 1].
    """
    height, width = x.shape[1:3]
    down = np.linspace(-1, 1, height, dtype="float32")[:, None, None]
    across = np.linspace(-1, 1, width, dtype="float32")[:, None]
    slopes = [np.broadcast_to(slope, (1, height, width, 1)) for slope in (down, across)]

    def total(x):
        return ops.sum(x, axis=(1, 2), keepdims=True)

    weight = known
    for _ in range(_ROUNDS):
        done, plane = [], ops.zeros_like(x)
        for part in [ops.ones_like(known), *(ops.add(slope, 0 * known) for slope in slopes)]:
            for other, size in done:
                part = part - other * total(weight * part * other) / size
            size = total(weight * ops.square(part)) + _LEAST
            plane = plane + part * total(weight * part * x) / size
            done.append((part, size))
        off = ops.mean(ops.square(x - plane), axis=-1, keepdims=True)
        weight = known / (1 + off / _OFF**2)
    return plane + known * (x - plane)
