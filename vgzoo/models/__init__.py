"""The architectures: one file each, named as the registry names it."""

import importlib
import pkgutil
from typing import TYPE_CHECKING

from vgzoo.errors import UnknownModelError

if TYPE_CHECKING:
    from vgzoo.models.base import VideoModel


def architectures() -> tuple[str, ...]:
    """Names of all architectures, from the files of this folder; imports none of them."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(name for name in names if name != "base" and not name.startswith("_"))


def model_class(arch: str) -> "type[VideoModel]":
    """The class of an architecture.

    Raises:
        UnknownModelError: no file of that name.
    """
    if arch not in architectures():
        known = ", ".join(architectures())
        raise UnknownModelError(f"unknown architecture {arch!r}; this version has: {known}")
    return importlib.import_module(f"vgzoo.models.{arch}").MODEL


def build(arch: str, *, dtype: str | None = None, **kwargs) -> "VideoModel":
    """A built model with random weights.

    Args:
        arch: one of `architectures()`.
        dtype: a Keras dtype policy ("float32", "mixed_bfloat16", "bfloat16"); the global one
            if None.
        **kwargs: the architecture's constructor arguments.
    """
    cls = model_class(arch)
    import keras

    before = keras.config.dtype_policy()
    try:
        if dtype is not None:
            keras.config.set_dtype_policy(dtype)
        return cls(**kwargs)
    finally:
        keras.config.set_dtype_policy(before)


__all__ = ["architectures", "build", "model_class"]
