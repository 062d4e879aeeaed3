"""Whether things keep constant speed and bounce, as the digits of Moving MNIST do.

A path is compared with every path that the published procedure can give (`vgzoo.data.motion`): the
best of all starts and directions is sought by weighted least squares, twice more without the places
that were far off, and what counts in the end is how many frames lie near it. Speed is part of the
procedure: a digit that keeps a wrong speed is not on any of these paths.
"""

import functools

import numpy as np

from vgzoo.data import motion

ANGLES = 240  # directions tried, a multiple of 4
STARTS = 73  # starting places tried along an axis, half a pixel from one to the next
NEAR = 5.0  # pixels: what lies further off the fitted path does not pull at it
CHUNK = 512  # series at a time


@functools.lru_cache(maxsize=4)
def _table(frames: int) -> np.ndarray:
    """Paths along one axis, float32 `(ANGLES / 2 + 1, STARTS, T)`: directions from -90° to 90°."""
    quarter = ANGLES // 4
    angle = 2 * np.pi * np.arange(-quarter, quarter + 1) / ANGLES
    start = np.linspace(0, 1, STARTS)
    shape = (len(angle), STARTS)
    starts = np.stack([np.broadcast_to(start, shape), np.full(shape, 0.5)], axis=-1)
    directions = np.broadcast_to(angle[:, None], shape)
    return motion.trajectory(starts, directions, frames)[..., 0].astype("float32")


def distance(tracks: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How far things are from the nearest path that keeps constant speed and bounces.

    Args:
        tracks: `(…, T, 2)`, top and left edge of 28×28 pixels in a 64×64 frame.
        seen: bool `(…, T)`, frames in which the place is known.

    Returns:
        float32 `(…, T)` in pixels; infinite where the place is not known.
    """
    *outer, frames, _ = tracks.shape
    tracks = np.asarray(tracks, "float32").reshape(-1, frames, 2)
    seen = np.asarray(seen, bool).reshape(-1, frames)
    far = np.empty(seen.shape, "float32")
    for first in range(0, len(tracks), CHUNK):
        part = slice(first, first + CHUNK)
        weight = seen[part].astype("float32")
        for _ in range(3):
            fitted = _fit(tracks[part], weight)
            off = np.linalg.norm(fitted - tracks[part], axis=-1)
            weight = (seen[part] & (off <= NEAR)).astype("float32")
        far[part] = np.where(seen[part], off, np.inf)
    return far.reshape(*outer, frames)


def _fit(tracks: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The path of least weighted squared distance, `(N, T, 2)`, for each of `(N, T, 2)`."""
    frames = tracks.shape[1]
    table = _table(frames)
    flat = table.reshape(-1, frames)
    cost, which = [], []
    for axis in (0, 1):
        values = weight * tracks[..., axis]
        # Σ w (z - p)², less Σ w z², which is the same for all paths.
        squared = (weight @ (flat * flat).T - 2 * values @ flat.T).reshape(-1, *table.shape[:2])
        which.append(squared.argmin(axis=2))
        cost.append(squared.min(axis=2))
    # Of a direction, the sine moves things down and the cosine across.
    quarter = ANGLES // 4
    turn = np.arange(ANGLES)
    sine = quarter - np.abs((turn - quarter + 2 * quarter) % ANGLES - 2 * quarter) + quarter
    down, across = sine, np.roll(sine, -quarter)
    best = (cost[0][:, down] + cost[1][:, across]).argmin(axis=1)
    rows = np.arange(len(tracks))
    paths = [
        table[line[best], which[axis][rows, line[best]]] for axis, line in ((0, down), (1, across))
    ]
    return np.stack(paths, axis=-1)
