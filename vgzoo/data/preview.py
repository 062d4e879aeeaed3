"""Contact sheets: what a dataset looks like, at one glance."""

import os
from pathlib import Path

import numpy as np

from vgzoo import video
from vgzoo.data.clips import clips


def preview(
    name: str,
    out: str | os.PathLike | None = None,
    *,
    split: str = "train",
    count: int = 8,
    **options,
) -> Path:
    """Writes a contact sheet of the first clips of a dataset.

    Args:
        name: as in `clips`.
        out: where to: a `.png`, a row of frames for each clip, or a moving file, a tile for each.
            By default `<name>.png`, here.
        split: as in `clips`.
        count: how many clips.
        options: any others of `clips`: frames, size, seed, start, …

    Returns:
        The path of the sheet.

    Raises:
        DataError: as `clips` does.
        VideoError: as `vgzoo.write` does.
    """
    batch = next(iter(clips(name, split, batch_size=count, count=count, **options)))
    path = Path(f"{Path(name).name}.png" if out is None else out)
    return video.write(path, np.asarray(batch["clip"]))
