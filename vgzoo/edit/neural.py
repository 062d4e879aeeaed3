"""Edits by a trained network: what was lost is put back, from each frame and those around it.

They take frames of any size, larger ones in tiles, and on files keep no more than a window of
frames. All go through one model of the zoo, `vgzoo.models.restorer`, which is loaded when the first
clip comes.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from vgzoo import video
from vgzoo.edit.base import Edit
from vgzoo.edit.footage import WHOLE, Footage, When
from vgzoo.edit.registry import register
from vgzoo.edit.sequential import Sequential
from vgzoo.errors import VgzooError
from vgzoo.layers.carrying import REACH
from vgzoo.layers.steadying import TIMES

MODEL = "restorer-imagenette"
_TILE = 256


@functools.lru_cache(maxsize=2)
def _loaded(name: str) -> Any:
    from vgzoo import hub

    # In a thread of its own, where neither the name nor the graph of the layer that calls counts.
    with ThreadPoolExecutor(1) as thread:
        model = thread.submit(hub.load, name, dtype="float32").result()
    if model.family != "editor":
        raise VgzooError(f"model={name!r} edits no frames; its family is {model.family}")
    return model


class Neural(Edit):
    """The base of edits by a restorer.

    A subclass says in `method` which of its tasks it is.
    """

    method = ""
    context = 2
    fuses = False

    def __init__(self, model: str = MODEL, tile: int = _TILE, **settings: Any) -> None:
        super().__init__(**settings, model=model, tile=tile)
        if isinstance(tile, bool) or not isinstance(tile, int) or tile % 8 or tile < 96:
            raise VgzooError(
                f"{self.edit_name}: tile={tile!r} came; wanted a multiple of 8 of at least 96"
            )

    def options(self, frames: int, size: tuple[int, int], when: When) -> dict:
        """What the task takes beside a clip of so many frames of a size."""
        return {}

    def run(self, clip: Any, when: When = WHOLE, **values: Any) -> Any:
        grey = clip.shape[-1] == 1
        clip = ops.repeat(clip, 3, axis=-1) if grey else clip
        options = self.options(clip.shape[1], tuple(clip.shape[2:4]), when)
        made = _loaded(self.model).edited(clip, self.method, **options)
        return ops.mean(made, axis=-1, keepdims=True) if grey else made

    def host(self, clip: np.ndarray, when: When = WHOLE) -> np.ndarray:
        self.check(clip.shape, "uint8")
        options = self.options(len(clip), clip.shape[1:3], when)
        return _loaded(self.model).edit(clip, method=self.method, tile=self.tile, **options)


@register("restore")
class Restore(Neural):
    """Takes away noise, blur and the blocks of a codec.

    Args:
        model: whose name or folder `vgzoo.load` takes.
        tile: side of the squares, in pixels, that larger frames are made in.
    """

    method = "restore"


@register("colorize")
class Colorize(Neural):
    """Gives grey frames their colours; what is bright stays as bright.

    Args:
        model, tile: as for `Restore`.
    """

    method = "colorize"
    context = 2 * (1 + TIMES)
    channels = (3,)


class _Factored(Neural):
    def __init__(self, factor: int = 2, **settings: Any) -> None:
        super().__init__(factor=factor, **settings)
        if isinstance(factor, bool) or factor not in (2, 4):
            raise VgzooError(f"{self.edit_name}: factor={factor!r} came; wanted 2 or 4")

    def options(self, frames: int, size: tuple[int, int], when: When) -> dict:
        return {"factor": self.factor}


@register("superresolve")
class Superresolve(_Factored):
    """Enlarges frames, with what their neighbours show of them.

    Args:
        factor: 2 or 4.
        model, tile: as for `Restore`; the tile is one of the large frame.
    """

    method = "superresolve"

    def __init__(self, factor: int = 2, model: str = MODEL, tile: int = _TILE, **kwargs: Any):
        super().__init__(factor, model=model, tile=tile, **kwargs)


@register("interpolate")
class Interpolate(_Factored):
    """Puts new frames between those that came: as many more a second, as long as before.

    Args:
        factor: 2 or 4.
        model, tile: as for `Restore`.
    """

    method = "interpolate"
    keeps_time = False

    def __init__(self, factor: int = 2, model: str = MODEL, tile: int = _TILE, **kwargs: Any):
        super().__init__(factor, model=model, tile=tile, **kwargs)

    def stream(self, footage: Footage) -> Footage:
        if footage.frames < 2:
            raise VgzooError("interpolate wants two frames or more, and one came")
        chunks, frames = footage.chunks, footage.frames
        for _ in range(self.factor.bit_length() - 1):
            chunks = functools.partial(self._doubled, chunks)
            frames = 2 * frames - 1
        return replace(footage, frames=frames, fps=footage.fps * self.factor, chunks=chunks)

    def _doubled(self, chunks: Any) -> Iterator[np.ndarray]:
        """Chunks of frames with new ones between them, in windows."""
        held, first = None, True
        for chunk in chunks():
            self.check(chunk.shape, "uint8")
            held = chunk if held is None else np.concatenate([held, chunk])
            if len(held) < 4:
                continue
            made = _loaded(self.model).edit(held, method="interpolate", tile=self.tile)
            # Between the last two more is known once the next one comes; of the three that are
            # kept the first is there for them.
            yield made[0 if first else 2 : -3]
            held, first = held[-3:], False
        made = _loaded(self.model).edit(held, method="interpolate", tile=self.tile)
        yield made if first else made[2:]


@register("inpaint")
class Inpaint(Neural):
    """Makes a part of the frames anew, from what surrounds it and from other frames.

    Args:
        mask: a picture, or a video as long: white where to make anew, of the frames' size.
        model, tile: as for `Restore`.
    """

    method = "inpaint"
    context = REACH + 3

    def __init__(
        self, mask: str | Path, model: str = MODEL, tile: int = _TILE, **kwargs: Any
    ) -> None:
        super().__init__(mask=mask, model=model, tile=tile, **kwargs)
        self._holes = _read(str(mask))

    def options(self, frames: int, size: tuple[int, int], when: When) -> dict:
        return {"mask": self._part(frames, size, when)}

    def _part(self, frames: int, size: tuple[int, int], when: When) -> np.ndarray:
        """The mask of a window, bool `(frames, H, W)`."""
        holes = self._holes
        if holes.shape[1:] != size:
            raise VgzooError(
                f"inpaint: the mask {self.mask} is {holes.shape[1]}×{holes.shape[2]} and the "
                f"frames are {size[0]}×{size[1]}; resize one"
            )
        if len(holes) == 1:
            return np.broadcast_to(holes, (frames, *size))
        if len(holes) < when.start + frames:
            raise VgzooError(
                f"inpaint: the mask {self.mask} has {len(holes)} frames, the clip has more; give "
                "one as long, or a picture"
            )
        return holes[when.start : when.start + frames]


def tiled(edits: Sequential, tile: int) -> Sequential:
    """The same edits, those by a network in tiles of another side.

    Raises:
        VgzooError: there are none of these.
    """
    if not any(isinstance(edit, Neural) for edit in edits.edits):
        raise VgzooError("tile is for edits by a network, and none of these is one: leave it out")
    changed = [
        edit.to_dict() | ({"tile": tile} if isinstance(edit, Neural) else {})
        for edit in edits.edits
    ]
    return Sequential(changed)


def _read(path: str) -> np.ndarray:
    """A picture or a video as a mask, bool `(T, H, W)`."""
    return video.with_channels(video.read(path), 1)[..., 0] > 127
