"""What tests share: a tiny configuration for each architecture, and a small MNIST of strokes."""

from pathlib import Path

import numpy as np

TINY = {
    "r3gan": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "widths": (8, 8),
        "discriminator_widths": (8, 8),
        "content": 6,
        "motion": 4,
        "objects": 2,
        "waves": 4,
        "penalty_stride": 2,
    }
}


def strokes(count: int, seed: int = 0) -> np.ndarray:
    """Random pen strokes, uint8 `(count, 28, 28)`, with MNIST's black rim of four pixels."""
    rng = np.random.default_rng(seed)
    pen = 14 + np.cumsum(rng.normal(0, 1.5, (count, 40, 2)), axis=1)
    pen = np.clip(pen, 4, 22).astype(int)
    images = np.zeros((count, 28, 28), "uint8")
    for i, image in enumerate(images):
        y, x = pen[i].T
        for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
            image[y + dy, x + dx] = np.maximum(image[y + dy, x + dx], 255 - 60 * (dy + dx))
    return images


def write_mnist(folder: Path, train: int = 240, test: int = 60) -> Path:
    """A `mnist.npz` in the real file's format; returns the folder, for `VGZOO_DATA`."""
    x = strokes(train + test)
    y = (np.arange(train + test) % 10).astype("uint8")
    np.savez(
        folder / "mnist.npz", x_train=x[:train], y_train=y[:train], x_test=x[train:], y_test=y[train:]
    )
    return folder


def clip_batch(kwargs: dict, count: int = 4, seed: int = 0) -> np.ndarray:
    """A uint8 batch of random clips that a model with these constructor arguments trains on."""
    shape = (count, *(kwargs[k] for k in ("frames", "height", "width")), kwargs.get("channels", 1))
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def scramble(model, seed: int = 0, scale: float = 0.3) -> None:
    """Random weights everywhere, zero-initialised ones too: a model as if trained."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        deviation = 1 / np.sqrt(fan_in) if len(variable.shape) > 1 else scale
        variable.assign(rng.normal(0, deviation, variable.shape))
