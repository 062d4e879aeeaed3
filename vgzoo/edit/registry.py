"""Edits by their names: what edit lists and the command line say."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from vgzoo.edit._near import near
from vgzoo.errors import VgzooError

if TYPE_CHECKING:
    from vgzoo.edit.base import Edit

_REGISTRY: dict[str, type[Edit]] = {}


def register(name: str) -> Callable[[type], type]:
    """Gives an edit its name in edit lists and on the command line."""

    def add(kind: type) -> type:
        kind.edit_name = name
        _REGISTRY[name] = kind
        return keras.saving.register_keras_serializable("vgzoo.edit")(kind)

    return add


def names() -> list[str]:
    """The names of all edits, sorted."""
    return sorted(_REGISTRY)


def find(name: str) -> type[Edit]:
    """The class behind a name.

    Raises:
        VgzooError: there is none; the message names the near ones.
    """
    if not isinstance(name, str) or name not in _REGISTRY:
        raise VgzooError(f"no edit {name!r}; {near(str(name), _REGISTRY)}")
    return _REGISTRY[name]


def parameters(kind: type[Edit]) -> list[str]:
    """The names of an edit's own parameters, in order."""
    found = inspect.signature(kind.__init__).parameters.values()
    return [p.name for p in found if p.name != "self" and p.kind is not p.VAR_KEYWORD]


def build(name: str, **settings: Any) -> Edit:
    """An edit by its name.

    Raises:
        VgzooError: no such edit or parameter, with the near ones, or a value out of its range.

    Example:
        >>> build("exposure", stops=1).stops
        1.0
    """
    kind = find(name)
    known = parameters(kind)
    for key in settings:
        if key not in known and not kind.open_ended:
            raise VgzooError(f"{name} has no parameter {key!r}; {near(key, known)}")
    try:
        return kind(**settings)
    except TypeError as error:  # a parameter without a default is missing, or of a wild type
        raise VgzooError(f"{name}: {error}; its parameters are {', '.join(known)}") from error
