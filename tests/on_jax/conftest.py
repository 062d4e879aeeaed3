"""These run under JAX, in an environment that has no TensorFlow.

    KERAS_BACKEND=jax pytest tests/on_jax

The folder is not called `jax`: with `tests` on the path, `import jax` would find it.
"""

import os
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `tiny`
collect_ignore_glob = [] if os.environ.get("KERAS_BACKEND") == "jax" else ["*"]

# Models of one configuration share what XLA compiled for the first of them.
compiled = tempfile.TemporaryDirectory(prefix="vgzoo-xla-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled.name


@pytest.fixture(autouse=True)
def quick_to_compile(request, monkeypatch):
    """Compiling takes most of the time here: as little as will do, in processes of a test too.

    Not where a model is large, or where long forecasts show how two batches are rounded.
    """
    if any(word in request.node.name for word in ("golden", "depend")):
        yield
        return
    import jax

    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """`VGZOO_DATA`, with a small MNIST of strokes."""
    from tiny import write_mnist

    monkeypatch.setenv("VGZOO_DATA", str(write_mnist(tmp_path)))
    return tmp_path
