"""Clips of any length through a causal coder, part after part, in constant memory.

The first part is the first frame; the later ones are as many frames as make whole steps of the
latent. What a part needs of those before it, the coder hands on.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from keras import ops

_CLIPS = 16  # coded at a time
_STEPS = 4  # of the latent, coded at a time
_PIXELS = 2**18  # of a frame, times steps: large frames go in smaller parts

Parts = Iterable[np.ndarray]  # (B, T, H, W, C) each
Code = Callable[[Parts], Iterator[np.ndarray]]


def carried(run: Callable, parts: Parts) -> Iterator[np.ndarray]:
    """Parts through `run`: `(part, kept) → (result, kept)`; `kept` is at first an empty dict."""
    kept: dict = {}
    for part in parts:
        made, kept = run(part, kept)
        yield ops.convert_to_numpy(made)


def of_clips(clips: np.ndarray, rate: int) -> Iterator[np.ndarray]:
    """Parts of clips of which `rate` frames make a step; the last is filled with the last frame."""
    yield clips[:, :1]
    size = rate * _steps(clips.shape[2] * clips.shape[3])
    for start in range(1, clips.shape[1], size):
        yield _filled(clips[:, start : start + size], rate)


def of_latents(latents: np.ndarray, rate: int) -> Iterator[np.ndarray]:
    """Parts of latents, of which each place stands for `rate`×`rate` pixels."""
    yield latents[:, :1]
    size = _steps(latents.shape[2] * latents.shape[3] * rate**2)
    for start in range(1, latents.shape[1], size):
        yield latents[:, start : start + size]


def coded(code: Code, of: Callable[..., Parts], clips: np.ndarray, rate: int) -> np.ndarray:
    """Clips, some at a time, through a coder of the parts that `of` makes of them."""
    batches = (clips[i : i + _CLIPS] for i in range(0, len(clips), _CLIPS))
    return np.concatenate([np.concatenate(list(code(of(b, rate))), axis=1) for b in batches])


def streamed(code: Code, frames: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    """The frames `(H, W, C)` of one clip through a coder of parts, no further ahead than a step."""
    counts: deque[int] = deque()

    def parts() -> Iterator[np.ndarray]:
        waiting: list[np.ndarray] = []
        size = 1
        for frame in frames:
            waiting.append(frame)
            if len(waiting) == size:
                counts.append(size)
                yield np.stack(waiting)[None]
                waiting, size = [], rate
        if waiting:
            counts.append(len(waiting))
            yield _filled(np.stack(waiting)[None], rate)

    for part in code(parts()):
        yield from part[0, : counts.popleft()]


def _steps(pixels: int) -> int:
    return max(1, min(_STEPS, _PIXELS // pixels))


def _filled(part: np.ndarray, rate: int) -> np.ndarray:
    missing = -part.shape[1] % rate
    return np.concatenate([part, *[part[:, -1:]] * missing], axis=1) if missing else part
