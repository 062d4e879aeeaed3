"""The models that come with the package: what they are, read from their `config.json` alone.

Standard library only, so that listing costs milliseconds and never imports a backend. Everything
that touches tensors is in `vgzoo.hub`.
"""

import difflib
import json
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from vgzoo.errors import HubError, UnknownModelError

Patterns = str | Iterable[str]


def weights_root() -> Path:
    """The folder of bundled weights: inside an installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "_weights"
    return installed if installed.is_dir() else package.parent / "weights"


def list_models(
    pattern: Patterns = "*",
    *,
    family: Patterns | None = None,
    task: Patterns | None = None,
    dataset: Patterns | None = None,
    pretrained: bool | None = None,
    exclude: Patterns | None = None,
) -> list[str]:
    """Names of the bundled models, in natural order (`x-2` before `x-10`).

    Args:
        pattern: a name, a wildcard such as `"*mnist*"`, or several of them; any may match.
        family: "gan", "vae", "flow", "forecaster", "editor", a wildcard, or several.
        task: as `family`; a model with at least one matching task is listed.
        dataset: as `family`.
        pretrained: True for entries whose weights are there, False for those without, None for
            both.
        exclude: names or wildcards to leave out.

    Example:
        >>> from vgzoo.registry import list_models
        >>> list_models("no-such-*")
        []
    """
    names = []
    for name, folder in _folders().items():
        if not _matches([name], pattern) or (exclude and _matches([name], exclude)):
            continue
        config = _read_json(folder / "config.json")
        has_weights = (folder / "model.safetensors").is_file()
        if pretrained is not None and pretrained != has_weights:
            continue
        asked = ((family, [config.get("family")]), (task, config.get("tasks")))
        asked += ((dataset, [config.get("dataset")]),)
        if all(wanted is None or _matches(have or [], wanted) for wanted, have in asked):
            names.append(name)
    return sorted(names, key=_natural)


def info(name: str) -> dict:
    """Everything known about a bundled model, read from its JSON files.

    Returns:
        The fields of `config.json`, and `metrics` (the content of `metrics.json`, or None),
        `source` ("bundled") and `size_bytes` (all tensor files together).

    Raises:
        UnknownModelError: no bundled model has that name; the message names the near ones.
    """
    folder = find(name)
    config = _read_json(folder / "config.json")
    metrics = folder / "metrics.json"
    return {
        **config,
        "metrics": _read_json(metrics) if metrics.is_file() else None,
        "source": "bundled",
        "size_bytes": sum(entry["size"] for entry in config.get("tensors", {}).values()),
    }


def find(name: str) -> Path:
    """The folder of a bundled model.

    Raises:
        UnknownModelError: no bundled model has that name; the message names the near ones.
    """
    folders = _folders()
    # Looked up among the names that exist, never joined to a path: "../x" finds nothing.
    if name not in folders:
        raise UnknownModelError(
            f"no model named {name!r}{suggestion(name)}; `vgzoo list` shows all of them"
        )
    return folders[name]


def suggestion(name: str) -> str:
    """`", did you mean 'a' or 'b'?"` for a name close to bundled ones, else an empty string."""
    folders = _folders()
    lowered = {known.lower(): known for known in folders}
    near = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.5)
    near += [known for known in lowered if name.lower() in known and known not in near]
    quoted = " or ".join(repr(lowered[known]) for known in near[:3])
    return f", did you mean {quoted}?" if quoted else ""


def _folders() -> dict[str, Path]:
    return {path.parent.name: path.parent for path in weights_root().glob("*/config.json")}


def _read_json(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError(f"{path} is not JSON ({error}); reinstall vgzoo") from error
    if not isinstance(content, dict):
        raise HubError(f"{path} holds no JSON object; reinstall vgzoo")
    return content


def _matches(values: Iterable[str], patterns: Patterns) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else list(patterns)
    return any(fnmatchcase(str(v).lower(), p.lower()) for v in values for p in patterns)


def _natural(name: str) -> list:
    # Split on digits, every second part is a number: "x-10" → ["x-", 10, ""].
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name.lower())]
