"""Image banks: the still images that clips are made of, and the published clips.

Images come from the folder named by `VGZOO_DATA` if it is set, else from `tensorflow_datasets`,
which stores them in an order of its own. So they are put in order by a hash of their pixels: a
seed then means the same clips wherever the same pixels came from. (The two sources of Imagenette
were scaled from its photographs differently, so there a seed means other clips.)

The published training part is divided once and for all: its last twelfth in that order is the
validation part (5,000 of MNIST's 60,000). Equal images stay together, and one that the test part
has too is left out, so that train, validation and test never share an image. Near duplicates, of
which CIFAR-10 has some (Barz and Denzler 2020, arXiv 1902.00423), stay where they were published.
"""

import functools
import hashlib
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from vgzoo.errors import DataError

SPLITS = ("train", "validation", "test")
_HELD_OUT = 12  # one image of this many, at the end of the training part, is for validation
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Bank:
    """What is known of a bank before it is read."""

    shape: tuple[int, int, int]  # of an image
    classes: tuple[str, ...]  # what labels 0, 1, … mean
    file: str  # in VGZOO_DATA
    tfds: str
    encoded: bool = False  # images are JPEG files, to be cut to the shape
    test: dict[str, str] = field(default_factory=lambda: {"file": "test", "tfds": "test"})


BANKS = {
    "mnist": Bank((28, 28, 1), tuple("0123456789"), "mnist.npz", "mnist"),
    "cifar10": Bank(
        (32, 32, 3),
        tuple("airplane automobile bird cat deer dog frog horse ship truck".split()),
        "cifar10.npz",
        "cifar10",
    ),
    "imagenette": Bank(
        (96, 96, 3),
        ("tench", "English springer", "cassette player", "chain saw", "church")
        + ("French horn", "garbage truck", "gas pump", "golf ball", "parachute"),
        "imagenette96.npz",
        "imagenette/160px-v2",
        encoded=True,
        test={"file": "val", "tfds": "validation"},
    ),
}

PUBLISHED = "mnist_test_seq.npy"  # https://www.cs.toronto.edu/~nitish/unsupervised_video/
PUBLISHED_SHA256 = "c2a3e8d3939c001ab77bf543f130157424efa486bb4d0974d2cebb773b13f8b3"


def images(name: str, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """One part of an image bank, read once for each process.

    Args:
        name: "mnist" (LeCun et al. 1998; grey, 28×28), "cifar10" (Krizhevsky 2009; 32×32) or
            "imagenette" (Howard 2019; ten classes of ImageNet, the middle square at 96×96).
        split: "train" (55,000, 45,834 or 8,680 images), "validation" (5,000, 4,166 or 789) or
            "test" (10,000, 10,000 or 3,925; as many as `VGZOO_DATA` has).

    Returns:
        Read-only arrays: uint8 images `(N, H, W, C)` and int32 labels `(N,)`.

    Raises:
        DataError: unknown name or split, or a source that is missing or damaged.
    """
    if name not in BANKS:
        raise DataError(f"no image bank {name!r}; there are: {', '.join(BANKS)}")
    if split not in SPLITS:
        raise DataError(f"no split {split!r}; there are: {', '.join(SPLITS)}")
    if split == "test":
        return _published(name, "test")[:2]
    x, y, keys = _published(name, "train")
    cut = len(x) - len(x) // _HELD_OUT
    while cut > 0 and keys[cut - 1] == keys[cut]:
        cut -= 1
    part = slice(cut) if split == "train" else slice(cut, None)
    x, y, keys = x[part], y[part], keys[part]
    tested = set(_published(name, "test")[2])
    if tested.intersection(keys):
        fresh = [key not in tested for key in keys]
        x, y = _frozen(x[fresh], y[fresh])
    if not len(x):
        raise DataError(f"{name} has no image for {split} that is not in its test part too")
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


def _published(name: str, part: str) -> tuple[np.ndarray, np.ndarray, list[bytes]]:
    """Images, labels and hashes of a published part, "train" or "test", in the bank's order."""
    if folder := os.environ.get("VGZOO_DATA"):
        return _from_folder(Path(folder), name, part)
    return _from_tfds(name, part, os.environ.get("TFDS_DATA_DIR"))


@functools.lru_cache(maxsize=2 * len(BANKS))
def _from_folder(folder: Path, name: str, part: str) -> tuple:
    bank = BANKS[name]
    path = folder / bank.file
    if not path.is_file():
        raise DataError(
            f"VGZOO_DATA={folder} holds no {path.name}: put it there, or unset VGZOO_DATA"
        )
    part = bank.test["file"] if part == "test" else part
    names = [f"x_{part}_jpeg", f"x_{part}_offsets"] if bank.encoded else [f"x_{part}"]
    names.append(f"y_{part}")
    try:
        with np.load(path, allow_pickle=False) as file:
            *x, y = (file[n] for n in names)
    except (*_DAMAGE, KeyError, ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path} is no image bank ({error}): it needs {' and '.join(names)}"
        ) from error
    if bank.encoded:
        data, ends = x
        if ends.shape != (len(y) + 1,) or data.dtype != np.uint8:
            raise DataError(f"{path}: {names[1]} must be uint8 files end to end, one label a file")
        if ends[0] != 0 or ends[-1] != len(data) or (np.diff(ends) <= 0).any():
            raise DataError(f"{path}: {names[1]} do not fit the {len(data)} bytes of {names[0]}")
        files = (data[a:b].tobytes() for a, b in zip(ends, ends[1:], strict=False))
        return _checked(path, name, _decoded(path, files, bank.shape[0]), y)
    return _checked(path, name, x[0], y)


