"""Where clips come from: numbers drawn on the host, and how they become pixels on the device.

A source has `count` (clips of a pass), `draw(first, batch)` (numpy arrays of clips `first … first +
batch` of an endless sequence) and `render(*drawn)` (the batch, made of them in `keras.ops`). So the
same source feeds `tf.data` under TensorFlow and `DeviceClips` elsewhere. `Folder` is one too.
"""

import functools

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.data import camera, motion

Bank = tuple[np.ndarray, np.ndarray]


class Digits:
    """Moving digits.

    Args:
        bank: images and labels as `vgzoo.data.images("mnist", …)` gives them.
        frames: length of a clip.
        seed: which endless sequence.
        factor: 1, or the side of the squares of pixels whose mean is one pixel of a clip.
        stochastic: SVG's digits instead of OpenSTL's.
    """

    def __init__(self, bank: Bank, frames: int, seed: int, factor: int, stochastic: bool):
        self.bank, self.frames, self.seed, self.factor = bank, frames, seed, factor
        self.stochastic, self.count = stochastic, len(bank[0])

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, ...]:
        """Digits, paths and labels."""
        make = motion.draw_stochastic if self.stochastic else motion.draw
        drawn = make(self.bank, seed=self.seed, start=first, count=batch, frames=self.frames)
        return drawn["digits"], drawn["path"], drawn["label"]

    def render(self, digits, path, label) -> dict:
        """`"clip"` uint8 `(B, T, H, W, 1)` and `"label"` int32 `(B, 2)`."""
        clip = motion.render(digits, path, add=self.stochastic)
        return {"clip": shrink(clip, self.factor), "label": label}


class Scenes:
    """Still images that a camera moves over.

    Args:
        bank: square images and labels.
        frames, seed, factor: as of `Digits`.
        side: of a frame before it is shrunk by `factor`.
        flow: whether the optical flow and its mask are wanted too.
    """

    def __init__(self, bank: Bank, frames: int, seed: int, factor: int, side: int, flow: bool):
        self.bank, self.frames, self.seed, self.factor = bank, frames, seed, factor
        self.side, self.flow, self.count = side, flow, len(bank[0])

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, ...]:
        """Images, views and labels."""
        drawn = camera.draw(
            self.bank, seed=self.seed, start=first, count=batch, frames=self.frames, side=self.side
        )
        return drawn["image"], drawn["views"], drawn["label"]

    def render(self, image, views, label) -> dict:
        """`"clip"` uint8 `(B, T, H, W, C)`, `"label"` int32 `(B,)`, and as in `camera.flow`
        `"flow"` float32 `(B, T-1, H, W, 2)` and `"visible"` uint8 `(B, T-1, H, W)`.
        """
        clip = camera.render(image, views, self.side)
        batch = {"clip": shrink(clip, self.factor), "label": label}
        if self.flow:
            views = camera.coarser(views, self.factor)
            batch["flow"], batch["visible"] = camera.flow(views, self.side // self.factor)
        return batch


class Stills:
    """Still images, each once a pass, in another order each time: clips of one frame.

    Args:
        bank, seed, factor: as of `Digits`.
    """

    def __init__(self, bank: Bank, seed: int, factor: int):
        self.bank, self.seed, self.factor = bank, seed, factor
        self.count = len(bank[0])
        self._order = functools.lru_cache(maxsize=2)(self._order_of)

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, ...]:
        """Images and labels."""
        passes, places = np.divmod(np.arange(first, first + batch), self.count)
        which = [self._order(int(p))[place] for p, place in zip(passes, places, strict=True)]
        return self.bank[0][which], self.bank[1][which].astype("int32")

    def render(self, image, label) -> dict:
        """`"clip"` uint8 `(B, 1, H, W, C)` and `"label"` int32 `(B,)`."""
        return {"clip": shrink(image[:, None], self.factor), "label": label}

    def _order_of(self, number: int) -> np.ndarray:
        return random.uniform_rows(self.seed, number, 1, self.count)[0].argsort(kind="stable")


class Recorded:
    """Moving digits that lie in a file, `(T, N, 64, 64)`; after the last the first comes again."""

    def __init__(self, file: np.ndarray, frames: int, factor: int):
        self.file, self.frames, self.factor = file, frames, factor
        self.count = file.shape[1]

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips and their unknown labels."""
        which = np.arange(first, first + batch) % self.count
        clip = np.moveaxis(self.file[: self.frames, which], 0, 1)[..., None]
        return np.ascontiguousarray(clip), np.full((batch, 2), -1, "int32")

    def render(self, clip, label) -> dict:
        """The clips as they are, shrunk."""
        return {"clip": shrink(clip, self.factor), "label": label}


def shrink(clip, factor: int):
    """uint8 clips `(B, T, H, W, C)` with each `factor`×`factor` pixels replaced by their mean."""
    if factor == 1:
        return clip
    _, frames, height, width, channels = clip.shape
    shape = (-1, frames, height // factor, factor, width // factor, factor, channels)
    mean = ops.mean(ops.reshape(ops.cast(clip, "float32"), shape), axis=(3, 5))
    return ops.cast(ops.round(mean), "uint8")
