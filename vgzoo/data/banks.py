"""Image banks: the still images that clips are made of.

Images come from the folder named by `VGZOO_DATA` if it is set, else from `tensorflow_datasets`.
The published training part is divided once and for all: its last images are the validation part,
so that train, validation and test never share an image.
"""

import functools
import os
from pathlib import Path

import numpy as np

from vgzoo.errors import DataError

SPLITS = ("train", "validation", "test")
_HELD_OUT = {"mnist": 5000}  # images at the end of the training part that are for validation


@functools.cache
def images(name: str, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """One part of an image bank.

    Args:
        name: "mnist" (LeCun et al. 1998; grey, 28×28).
        split: "train" (55,000 images), "validation" (5,000) or "test" (10,000).

    Returns:
        uint8 images `(N, H, W, C)` and int32 labels `(N,)`.

    Raises:
        DataError: unknown name or split, or a source that is missing or damaged.
    """
    if name not in _HELD_OUT:
        raise DataError(f"no image bank {name!r}; there are: {', '.join(_HELD_OUT)}")
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; there are: {', '.join(SPLITS)}")
    published = "test" if split == "test" else "train"
    folder = os.environ.get("VGZOO_DATA")
    x, y = _from_folder(Path(folder), name, published) if folder else _from_tfds(name, published)
    x = x.reshape(*x.shape[:3], -1)
    if split == "train":
        return x[: -_HELD_OUT[name]], y[: -_HELD_OUT[name]]
    if split == "validation":
        return x[-_HELD_OUT[name] :], y[-_HELD_OUT[name] :]
    return x, y


def _from_folder(folder: Path, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise DataError(f"VGZOO_DATA={folder} holds no {path.name}: put it there, or unset VGZOO_DATA")
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = file[f"x_{split}"], file[f"y_{split}"]
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is no image bank ({error}): it needs x_{split} and y_{split}") from error
    if x.dtype != np.uint8 or len(x) != len(y) or len(x) == 0:
        raise DataError(f"{path}: x_{split} must be uint8 with one label each, got {x.dtype} {x.shape}")
    return x, y.astype("int32")


def _from_tfds(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{name} comes from tensorflow_datasets, which is not installed: install it, or set "
            f"VGZOO_DATA to a folder with {name}.npz"
        ) from error
    batch = tfds.as_numpy(tfds.load(name, split=split, batch_size=-1))
    return batch["image"], batch["label"].astype("int32")