@functools.lru_cache(maxsize=2 * len(BANKS))
def _from_tfds(name: str, part: str, data_dir: str | None) -> tuple:
    bank = BANKS[name]
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            f"{name} comes from tensorflow_datasets, which is not installed: install it, or set "
            f"VGZOO_DATA to a folder with {bank.file}"
        ) from error
    source = "tensorflow_datasets"
    options = {"split": bank.test["tfds"] if part == "test" else part, "data_dir": data_dir}
    if bank.encoded:
        # The files as they are: every image is decoded by the same library, and has its own size.
        options["decoders"] = {"image": tfds.decode.SkipDecoding()}
    else:
        options["batch_size"] = -1
    try:
        rows = tfds.as_numpy(tfds.load(bank.tfds, **options))
        rows = list(rows) if bank.encoded else rows
    except Exception as error:  # a download can fail in many ways
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{source} cannot give {bank.tfds} ({reason}): mend that, or set VGZOO_DATA to a "
            f"folder with {bank.file}"
        ) from error
    if not bank.encoded:
        return _checked(source, name, rows["image"], rows["label"])
    x = _decoded(source, (row["image"] for row in rows), bank.shape[0])
    return _checked(source, name, x, np.array([row["label"] for row in rows]))


def _decoded(source: Path | str, files: Iterable[bytes], side: int) -> np.ndarray:
    """Encoded pictures as uint8 `(N, side, side, 3)`: the middle square, bicubically resized."""
    pictures = []
    for i, content in enumerate(files):
        try:
            with Image.open(io.BytesIO(content)) as file:
                picture = file.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise DataError(
                f"{source}: file {i} is no picture, or damaged: get it again"
            ) from error
        if picture.size != (side, side):
            least = min(picture.size)
            left, top = ((s - least) / 2 for s in picture.size)
            box = (left, top, left + least, top + least)
            picture = picture.resize((side, side), Image.Resampling.BICUBIC, box)
        pictures.append(np.asarray(picture))
    return np.stack(pictures) if pictures else np.empty((0, side, side, 3), "uint8")


def _checked(source: Path | str, name: str, x: np.ndarray, y: np.ndarray) -> tuple:
    """The part as every caller sees it: in order, with a channel axis, int32 labels, read-only."""
    shape, classes = BANKS[name].shape, BANKS[name].classes
    shapes = (shape, shape[:2]) if shape[-1] == 1 else (shape,)
    if x.dtype != np.uint8 or x.shape[1:] not in shapes or x.shape[:1] != y.shape:
        raise DataError(
            f"{source}: {name} must be uint8 images of {shape[0]}×{shape[1]} pixels with one label "
            f"each, got {x.dtype} {x.shape} and labels {y.shape}"
        )
    if len(x) < _HELD_OUT:
        raise DataError(f"{source}: {name} needs at least {_HELD_OUT} images, got {len(x)}")
    if not np.isin(y, range(len(classes))).all():
        raise DataError(f"{source}: labels of {name} must be 0 to {len(classes) - 1}")
    keys = [hashlib.blake2b(image, digest_size=16).digest() for image in np.ascontiguousarray(x)]
    order = sorted(range(len(x)), key=lambda i: (keys[i], y[i]))
    x, y = _frozen(x[order].reshape(-1, *shape), y[order].astype("int32"))
    return x, y, [keys[i] for i in order]


def _frozen(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    for array in arrays:
        array.flags.writeable = False
    return arrays
