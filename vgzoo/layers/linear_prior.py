"""A linear-Gaussian prior over the latents of clips, of any length, fitted in closed form.

Natural frames are about stationary in space, so a cosine transform leaves hardly any correlation
between frequencies (Ahmed, Natarajan and Rao 1974). For each frequency the channels of one time
step follow, as a vector autoregression of order one, from those of the step before: one rule for
the first step, one for the second, since the first latent stands for one frame alone, and one for
all later ones. It knows colours, sizes of things and how fast they change, and no objects: a
baseline for what is generated from latents.
"""

import numpy as np
from keras import layers, ops

_RADIUS = 0.995  # of the largest eigenvalue of what carries a step over: longer clips stay bounded


class LinearPrior(layers.Layer):
    """Standard normal noise `(B, T, h, w, C)` → latents of that shape.

    Args:
        height, width, channels: of a latent.
    """

    def __init__(self, height: int, width: int, channels: int, **kwargs):
        super().__init__(trainable=False, **kwargs)
        self.height, self.width, self.channels = height, width, channels
        self.rows, self.columns = _cosines(height), _cosines(width)
        places = height * width
        for step in ("first", "second", "later"):
            # A mean, a factor of the covariance of what is new, and what the last step leaves.
            for kind, shape in (
                ("mean", (places, channels)),
                ("new", (places, channels, channels)),
                ("carry", (places, channels, channels)),
            ):
                if (step, kind) != ("first", "carry"):
                    weight = self.add_weight(
                        name=f"{step}_{kind}", shape=shape, initializer="zeros", trainable=False
                    )
                    setattr(self, f"{step}_{kind}", weight)
            getattr(self, f"{step}_new").assign(np.tile(np.eye(channels), (places, 1, 1)))

    def call(self, noise):
        noise = ops.cast(noise, "float32")
        steps = noise.shape[1]
        noise = ops.reshape(noise, (-1, steps, self.height * self.width, self.channels, 1))
        made = [self._new("first", noise[:, 0])]
        for t in range(1, steps):
            kind = "second" if t == 1 else "later"
            carried = ops.matmul(ops.cast(getattr(self, f"{kind}_carry"), "float32"), made[-1])
            made.append(self._new(kind, noise[:, t]) + carried)
        x = ops.reshape(ops.stack(made, axis=1), (-1, self.height, self.width * self.channels))
        x = ops.matmul(self.rows.T, x)
        x = ops.reshape(x, (-1, self.width, self.channels))
        x = ops.matmul(self.columns.T, x)
        return ops.reshape(x, (-1, steps, self.height, self.width, self.channels))

    def _new(self, kind: str, noise):
        new = ops.matmul(ops.cast(getattr(self, f"{kind}_new"), "float32"), noise)
        return new + ops.cast(getattr(self, f"{kind}_mean"), "float32")[..., None]

    def fit(self, latents: np.ndarray) -> None:
        """Fit by least squares.

        Args:
            latents: float `(N, T, h, w, C)`, T at least 3 for the rule of later steps.
        """
        n, steps = latents.shape[:2]
        x = np.einsum("yi,ntijc->ntyjc", self.rows, latents.astype("float64"), optimize=True)
        x = np.einsum("xj,ntyjc->ntyxc", self.columns, x, optimize=True)
        x = x.reshape(n, steps, -1, self.channels).transpose(2, 0, 1, 3)  # (places, N, T, C)
        mean, new = _gaussian(x[:, :, 0])
        self.first_mean.assign(mean)
        self.first_new.assign(new)
        pairs = {"second": (x[:, :, 0], x[:, :, 1])} if steps > 1 else {}
        if steps > 2:
            flat = (len(x), -1, self.channels)
            pairs["later"] = (x[:, :, 1:-1].reshape(flat), x[:, :, 2:].reshape(flat))
        for kind, (before, after) in pairs.items():
            carry = _regression(before, after)
            if kind == "later":
                radius = np.abs(np.linalg.eigvals(carry)).max(axis=-1)
                carry *= np.minimum(1, _RADIUS / np.maximum(radius, 1e-9))[:, None, None]
            left = after - np.einsum("pij,pnj->pni", carry, before)
            mean, new = _gaussian(left)
            for name, value in (("mean", mean), ("new", new), ("carry", carry)):
                getattr(self, f"{kind}_{name}").assign(value)


def _regression(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`(places, N, C)` twice → `(places, C, C)`, by which the first tells the second best."""
    before = before - before.mean(axis=1, keepdims=True)
    after = after - after.mean(axis=1, keepdims=True)
    own = np.einsum("pni,pnj->pij", before, before)
    own += 1e-4 * np.trace(own, axis1=1, axis2=2)[:, None, None] * np.eye(own.shape[-1]) + 1e-9
    cross = np.einsum("pni,pnj->pij", before, after)
    return np.linalg.solve(own, cross).transpose(0, 2, 1)


def _gaussian(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and a factor of the covariance of `(places, N, C)`."""
    mean = x.mean(axis=1)
    centred = x - mean[:, None]
    covariance = np.einsum("pni,pnj->pij", centred, centred) / max(1, x.shape[1] - 1)
    values, vectors = np.linalg.eigh(covariance)  # a channel may be constant: no Cholesky
    return mean, vectors * np.sqrt(np.maximum(values, 0))[:, None]


def _cosines(size: int) -> np.ndarray:
    """The orthonormal cosine transform (DCT-II): float32 `(size, size)`, a frequency a row."""
    k, n = np.arange(size)[:, None], np.arange(size)
    basis = np.sqrt(2 / size) * np.cos(np.pi / size * k * (n + 0.5))
    basis[0] /= np.sqrt(2)
    return basis.astype("float32")
