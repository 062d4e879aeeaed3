"""Starts the backend without TensorFlow's chatter on the command line's screen.

TensorFlow's first messages are written by C++ straight to file descriptor 2, before any log level
is looked at, so the descriptor itself is held back while TensorFlow starts, and what is no chatter
is written afterwards. Whoever sets `TF_CPP_MIN_LOG_LEVEL` gets everything as it comes.
"""

import contextlib
import faulthandler
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_HEAD = re.compile(r"(?:([IWEF])\d{4} \d\d:|WARNING: All log messages before absl)")
_NO_DRIVER = "Could not find cuda drivers"


def start_backend() -> None:
    """Imports Keras and has TensorFlow, if that is the backend, take its first look around."""
    if _LEVEL in os.environ:
        return
    # From here on what goes wrong is raised. The log's errors are of optimisations that TensorFlow
    # tries on a graph and does without.
    os.environ[_LEVEL] = "3"
    with _held_back():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            # Without a driver the first look for a GPU is reported as an error.
            tf.config.list_physical_devices("GPU")


def without_chatter(log: str) -> str:
    """The lines of TensorFlow's log that tell of errors, and those that are no log at all.

    A failed look for a GPU is no error on a machine that has no driver for one.
    """
    kept, keep = [], True
    for line in log.splitlines(keepends=True):
        if head := _HEAD.match(line):
            keep = head[1] in ("E", "F") and not (_NO_DRIVER in log and "cuInit" in line)
        if keep:  # a line without a head belongs to the one before it
            kept.append(line)
    return "".join(kept)


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    sys.stderr.flush()
    screen = os.dup(2)
    # What is held back is lost if the process crashes: then at least the place is told.
    tell_crash = not faulthandler.is_enabled()
    if tell_crash:
        faulthandler.enable(screen)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        keep = str  # everything
        try:
            yield
            keep = without_chatter
        finally:
            sys.stderr.flush()
            if tell_crash:
                faulthandler.disable()
            os.dup2(screen, 2)
            os.close(screen)
            held.seek(0)
            sys.stderr.write(keep(held.read().decode(errors="replace")))
