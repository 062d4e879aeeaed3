"""From a name to a model, and back: `load`, `resolve`, `save`, `push`.

A name is looked for among the bundled models, then as a folder; `hf://owner/name[@revision]` is
looked for in the Hugging Face cache, then on the Hub. Wherever it comes from, a weights folder
passes the same checks (`vgzoo._folder`) before a model is built from it.
"""

import contextlib
import json
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from vgzoo import _folder, _remote, _schema, _tensors, card, models, registry
from vgzoo.errors import HubError, UnknownModelError, VgzooError

if TYPE_CHECKING:
    from vgzoo.models.base import VideoModel

# What a model was loaded from: its config, and the groups of tensors not read yet. Kept beside the
# model, not in it, so that Keras tracks none of it.
_configs: "WeakKeyDictionary[VideoModel, dict]" = WeakKeyDictionary()
_pending: "WeakKeyDictionary[VideoModel, dict[str, Callable[[], None]]]" = WeakKeyDictionary()

_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*", re.ASCII)
_UNSAID = "unspecified"


def resolve(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Path:
    """A local weights folder whose files are verified: schema, sizes, sha256.

    Args:
        name: a bundled model's name, a folder, or `"hf://owner/name[@revision]"`.
        revision: branch, tag or commit id of a Hub repository.
        cache_dir: the client's cache; `HF_HUB_CACHE` or its default if None.
        local_files_only: take from the cache or fail, without a look at the network.
        token: for private repositories; the stored one if None.

    Raises:
        UnknownModelError: nothing has that name; the message names the near ones.
        HubError: the folder or the repository cannot be had, or is refused.
    """
    folder, _, _ = _locate(name, revision, cache_dir, local_files_only, token)
    return folder


def load(
    name: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    dtype: str | None = None,
) -> "VideoModel":
    """A built model with trained weights.

    Arguments and errors are those of `resolve`, and:

    Args:
        dtype: a Keras dtype policy ("float32", "mixed_bfloat16", …); the global one if None.

    Example:

    >>> import vgzoo
    >>> model = vgzoo.load("r3gan-mnist")
    >>> model.generate(16, seed=0).dtype
    dtype('uint8')
    """
    folder, config, label = _locate(name, revision, cache_dir, local_files_only, token)
    if dtype is not None:
        _check_policy(dtype)
    try:
        model = models.build(config["arch"], dtype=dtype, **config["kwargs"])
    except Exception as error:
        # The kwargs are a stranger's: whatever the constructor makes of them is a refusal.
        raise HubError(
            f"{label}: {config['arch']} refuses its kwargs ({_folder.first_line(error)}); "
            "load another revision, or write the folder again with vgzoo.save"
        ) from error
    groups = model.tensor_groups()
    wanted = {_schema.TENSOR_FILES[group] for group in groups}
    for extra in sorted(config["tensors"].keys() - wanted):
        raise HubError(f"{label}: {config['arch']} has no use for {extra}; save it again")
    stored = config.get("dtype", "float32")
    _tensors.fill(groups.pop("model"), folder / _schema.TENSOR_FILES["model"], stored, label)
    pending = {}
    for group, variables in groups.items():
        file = _schema.TENSOR_FILES[group]
        if file in config["tensors"]:
            pending[group] = _tensors.Later(variables, folder / file, config, label)
            model.defer(group, pending[group])
    model.name = config["name"]
    _configs[model], _pending[model] = config, pending
    return model


def save(
    model: "VideoModel",
    folder: str | Path,
    *,
    name: str | None = None,
    dataset: str | None = None,
    license: dict[str, str] | str | None = None,
    fps: float | None = None,
    half: bool = False,
) -> Path:
    """Writes a weights folder: config, tensors, card.

    All of it is written beside the folder and moved there when it is whole. `metrics.json`,
    `train.json`, `golden.npz` and `sample.gif` of a folder that is already there stay, and so does
    a README that no longer has the line that marks a generated one. Fields that are not given are
    those that the model was loaded with, if it was.

    Args:
        model: any `VideoModel`.
        folder: a new folder, or an earlier weights folder to replace.
        name: the model's name; the folder's if None.
        dataset: what it was trained on.
        license: of `"code"`, `"weights"` and `"data"`; a plain string is that of the weights.
        fps: frames per second of its clips; 10 if nothing says otherwise.
        half: store float16 instead of float32.

    Returns:
        The folder's absolute path.

    Raises:
        HubError: values that are not finite, or too large for float16; a folder that holds
            something else; fields that are no valid config.
    """
    folder = Path(folder).expanduser().resolve()
    name = name or folder.name
    if not _NAME.fullmatch(name):
        raise HubError(f"{name!r} is no model name; take letters, digits, '-', '_' and '.'")
    _folder.refuse_foreign(folder)
    # A replaced folder may be the very one that these still have to be read from.
    for fill in _pending.get(model, {}).values():
        fill()
    before = _configs.get(model, {})
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    work.mkdir()
    try:
        for kept in (*_folder.COMPANIONS, "README.md"):
            if (folder / kept).is_file():
                shutil.copy(folder / kept, work / kept)
        tensors = {}
        for group, variables in model.tensor_groups().items():
            path = work / _schema.TENSOR_FILES[group]
            _tensors.write(path, variables, half)
            tensors[path.name] = _folder.file_entry(path)
        given = {"weights": license} if isinstance(license, str) else license or {}
        unsaid = dict.fromkeys(_schema.SCHEMA["license"], _UNSAID)
        config = {
            "format": _schema.FORMAT,
            "name": name,
            "arch": model.arch,
            "kwargs": model.get_config(),
            "family": model.family,
            "tasks": list(model.tasks),
            "dataset": dataset or before.get("dataset", _UNSAID),
            "clip": {**model.clip_spec, "fps": fps or before.get("clip", {}).get("fps", 10)},
            "params": _folder.count_params(work / _schema.TENSOR_FILES["model"], str(folder)),
            "license": unsaid | before.get("license", {}) | given,
            "tensors": tensors,
            "dtype": "float16" if half else "float32",
            "references": list(model.references),
        }
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
        (work / "config.json").write_text(text, encoding="utf-8")
        source = name if folder.parent == registry.weights_root() else f"./{folder.name}"
        (work / "README.md").write_text(card.of(work, source), encoding="utf-8")
        # What is refused when it is loaded must not be written.
        _folder.verify(work, label=str(folder))
        _folder.replace(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def push(
    source: "str | Path | VideoModel",
    repo_id: str,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    private: bool = False,
) -> str:
    """Commits a weights folder to the Hub, and makes the repository if there is none.

    The card is filled from config, metrics and recipe. A README that the repository already has
    stays as it is; files of a weights folder that it has and `source` has not are removed.

    Args:
        source: a weights folder, a bundled name, or a model.
        repo_id: `owner/name`.
        revision: the branch to commit to, made if it is not there; the default one if None.
        token: one that may write; the stored one if None.
        private: whether a repository that is made is private.

    Returns:
        The address of the commit.
    """
    _remote.check_repo_id(repo_id)
    with contextlib.ExitStack() as stack:
        if isinstance(source, str | Path):
            folder = resolve(source, token=token)
        else:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder = save(source, scratch / repo_id.partition("/")[2])
        config = _folder.read_config(folder)
        files: dict[str, bytes | Path] = {
            file: folder / file
            for file in ("config.json", *config["tensors"], *_folder.COMPANIONS)
            if (folder / file).is_file()
        }
        address = _remote.Address(repo_id, revision)
        files["README.md"] = card.of(folder, str(address)).encode()
        return _remote.upload(files, repo_id, revision=revision, token=token, private=private)


def _locate(
    name: str | Path,
    revision: str | None,
    cache_dir: str | Path | None,
    local_files_only: bool,
    token: str | bool | None,
) -> tuple[Path, dict, str]:
    """The verified folder, its config, and what messages call it."""
    address = _remote.parse(name, revision) if isinstance(name, str) else None
    if address is None:
        if revision is not None:
            raise HubError(f"{name} has no revisions; revision= goes with hf://owner/name")
        folder = _local(name)
        return folder, _folder.verify(folder), str(name)
    label = str(address)

    def fetch(force: bool) -> tuple[Path, dict, str]:
        folder = _remote.download(
            address,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            token=token,
            force=force,
        )
        # The cache keeps `snapshots/<commit>/<file>` as links to `blobs/<hash>`.
        return folder, _folder.verify(folder, root=folder.parents[1], label=label), label

    try:
        return fetch(force=False)
    except _folder.DamagedError as damage:
        if local_files_only or _remote.is_offline():
            raise HubError(
                f"{damage}: the cached copy is damaged, load once with the network on"
            ) from damage
    # A damaged copy in the cache must not fail every later load: fetch it once more, then judge.
    try:
        return fetch(force=True)
    except _folder.DamagedError as damage:
        raise HubError(
            f"{damage}: a fresh download is the same, so the repository itself is damaged; "
            "pin another revision or tell its owner"
        ) from damage


def _check_policy(dtype: str) -> None:
    from keras.dtype_policies import DTypePolicy

    try:
        DTypePolicy(dtype)
    except ValueError as error:
        wanted = "float32, bfloat16, mixed_bfloat16 or mixed_float16"
        raise VgzooError(f"dtype {dtype!r} is no Keras dtype policy; take {wanted}") from error


def _local(name: str | Path) -> Path:
    """The folder of a bundled name or of a path."""
    path = Path(name).expanduser()
    if isinstance(name, str) and _NAME.fullmatch(name):
        with contextlib.suppress(UnknownModelError):
            return registry.find(name)
    if name != "" and path.is_dir():
        return path
    if isinstance(name, Path) or path.is_absolute() or name.startswith((".", "~")):
        raise UnknownModelError(f"no folder {str(name)!r}; check the path")
    if "/" in name:
        raise UnknownModelError(
            f"no folder {name!r}; for a repository of the Hub write 'hf://{name}'"
        )
    return registry.find(name)
