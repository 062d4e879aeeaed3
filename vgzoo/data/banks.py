"""Image banks: the still images that clips are made of, and the published clips.

Images come from the folder named by `VGZOO_DATA` if it is set, else from `tensorflow_datasets`,
which stores them in an order of its own. So they are put in order by a hash of their pixels: a
seed then means the same clips wherever the images came from. The published training part is
divided once and for all: its last twelfth in that order is the validation part (5,000 of MNIST's
60,000), so that train, validation and test never share an image.
"""

import functools
import hashlib
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from vgzoo.errors import DataError

SPLITS = ("train", "validation", "test")
SHAPES = {"mnist": (28, 28, 1)}
_HELD_OUT = 12  # one image of this many, at the end of the training part, is for validation

PUBLISHED = "mnist_test_seq.npy"  # https://www.cs.toronto.edu/~nitish/unsupervised_video/
PUBLISHED_SHA256 = "c2a3e8d3939c001ab77bf543f130157424efa486bb4d0974d2cebb773b13f8b3"


def images(name: str, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """One part of an image bank, read once for each process.

    Args:
        name: "mnist" (LeCun et al. 1998; grey, 28×28).
        split: "train" (55,000 images), "validation" (5,000) or "test" (10,000).

    Returns:
        Read-only arrays: uint8 images `(N, H, W, C)` and int32 labels `(N,)`.

    Raises:
        DataError: unknown name or split, or a source that is missing or damaged.
    """
    if name not in SHAPES:
        raise DataError(f"no image bank {name!r}; there are: {', '.join(SHAPES)}")
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; there are: {', '.join(SPLITS)}")
    published = "test" if split == "test" else "train"
    folder = os.environ.get("VGZOO_DATA")
    if folder:
        x, y = _from_folder(Path(folder), name, published)
    else:
        x, y = _from_tfds(name, published, os.environ.get("TFDS_DATA_DIR"))
    held_out = len(x) // _HELD_OUT
    if split == "train":
        return x[: len(x) - held_out], y[: len(x) - held_out]
    if split == "validation":
        return x[len(x) - held_out :], y[len(x) - held_out :]
    return x, y


def published_clips(path: str | Path | None = None) -> np.ndarray | None:
    """The published Moving MNIST test clips, if the user has them.

    Args:
        path: the file `mnist_test_seq.npy`; if None, the one in `VGZOO_DATA`, if there is one.

    Returns:
        uint8 `(20, 10000, 64, 64)`, left on the disk until a clip is read; None without a file.

    Raises:
        DataError: the file at `path` is missing, or is not the published one.
    """
    if path is None:
        folder = os.environ.get("VGZOO_DATA")
        if not folder or not (Path(folder) / PUBLISHED).is_file():
            return None
        path = Path(folder) / PUBLISHED
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} does not exist: give the path of {PUBLISHED}")
    status = path.stat()
    got = _sha256(path, status.st_size, status.st_mtime_ns)
    if got != PUBLISHED_SHA256:
        raise DataError(
            f"{path} is not the published {PUBLISHED} (sha256 {got[:12]}…, wanted "
            f"{PUBLISHED_SHA256[:12]}…): download it again, or remove it"
        )
    return np.load(path, mmap_mode="r", allow_pickle=False)


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, size: int, modified: int) -> str:
    """sha256 of a file; size and time are there so that a changed file is hashed anew."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@functools.lru_cache(maxsize=4)
def _from_folder(folder: Path, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    path = folder / f"{name}.npz"
    if not path.is_file():
        raise DataError(
            f"VGZOO_DATA={folder} holds no {path.name}: put it there, or unset VGZOO_DATA"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            x, y = file[f"x_{split}"], file[f"y_{split}"]
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path} is no image bank ({error}): it needs x_{split} and y_{split}"
        ) from error
    return _checked(path, name, x, y)


@functools.lru_cache(maxsize=4)
def _from_tfds(name: str, split: str, data_dir: str | None) -> tuple[np.ndarray, np.ndarray]:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{name} comes from tensorflow_datasets, which is not installed: install it, or set "
            f"VGZOO_DATA to a folder with {name}.npz"
        ) from error
    batch = tfds.as_numpy(tfds.load(name, split=split, batch_size=-1, data_dir=data_dir))
    return _checked("tensorflow_datasets", name, batch["image"], batch["label"])


def _checked(source, name: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bank as every caller sees it: in order, with a channel axis, int32 labels, read-only."""
    shape = SHAPES[name]
    if x.dtype != np.uint8 or x.shape[1:] not in (shape, shape[:2]) or x.shape[:1] != y.shape:
        raise DataError(
            f"{source}: {name} must be uint8 images of {shape[0]}×{shape[1]} pixels with one label "
            f"each, got {x.dtype} {x.shape} and labels {y.shape}"
        )
    if len(x) < _HELD_OUT:
        raise DataError(f"{source}: {name} needs at least {_HELD_OUT} images, got {len(x)}")
    keys = [hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(x)]
    order = sorted(range(len(x)), key=lambda i: (keys[i], y[i]))
    x, y = x[order].reshape(-1, *shape), y[order].astype("int32")
    x.flags.writeable = y.flags.writeable = False
    return x, y
