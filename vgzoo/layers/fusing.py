"""Functions of pixels compiled by XLA, where that pays: under TensorFlow, on a CPU.

There each operation is a pass over the clip, and XLA makes one of all: edits become two to fifteen
times as fast, and what is looked up along a motion five times. Not those that convolve, multiply
matrices or sort, which it makes slower. JAX compiles whole functions by itself, and a GPU has
memory fast enough.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import keras

_KEPT = 32  # functions, of which the oldest goes
_LARGE = 1 << 20  # numbers of a clip from which on compiling pays for one call
_functions: dict[Hashable, Any] = {}
_thread = threading.local()  # `.unfused`: whether what is asked for here is run as it is


def fused(run: Callable, *tensors: Any, key: Hashable = None, times: int = 1) -> Any:
    """`run(*tensors)`, as one operation inside a graph, or if it is large and has a key.

    Args:
        run: a function of tensors, without a state.
        *tensors: what it takes.
        key: that of a function which will be called again eagerly: two with one key and shapes
            have to be the same.
        times: how often that will be.
    """
    if keras.backend.backend() != "tensorflow" or getattr(_thread, "unfused", False):
        return run(*tensors)
    import tensorflow as tf

    if not tf.test.is_built_with_xla() or tf.config.list_physical_devices("GPU"):
        return run(*tensors)
    if not tf.executing_eagerly():
        return _compiled(run)(*tensors)
    if key is None or times * math.prod(tensors[0].shape) < _LARGE:
        return run(*tensors)
    key = (key, *((tuple(t.shape), t.dtype) for t in tensors))
    if key not in _functions:
        if len(_functions) == _KEPT:
            del _functions[next(iter(_functions))]
        _functions[key] = _compiled(run)
    return _functions[key](*tensors)


def _compiled(run: Callable) -> Callable:
    import tensorflow as tf

    def traced(*tensors: Any) -> Any:
        with unfused():  # what this calls becomes a part of it
            return run(*tensors)

    return tf.function(traced, jit_compile=True, autograph=False)


@contextlib.contextmanager
def unfused(size: int = 0) -> Iterator[None]:
    """Within it, `fused` runs functions operation by operation.

    Args:
        size: numbers that go through at a time; of very many functions are compiled as ever.
    """
    before = getattr(_thread, "unfused", False)
    _thread.unfused = before or size < _LARGE
    try:
        yield
    finally:
        _thread.unfused = before
