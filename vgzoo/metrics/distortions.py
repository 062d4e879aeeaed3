"""Clips made worse by known amounts: what a judge has to notice.

Each kind has growing levels. A clip's randomness depends on the seed and on its number alone.
"""

import numpy as np

from vgzoo import random
from vgzoo.errors import VgzooError

LEVELS: dict[str, tuple[float, ...]] = {
    "blur": (0.5, 1, 2, 4),  # standard deviation of a Gaussian, in pixels
    "noise": (8, 16, 32, 64),  # standard deviation of a Gaussian, in steps of 1/255
    "shuffle": (0.25, 0.5, 0.75, 1),  # share of the frames that change places
    "freeze": (0.25, 0.5, 0.75, 1),  # share of the clip, at its end, that stands still
    "jitter": (1, 2, 4, 8),  # pixels by which a frame may be off, in both directions
    "speed": (1.25, 1.5, 2, 3),  # times the right speed
}


def frames_needed(frames: int) -> int:
    """Frames of the clips that `distort` makes `frames` of, at every level."""
    return int(np.ceil((frames - 1) * max(LEVELS["speed"]))) + 1


def distort(
    clips: np.ndarray, kind: str, level: float, *, frames: int, seed: int = 0, start: int = 0
) -> np.ndarray:
    """Clips, made worse.

    Args:
        clips: uint8 `(B, T, H, W, C)`, T at least `frames`, and long enough for the speed asked.
        kind: of `LEVELS`.
        level: how much; those of `LEVELS` are tried, others are possible.
        frames: length of what is returned.
        seed: of what is random.
        start: number of the first clip.

    Returns:
        uint8 `(B, frames, H, W, C)`.

    Raises:
        VgzooError: an unknown kind, or clips that are too short.

    Example:

    >>> still = distort(np.arange(4, dtype="uint8").reshape(1, 4, 1, 1, 1), "freeze", 0.5, frames=4)
    >>> still.ravel().tolist()
    [0, 1, 1, 1]
    """
    if kind not in LEVELS:
        raise VgzooError(f"no distortion {kind!r}; there are: {', '.join(LEVELS)}")
    needed = int(np.round((frames - 1) * (level if kind == "speed" else 1))) + 1
    if clips.shape[1] < needed:
        raise VgzooError(
            f"clips of {clips.shape[1]} frames came; {kind} {level:g} of {frames} needs {needed}"
        )
    if kind == "speed":
        return clips[:, np.round(np.arange(frames) * level).astype(int)]
    clips = clips[:, :frames]
    if kind == "blur":
        return blurred(clips, level)
    if kind == "noise":
        drawn = random.normal_rows(seed, start, len(clips), clips.shape[1:])
        return np.clip(np.round(clips + level * drawn), 0, 255).astype("uint8")
    if kind == "freeze":
        held = np.minimum(np.arange(frames), max(0, frames - 1 - round(level * frames)))
        return clips[:, held]
    if kind == "shuffle":
        return _shuffled(clips, level, seed, start)
    return _jittered(clips, int(level), seed, start)


def blurred(clips: np.ndarray, sigma: float) -> np.ndarray:
    """Frames after a Gaussian of `sigma` pixels; beyond the edge the edge goes on."""
    reach = int(np.ceil(3 * sigma))
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weight = (weight / weight.sum()).astype("float32")
    out = np.empty_like(clips)
    for i, clip in enumerate(clips):
        x = clip.astype("float32")
        for axis in (1, 2):
            pad = [(reach, reach) if a == axis else (0, 0) for a in range(x.ndim)]
            padded, size = np.pad(x, pad, mode="edge"), x.shape[axis]
            x = sum(
                w * np.take(padded, np.arange(j, j + size), axis=axis) for j, w in enumerate(weight)
            )
        out[i] = np.round(x)
    return out


def independent_pixels(clips: np.ndarray, seed: int = 0) -> np.ndarray:
    """Clips whose every pixel is that of another clip at the same place and time.

    Each pixel has exactly the right distribution, and none has anything to do with its neighbours.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    flat = clips.reshape(len(clips), -1)
    out = np.empty_like(flat)
    for first in range(0, flat.shape[1], 4096):
        part = slice(first, first + 4096)
        out[:, part] = rng.permuted(flat[:, part], axis=0)
    return out.reshape(clips.shape)


def _shuffled(clips: np.ndarray, share: float, seed: int, start: int) -> np.ndarray:
    """Frames drawn at random go each to the next one's place: none of them stays."""
    batch, frames = clips.shape[:2]
    chosen = np.argsort(random.uniform_rows(seed, start, batch, frames), axis=1)
    chosen = chosen[:, : round(share * frames)]
    order = np.tile(np.arange(frames), (batch, 1))
    np.put_along_axis(order, chosen, np.roll(chosen, 1, axis=1), axis=1)
    return clips[np.arange(batch)[:, None], order]


def _jittered(clips: np.ndarray, reach: int, seed: int, start: int) -> np.ndarray:
    """Each frame moved by whole pixels; what comes in repeats the edge."""
    batch, frames, height, width, _ = clips.shape
    drawn = random.uniform_rows(seed, start, batch, 2 * frames).reshape(batch, frames, 2)
    moves = np.floor(drawn * (2 * reach + 1)).astype(int) - reach
    rows = np.clip(np.arange(height) + moves[..., :1], 0, height - 1)
    columns = np.clip(np.arange(width) + moves[..., 1:], 0, width - 1)
    b, t = np.ogrid[:batch, :frames]
    return clips[b[..., None, None], t[..., None, None], rows[..., None], columns[..., None, :]]
