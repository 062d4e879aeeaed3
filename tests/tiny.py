"""What tests share: a tiny configuration for each architecture, and a small MNIST of strokes."""

from pathlib import Path

import numpy as np

TINY = {
    "r3gan": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "widths": (8,),
        "features": 2,
        "discriminator_widths": (8, 8),
        "content": 6,
        "motion": 4,
        "objects": 2,
        "waves": 4,
        "penalty_stride": 2,
    },
    "mocogan": {
        "frames": 10,
        "height": 16,
        "width": 16,
        "widths": [8, 6],
        "discriminator_widths": [6, 6],
        "content": 5,
        "motion": 3,
    },
    "causalvae": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "channels": 3,
        "widths": (4, 6, 8),
        "encoder_blocks": (1, 1, 1),
        "decoder_blocks": (1, 1, 1),
        "latent": 2,
    },
    "svg": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "context": 3,
        "filters": 8,
        "blocks": 1,
        "hidden": 8,
        "latent": 3,
        "reach": 4,
        "detail": 4,
    },
    "tarflow": {
        "frames": 3,
        "height": 8,
        "width": 8,
        "patch": 4,
        "features": 8,
        "heads": 2,
        "shallow": (1, 1),
        "deep": 1,
        "window": 2,
        "recall": 1,
        "patches": 3,
        "reach": 1,
    },
    "glow": {
        "frames": 3,
        "height": 8,
        "width": 8,
        "levels": 2,
        "steps": 2,
        "filters": 8,
        "prior_filters": 8,
    },
    "predformer": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "context": 3,
        "patch": 4,
        "filters": 6,
        "blocks": 1,
        "features": 12,
        "heads": 2,
        "quadruplets": 1,
    },
    "convlstm": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "context": 3,
        "hidden": [6, 5],
        "kernel": 3,
    },
    "rflow": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "patch": 2,
        "widths": [8, 8],
        "blocks": [1, 1],
        "features": 12,
        "heads": 2,
        "depth": 1,
        "sprite": 8,
        "context": 3,
        "steps": 4,
        "leaps": 2,
    },
    "restorer": {
        "frames": 13,
        "height": 16,
        "width": 16,
        "channels": 3,
        "motion_widths": [6, 6, 6],
        "motion_blocks": [1, 1, 1],
        "widths": [6, 8, 8],
        "blocks": [1, 1, 1],
        "style": 6,
    },
    "digit_reader": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "digit": 8,
        "stem": 4,
        "filters": 6,
        "blocks": 1,
    },
    "clip_encoder": {
        "frames": 6,
        "height": 16,
        "width": 16,
        "channels": 3,
        "stem": 4,
        "widths": (4, 6, 8),
        "head": 8,
        "contents": 5,
        "motions": 4,
    },
}


def recipe(arch: str, kwargs: dict, dataset: str, *, stage: dict, peak: float = 1e-3) -> dict:
    """A recipe of one stage, with two epochs at most."""
    return {
        "arch": arch,
        "kwargs": kwargs,
        "dataset": dataset,
        "seed": 1,
        "dtype": "float32",
        "stages": [stage],
        "learning_rate": {"peak": peak, "warmup_steps": 0, "final": 1e-3},
        "ema_momentum": 0.5,
        "epoch_steps": min(stage["steps"], 10),
        "sample_epochs": 1,
        "fps": 8,
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
        folder / "mnist.npz",
        x_train=x[:train],
        y_train=y[:train],
        x_test=x[train:],
        y_test=y[train:],
    )
    return folder


def clip_batch(kwargs: dict, count: int = 4, seed: int = 0) -> np.ndarray:
    """A uint8 batch of random clips that a model with these constructor arguments trains on."""
    shape = (count, *(kwargs[k] for k in ("frames", "height", "width")), kwargs.get("channels", 1))
    return np.random.default_rng(seed).integers(0, 256, shape, "uint8")


