"""Datasets of clips by name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
from keras import ops

from vgzoo.data import banks, motion
from vgzoo.errors import DataError


def clips(
    name: str,
    split: str = "train",
    *,
    frames: int = 16,
    size: int = 64,
    batch_size: int | None = 32,
    seed: int = 0,
    start: int = 0,
    count: int | None = None,
    path: str | Path | None = None,
):
    """A dataset of clips.

    `"mnist"` is Moving MNIST as OpenSTL generates it, made on the fly from the digits of the
    split. Clip i of a seed is always the same clip, whatever the batch size and the backend, so a
    pass can be resumed anywhere.

    The fixed test set is `clips("mnist", "test", frames=20, batch_size=50)`: 10,000 clips of seed 0
    from the test digits, by OpenSTL's procedure. Where the published file `mnist_test_seq.npy` lies
    in `VGZOO_DATA`, or `path` names it, its clips are the test split of seed 0 up to 20 frames
    instead; it has no labels, so each is -1.

    Args:
        name: "mnist".
        split: "train", "validation" or "test".
        frames: frames of a clip.
        size: side of a frame in pixels: 64, or 32 and 16 by averaging pixels.
        batch_size: clips of a batch; None gives clips one by one.
        seed: which endless sequence of clips.
        start: number of the first clip.
        count: clips of one pass; by default as many as the split has images. -1 is endless.
        path: the published test file, checked by its sha256.

    Returns:
        Under TensorFlow a `tf.data.Dataset`, else a `keras.utils.PyDataset` (`fit` shuffles its
        batches unless told `shuffle=False`), of `{"clip": uint8 (B, T, size, size, 1), "label":
        int32 (B, 2)}`. Whole batches only.

    Raises:
        DataError: unknown name or split, a missing or damaged source, a number out of its range.
    """
    if name != "mnist":
        raise DataError(f"no dataset {name!r}; there is: mnist")
    if size not in (64, 32, 16):
        raise DataError(f"size must be 64, 32 or 16 for mnist, not {size}")
    batch = 1 if batch_size is None else batch_size
    numbers = (("frames", frames, 1), ("batch_size", batch, 1), ("seed", seed, 0))
    for argument, value, least in (*numbers, ("start", start, 0), ("count", count or 0, -1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise DataError(f"{argument} must be a whole number of at least {least}, not {value}")
    source = _source(name, split, frames, seed, path)
    count = source.count if count is None else count
    if 0 <= count < batch:
        raise DataError(
            f"{count} clips make no batch of {batch}: ask for a batch_size of 1 to them"
        )
    batches = -1 if count < 0 else count // batch

    def draw(i) -> tuple[np.ndarray, ...]:
        return source.draw(start + int(i) * batch, batch)

    def render(*drawn) -> dict:
        clip, label = source.render(*drawn)
        return {"clip": _shrink(clip, motion.SIDE // size), "label": label}

    if keras.backend.backend() != "tensorflow":
        return DeviceClips(draw, render, batches, batch_size is None)
    import tensorflow as tf

    kinds = [tf.TensorSpec(a.shape, a.dtype) for a in draw(0)]

    def make(i):
        drawn = tf.numpy_function(draw, [i], [k.dtype for k in kinds])
        for tensor, kind in zip(drawn, kinds, strict=True):
            tensor.set_shape(kind.shape)
        return render(*drawn)

    dataset = tf.data.Dataset.range(batches) if batches >= 0 else tf.data.Dataset.counter()
    dataset = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if batch_size is None:
        dataset = dataset.unbatch()
        if batches >= 0:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(2)


class Generated:
    """Clips made on the fly: numbers from the host, pixels from the renderer."""

    def __init__(self, bank: tuple[np.ndarray, np.ndarray], frames: int, seed: int):
        self.bank, self.frames, self.seed = bank, frames, seed
        self.count = len(bank[0])

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Digits, paths and labels of clips `first … first + batch`."""
        drawn = motion.draw(self.bank, seed=self.seed, start=first, count=batch, frames=self.frames)
        return drawn["digits"], drawn["path"], drawn["label"]

    def render(self, digits, path, label):
        """Clips and labels, on the device."""
        return motion.render(digits, path), label


class Recorded:
    """Clips that lie in a file, `(T, N, H, W)`; after the last one the first comes again."""

    def __init__(self, file: np.ndarray, frames: int):
        self.file, self.frames = file, frames
        self.count = file.shape[1]

    def draw(self, first: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Clips `first … first + batch` and their unknown labels."""
        which = np.arange(first, first + batch) % self.count
        clip = np.moveaxis(self.file[: self.frames, which], 0, 1)[..., None]
        return np.ascontiguousarray(clip), np.full((batch, 2), -1, "int32")

    def render(self, clip, label):
        """The clips as they are."""
        return clip, label


def _source(name: str, split: str, frames: int, seed: int, path) -> Generated | Recorded:
    if path is not None and split != "test":
        raise DataError(f"path names the published test clips: ask for split 'test', not {split!r}")
    if split == "test" and (seed == 0 or path is not None):
        file = banks.published_clips(path)
        if file is not None and frames <= len(file) and seed == 0:
            return Recorded(file, frames)
        if path is not None:
            raise DataError(
                f"the published clips have {len(file)} frames and one seed, 0: "
                f"{frames} frames of seed {seed} need clips made without path"
            )
    return Generated(banks.images(name, split), frames, seed)


class DeviceClips(keras.utils.PyDataset):
    """Clips where `tf.data` is not: numbers from the host, pixels made by the backend."""

    def __init__(self, draw: Callable, render: Callable, batches: int, single: bool):
        super().__init__()
        self.draw, self.batches, self.single = draw, batches, single
        self.render = render
        if keras.backend.backend() == "jax":
            import jax

            self.render = jax.jit(render)

    @property
    def num_batches(self) -> int | None:
        """How many items a pass has; None if it has no end."""
        return None if self.batches < 0 else self.batches

    def __len__(self) -> int:
        if self.batches < 0:
            raise TypeError("an endless dataset has no length")
        return self.batches

    def __getitem__(self, i: int) -> dict:
        if not 0 <= i < (i + 1 if self.batches < 0 else self.batches):
            raise IndexError(f"item {i} of a dataset of {self.batches}")
        batch = self.render(*self.draw(i))
        return {k: v[0] for k, v in batch.items()} if self.single else batch

    def __iter__(self) -> Iterator[dict]:
        i = 0
        while self.batches < 0 or i < self.batches:
            yield self[i]
            i += 1


def _shrink(clip, factor: int):
    """uint8 clip with each `factor`×`factor` pixels replaced by their mean."""
    if factor == 1:
        return clip
    _, frames, height, width, channels = clip.shape
    shape = (-1, frames, height // factor, factor, width // factor, factor, channels)
    mean = ops.mean(ops.reshape(ops.cast(clip, "float32"), shape), axis=(3, 5))
    return ops.cast(ops.round(mean), "uint8")
