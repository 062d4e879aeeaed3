"""A weights folder before any backend sees it: its files, its schema, its hashes.

A folder may come from anyone, so it is read as data only: JSON and safetensors, a closed set of
file names, nothing that executes. Every refusal is one line that says what came and what to do.
"""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open

from vgzoo import models
from vgzoo._schema import FORMAT, TENSOR_FILES, problem
from vgzoo.errors import HubError

# What surrounds the weights and outlives a new `save`.
COMPANIONS = ("metrics.json", "train.json", "golden.npz", "sample.gif", "curves.png", "log.csv")
FILES = ("config.json", *TENSOR_FILES.values(), "README.md", *COMPANIONS)

CONFIG_LIMIT = 1 << 20  # bytes; a real one has about a thousand
PICKLES = {
    ".pkl",
    ".pickle",
    ".joblib",
    ".pt",
    ".pth",
    ".bin",
    ".ckpt",
    ".h5",
    ".hdf5",
    ".keras",
    ".pb",
}


class DamagedError(HubError):
    """The bytes are not those that the config was written for; a fresh copy may mend it."""


def verify(folder: Path, *, root: Path | None = None, label: str | None = None) -> dict:
    """The config of a weights folder, after every check that needs no backend.

    Args:
        folder: the weights folder.
        root: where links of the folder may lead (the Hub's cache keeps its files in a sibling
            folder); the folder itself if None.
        label: how messages call the folder; its path if None.

    Raises:
        HubError: the folder is missing, unsafe, or not as its config says.
    """
    label = label or str(folder)
    if folder.is_dir():
        refuse_pickles([path.name for path in folder.iterdir()], label)
    _refuse_links(folder, root or folder, label)
    config = read_config(folder, label=label)
    validate_config(config, folder, label=label)
    return config


def refuse_pickles(names: list[str], label: str) -> None:
    """Raises HubError if one of the file names is of a kind that runs code when it is read."""
    for name in sorted(names):
        if Path(name).suffix.lower() in PICKLES:
            raise HubError(
                f"{label}: holds {name!r}, a kind of file that can run code when read; remove it, "
                "a weights folder keeps its tensors in .safetensors only"
            )


def read_config(folder: Path, *, label: str | None = None) -> dict:
    """`config.json` as a dictionary of plain values, its fields not yet checked."""
    label = label or str(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise HubError(f"{label}: no config.json, so no weights folder; make one with vgzoo.save")
    size = path.stat().st_size
    if size > CONFIG_LIMIT:
        raise HubError(
            f"{label}: config.json has {size} bytes, at most {CONFIG_LIMIT} are read; "
            "write it again with vgzoo.save"
        )
    try:
        config = json.loads(
            path.read_bytes().decode("utf-8"), parse_constant=_finite, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise DamagedError(
            f"{label}: config.json is no JSON ({first_line(error)}); get a fresh copy of it"
        ) from error
    if not isinstance(config, dict):
        raise HubError(
            f"{label}: config.json holds a {type(config).__name__}, wanted an object; "
            "write it again with vgzoo.save"
        )
    return config


def validate_config(config: dict, folder: Path, *, label: str | None = None) -> None:
    """Checks a config against the schema and against the tensor files beside it.

    Recomputes size, sha256 and parameter count, so nothing in it can be stale.

    Raises:
        HubError: a missing, unknown, ill-typed or stale field.
    """
    label = label or str(folder)
    version = config.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise HubError(
            f"{label}: written in format {version}, this vgzoo reads up to {FORMAT}; "
            "`pip install -U vgzoo`"
        )
    if wrong := problem(config):
        raise HubError(f"{label}: {wrong}; write it again with vgzoo.save")
    if config["arch"] not in models.architectures():
        known = ", ".join(models.architectures())
        raise HubError(
            f"{label}: unknown arch {config['arch']!r:.60}, this vgzoo has {known}; "
            "`pip install -U vgzoo` if it is newer"
        )
    for name, entry in config["tensors"].items():
        check_file(folder / name, entry, label)
    params = count_params(folder / TENSOR_FILES["model"], label)
    if params != config["params"]:
        raise HubError(
            f"{label}: config.json says {config['params']} params, model.safetensors has {params}; "
            "write it again with vgzoo.save"
        )


def tensor_header(path: Path, label: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and dtype ("F32", "I64", …) of each tensor of a safetensors file."""
    try:
        with safe_open(path, framework="np") as file:
            parts = {key: file.get_slice(key) for key in file.keys()}
            return {key: (tuple(p.get_shape()), p.get_dtype()) for key, p in parts.items()}
    except SafetensorError as error:
        raise DamagedError(
            f"{label}: {path.name} is no safetensors file ({first_line(error)}); "
            "get a fresh copy of it"
        ) from error


def count_params(path: Path, label: str) -> int:
    """How many numbers the tensors of a safetensors file hold."""
    return sum(math.prod(shape) for shape, _ in tensor_header(path, label).values())


def check_file(path: Path, entry: dict, label: str) -> None:
    """Raises HubError unless the file is there with the size and sha256 of its entry."""
    if not path.is_file():
        raise HubError(f"{label}: {path.name} is missing; get the whole folder")
    size = path.stat().st_size
    if size != entry["size"]:
        kind = "truncated" if size < entry["size"] else "too long"
        raise DamagedError(
            f"{label}: {path.name} is {kind} ({size} bytes, config.json says {entry['size']}); "
            "get a fresh copy of it"
        )
    found = file_entry(path)["sha256"]
    if found != entry["sha256"]:
        raise DamagedError(
            f"{label}: {path.name} has sha256 {found[:12]}…, config.json says "
            f"{entry['sha256'][:12]}…; get a fresh copy of it"
        )


def file_entry(path: Path) -> dict:
    """The `tensors` entry of a file: its sha256 in hex and its size in bytes."""
    with path.open("rb") as file:
        return {"sha256": _sha256(file), "size": path.stat().st_size}


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its kind if it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _sha256(file) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _refuse_links(folder: Path, root: Path, label: str) -> None:
    root = root.resolve()
    for name in FILES:
        path = folder / name
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            raise HubError(
                f"{label}: {name} is a link to outside the folder; put the file itself there"
            )
        if path.exists() and not path.is_file():
            raise HubError(f"{label}: {name} is no regular file; put a file there")


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{text} is no finite number")
    return float(text)


def refuse_foreign(folder: Path) -> None:
    """Raises HubError if replacing the folder would lose something that is no part of one."""
    if folder.exists() and not folder.is_dir():
        raise HubError(f"{folder} is a file; choose another folder")
    foreign = {p.name for p in folder.iterdir()} - set(FILES) if folder.is_dir() else ()
    if foreign:
        raise HubError(
            f"{folder} holds {min(foreign)!r}, which is no part of a weights folder and would be "
            "lost; choose another folder"
        )


def replace(work: Path, folder: Path) -> None:
    """Puts a whole folder where perhaps an older one is; at no time is there half of one."""
    if not folder.exists():
        os.rename(work, folder)
        return
    old = folder.with_name(f"{work.name}.old")
    os.rename(folder, old)
    try:
        os.rename(work, folder)
    except OSError:
        os.rename(old, folder)
        raise
    shutil.rmtree(old)
