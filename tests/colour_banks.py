"""Small banks of colour images, in the real files' formats."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

PARTS = {"train": 36, "test": 14}
SPLITS = {"train": 33, "validation": 3, "test": 14}  # what this makes of them


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colour images, each another one, uint8 `(count, height, width, 3)`."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 5, 5, 3), "uint8")
    return np.stack([np.asarray(Image.fromarray(s).resize((width, height), 2)) for s in small])


def jpeg(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "jpeg", quality=90)
    return file.getvalue()


def write_cifar10(folder: Path) -> None:
    arrays = {}
    for seed, (part, count) in enumerate(PARTS.items()):
        arrays[f"x_{part}"] = pictures(count, 32, 32, seed)
        arrays[f"y_{part}"] = (np.arange(count) % 10).astype("uint8")
    np.savez(folder / "cifar10.npz", **arrays)


def write_imagenette(folder: Path) -> dict[str, list[bytes]]:
    arrays, files = {}, {}
    for seed, (part, count) in enumerate({"train": PARTS["train"], "val": PARTS["test"]}.items()):
        files[part] = [jpeg(p) for p in pictures(count, 96, 96, seed)]
        arrays[f"x_{part}_jpeg"] = np.frombuffer(b"".join(files[part]), "uint8")
        arrays[f"x_{part}_offsets"] = np.cumsum([0, *map(len, files[part])])
        arrays[f"y_{part}"] = (np.arange(count) % 10).astype("uint8")
    np.savez(folder / "imagenette96.npz", **arrays)
    return files
