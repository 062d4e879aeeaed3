"""What edits are told of a clip beside its pixels, and clips too long for memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class When(NamedTuple):
    """Where in its clip a window begins, the clip's length if it is not the window, its rate."""

    start: int = 0
    total: int | None = None
    fps: float | None = None


WHOLE = When()


class Sound(NamedTuple):
    """Which part of a file's sound goes with the frames: from `start` to `end` seconds, None to
    its end, `tempo` times as fast."""

    start: float = 0.0
    end: float | None = None
    tempo: float = 1.0


@dataclass
class Footage:
    """A clip too long for memory: its chunks can be had again and again, from the first.

    Args:
        frames: how many there are.
        fps: frames a second.
        chunks: gives a new iterator over uint8 (n, H, W, C).
        sound: the part of the file's sound that fits; None: none does.
    """

    frames: int
    fps: float
    chunks: Callable[[], Iterator[np.ndarray]]
    sound: Sound | None = Sound()
