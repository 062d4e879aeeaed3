"""Edits one after another, and edit lists: JSON that names them.

An edit list is data: names out of a closed set and their parameters. Nothing in it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras import ops

from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, Footage, When
from vgzoo.edit.registry import build, register
from vgzoo.errors import VgzooError
from vgzoo.layers.fusing import fused


@register("sequential")
class Sequential(Edit):
    """Edits one after another. Between them clips stay float, so that levels are lost once only.

    Args:
        edits: edits, or entries of an edit list.

    Example:
        >>> grade = Sequential([build("exposure", stops=0.5), {"edit": "invert"}])
        >>> [step["edit"] for step in grade.to_dict()["edits"]]
        ['exposure', 'invert']
    """

    def __init__(self, edits: Sequence[Edit | Mapping], **kwargs: Any) -> None:
        if isinstance(edits, str | Mapping) or not isinstance(edits, Sequence):
            raise VgzooError(f"a list of edits was wanted, {type(edits).__name__} came")
        super().__init__(edits=[from_dict(edit) for edit in edits], **kwargs)
        self.channels = self.edits[0].channels if self.edits else (1, 3)
        self.keeps_time = all(edit.keeps_time for edit in self.edits)
        self.fuses = all(edit.fuses for edit in self.edits)

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        for edit in self.edits:
            edit.check(clip.shape, "float32")

            def run(clip: Any, edit: Edit = edit, when: When = when) -> Any:
                return edit.run(clip, when)

            clip = fused(run, clip) if edit.fuses else run(clip)
            if not edit.keeps_time:
                when = When(0, None, when.fps)
        return clip

    @property
    def constant(self) -> Hashable:
        keys = tuple(edit.constant for edit in self.edits)
        return None if None in keys else keys

    def stream(self, footage: Footage) -> Footage:
        for edit in self.edits:
            footage = edit.stream(footage)
        return footage

    def host(self, clip: Any, when: When = WHOLE) -> Any:
        for edit in self.edits:
            edit.check(clip.shape, "uint8")
            clip = edit.host(clip, when)
            if not edit.keeps_time:
                when = When(0, None, when.fps)
        return ops.convert_to_numpy(clip)


def from_dict(entry: Edit | Mapping) -> Edit:
    """One entry of an edit list as the edit that it names."""
    if isinstance(entry, Edit):
        return entry
    if not isinstance(entry, Mapping) or "edit" not in entry:
        raise VgzooError(f'{str(entry)[:60]!r} is no edit; wanted {{"edit": name, …parameters}}')
    return build(entry["edit"], **{key: entry[key] for key in entry if key != "edit"})


def to_json(edit: Edit) -> str:
    """An edit, or the edits of a `Sequential`, as an edit list.

    Example:
        >>> from_json(to_json(build("exposure", stops=1))).edits[0].stops
        1.0
    """
    content = edit.to_dict()
    entries = content["edits"] if isinstance(edit, Sequential) else [content]
    lines = ",\n  ".join(json.dumps(entry) for entry in entries)
    return f'{{"edits": [\n  {lines}\n]}}\n'


def from_json(source: str | Path) -> Sequential:
    """The edits of an edit list.

    Args:
        source: its text, or the `Path` of a file: `{"edits": [{"edit": name, …parameters}, …]}`.

    Raises:
        VgzooError: no such file, no JSON, an unknown name or parameter, a value out of its range.
    """
    where = str(source) if isinstance(source, Path) else "the edit list"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
        content = json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise VgzooError(f"cannot read {where}: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise VgzooError(f"{where} is no JSON: {error}") from error
    if isinstance(content, dict):
        content = content.get("edits") if set(content) == {"edits"} else None
    if not isinstance(content, list):
        raise VgzooError(f'{where} holds no edits; wanted {{"edits": [{{"edit": name, …}}, …]}}')
    return Sequential(content)


def parse(text: str) -> Sequential:
    """The short form of the command line: `exposure=0.3 lut=film.cube crop=top:8,left:8 flip`.

    A value alone is the edit's first parameter; lists have semicolons: `curves=master:0;0.5;1`.

    Raises:
        VgzooError: as `from_json`.

    Example:
        >>> [edit.edit_name for edit in parse("exposure=0.3 invert").edits]
        ['exposure', 'invert']
    """
    import shlex

    from vgzoo.edit.registry import find, parameters

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise VgzooError(f"{text!r} has an open quote") from error
    edits = []
    for word in words:
        name, _, rest = word.partition("=")
        known = parameters(find(name))
        settings: dict[str, Any] = {}
        for index, part in enumerate(rest.split(",") if rest else []):
            key, colon, value = part.partition(":")
            if not colon:
                if index >= len(known):
                    raise VgzooError(f"{name} takes no value {part!r}; its name stands alone")
                key, value = known[index], part
            settings[key] = _literal(value)
        edits.append(build(name, **settings))
    if not edits:
        raise VgzooError("no edits came; name some, such as 'exposure=0.3 invert'")
    return Sequential(edits)


def _literal(text: str) -> Any:
    if ";" in text:
        return [_literal(part) for part in text.split(";")]
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