def training_batch(arch: str, kwargs: dict, count: int = 4, seed: int = 0):
    """What a model of an architecture trains on: random clips and, for a judge, their truth."""
    clip = clip_batch(kwargs, count, seed)
    rng = np.random.default_rng(seed)
    if arch == "digit_reader":
        room = kwargs.get("height", 64) - kwargs.get("digit", 28)
        path = rng.integers(0, room + 1, (count, 2, clip.shape[1], 2)).astype("int32")
        return {"clip": clip, "label": rng.integers(0, 10, (count, 2), "int32"), "path": path}
    if arch == "rflow":
        path = rng.integers(0, 9, (count, 2, clip.shape[1], 2), "int32")
        return {"clip": clip, "label": rng.integers(0, 10, (count, 2), "int32"), "path": path}
    if arch == "clip_encoder":
        content = np.eye(kwargs.get("contents", 30), dtype="float32")[np.arange(count) % 5]
        motion = rng.normal(size=(count, 3, kwargs.get("motions", 16))).astype("float32")
        return {"clip": clip, "content": content, "motion": motion, "known": motion * 0 + 1}
    return clip


def shown(model, n: int = 2, seed: int = 0) -> np.ndarray:
    """What a model is there for: the clips that it makes, or what a judge sees in some."""
    if "generate" in model.tasks:
        frames = min(model.frames, 2) if model.small_steps else None  # which takes long
        steps = 2 if "steps" in model.options else None
        return model.generate(n, seed=seed, frames=frames, steps=steps)
    if "forecast" in model.tasks:
        return model.forecast(clip_batch(model.clip_spec, n), seed=seed)
    if model.family == "editor":
        clips = clip_batch(model.clip_spec, n, seed)[:, :3]
        return model.edit(clips, method="superresolve", factor=2)
    return model.features(clip_batch(model.clip_spec, n, seed))


def scramble(model, seed: int = 0, scale: float = 0.3) -> None:
    """Random weights everywhere, zero-initialised ones too: a model as if trained."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        fan_in = max(1, int(np.prod(variable.shape[:-1])))
        deviation = 1 / np.sqrt(fan_in) if len(variable.shape) > 1 else scale
        # Of a flow's levels: as different as in pictures. Speeds count twentyfold.
        if variable.name in ("logits", "codebook", "speeds"):
            deviation = scale / 30
        centre = variable.name == "gamma"
        variable.assign(rng.normal(centre, deviation, variable.shape))


def openstl(bank, *, seed: int, count: int, frames: int, digits: int = 2) -> dict[str, np.ndarray]:
    """Moving MNIST by OpenSTL's procedure, one digit, frame and coordinate at a time.

    Only where its random numbers come from is this zoo's: four in [0, 1) for a digit, which are
    its number in the bank, y, x and direction.
    """
    from vgzoo import random

    images, labels = bank
    table = random.uniform_rows(seed, 0, count, 4 * digits)
    data = np.zeros((count, frames, 64, 64), "uint8")
    path = np.zeros((count, digits, frames, 2), "int32")
    label = np.zeros((count, digits), "int32")
    for n in range(count):
        for d in range(digits):
            which, y, x, turn = (float(u) for u in table[n, 4 * d : 4 * d + 4])
            which, theta = int(which * len(images)), turn * 2 * np.pi
            v_y, v_x = np.sin(theta), np.cos(theta)
            label[n, d] = labels[which]
            for t in range(frames):
                y += v_y * 0.1
                x += v_x * 0.1
                if x <= 0:
                    x, v_x = 0.0, -v_x
                if x >= 1.0:
                    x, v_x = 1.0, -v_x
                if y <= 0:
                    y, v_y = 0.0, -v_y
                if y >= 1.0:
                    y, v_y = 1.0, -v_y
                top, left = int(36 * y), int(36 * x)
                path[n, d, t] = top, left
                window = data[n, t, top : top + 28, left : left + 28]
                np.maximum(window, images[which][..., 0], out=window)
    return {"clip": data[..., None], "path": path, "label": label}
