"""Training by recipe."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vgzoo.train.recipes import names
    from vgzoo.train.trainer import train

__all__ = ["names", "train"]
_MODULES = {"names": "vgzoo.train.recipes", "train": "vgzoo.train.trainer"}


def __getattr__(name: str):
    # Only when asked for: `vgzoo.train.hosts` has to run before a backend is imported.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_MODULES[name]), name)
