"""Clips to write, and what tests of files look at."""

import subprocess
import sys

import numpy as np

from vgzoo.video import write

MOVING = (".mp4", ".webm", ".gif", ".webp")


def smooth(frames=6, height=28, width=28, channels=1, shift=3):
    """A soft blob that moves: content that a lossy codec should keep well."""
    y, x = np.mgrid[:height, :width]
    clip = [
        [
            230 * np.exp(-((y - height / 2) ** 2 + (x - 5 - shift * t - 4 * c) ** 2) / 40)
            for c in range(channels)
        ]
        for t in range(frames)
    ]
    return np.moveaxis(np.array(clip), 1, -1).astype(np.uint8)


def write_films(folder, count: int, seed: int, frames: int = 9):
    """Films of soft blobs that fly straight, each its own way; returns the folder."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:64, :64]
    times = range(-(frames // 2), frames - frames // 2)
    for i in range(count):
        y, x, dy, dx = *rng.uniform(20, 44, 2), *rng.uniform(-3, 3, 2)
        far = [(rows - y - dy * t) ** 2 + (columns - x - dx * t) ** 2 for t in times]
        film = 255 * np.exp(-np.stack(far) / (2 * rng.uniform(3, 8) ** 2))
        write(folder / f"{i}.mp4", film[..., None].astype("uint8"), scale=1)
    return folder


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def error_of(stored, clip, scale):
    """Mean difference between what a file shows and the clip, enlarged."""
    wanted = clip.repeat(scale, 1).repeat(scale, 2).astype(int)
    assert stored.shape[:3] == wanted.shape[:3]
    return np.abs(stored - wanted).mean()


def only_file(folder):
    """The one file there: no temporary file was left."""
    (path,) = folder.iterdir()
    return path


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )
