"""A Keras 3 model zoo for video: one name gives a trained network that makes clips.

Names are imported when they are first used, so `import vgzoo` costs nothing until a model is
loaded.

Example:

>>> import vgzoo
>>> vgzoo.list_models("no-such-*")
[]
"""

import importlib

TYPE_CHECKING = False  # as type checkers know it; importing `typing` costs more than all else here
if TYPE_CHECKING:
    from vgzoo import data, edit, models, train
    from vgzoo.errors import VgzooError
    from vgzoo.hub import load, push, save
    from vgzoo.registry import info, list_models
    from vgzoo.video import read, show, write

__version__ = "0.1.0"

_HOME = {
    "VgzooError": "errors",
    "info": "registry",
    "list_models": "registry",
    "load": "hub",
    "push": "hub",
    "read": "video",
    "save": "hub",
    "show": "video",
    "write": "video",
}

__all__ = [
    "VgzooError",
    "data",
    "edit",
    "info",
    "list_models",
    "load",
    "models",
    "push",
    "read",
    "save",
    "show",
    "train",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vgzoo' has no attribute {name!r}")
    if name not in _HOME:
        return importlib.import_module(f"vgzoo.{name}")
    value = getattr(importlib.import_module(f"vgzoo.{_HOME[name]}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
