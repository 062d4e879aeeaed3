"""Datasets of clips by name."""

from collections.abc import Iterator

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
):
    """A dataset of clips.

    `"mnist"` is Moving MNIST as OpenSTL generates it, made on the fly from the digits of the
    split. Clip i of a seed is always the same clip, whatever the batch size and the backend, so a
    pass can be resumed anywhere; the test split with seed 0 and 20 frames is the fixed test set.

    Args:
        name: "mnist".
        split: "train", "validation" or "test".
        frames: frames of a clip.
        size: side of a frame in pixels: 64, or 32 and 16 by averaging pixels.
        batch_size: clips of a batch; None gives clips one by one.
        seed: which endless sequence of clips.
        start: number of the first clip.
        count: clips of one pass; by default as many as the split has images. -1 is endless.

    Returns:
        Under TensorFlow a `tf.data.Dataset`, else an iterable, of `{"clip": uint8
        (B, T, size, size, 1), "label": int32 (B, 2)}`. Whole batches only.

    Raises:
        DataError: unknown name or split, a missing source, or a size that does not divide 64.
    """
    if name != "mnist":
        raise DataError(f"no dataset {name!r}; there is: mnist")
    if size not in (64, 32, 16):
        raise DataError(f"size must be 64, 32 or 16 for mnist, not {size}")
    bank = banks.images(name, split)
    if count is None:
        count = len(bank[0])
    batch = batch_size or 1
    batches = -1 if count < 0 else count // batch

    def draw(i) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        drawn = motion.draw(
            bank, seed=seed, start=start + int(i) * batch, count=batch, frames=frames
        )
        return drawn["digits"], drawn["path"], drawn["label"]

    def render(digits, path, label):
        clip = motion.render(digits, path)
        return {"clip": _shrink(clip, motion.SIDE // size), "label": label}

    if keras.backend.backend() != "tensorflow":
        return DeviceClips(draw, render, batches, batch_size is None)
    import tensorflow as tf

    kinds = [
        tf.TensorSpec((batch, 2, motion.DIGIT, motion.DIGIT), "uint8"),
        tf.TensorSpec((batch, 2, frames, 2), "int32"),
        tf.TensorSpec((batch, 2), "int32"),
    ]

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


class DeviceClips:
    """Clips where `tf.data` is not: numbers from the host, pixels made by the backend."""

    def __init__(self, draw, render, batches: int, single: bool):
        self.draw, self.batches, self.single = draw, batches, single
        self.render = render
        if keras.backend.backend() == "jax":
            import jax

            self.render = jax.jit(render)

    def __len__(self) -> int:
        if self.batches < 0:
            raise TypeError("an endless dataset has no length")
        return self.batches

    def __iter__(self) -> Iterator[dict]:
        i = 0
        while self.batches < 0 or i < self.batches:
            batch = self.render(*self.draw(i))
            yield {k: v[0] for k, v in batch.items()} if self.single else batch
            i += 1


def _shrink(clip, factor: int):
    """uint8 clip with each `factor`×`factor` pixels replaced by their mean."""
    if factor == 1:
        return clip
    _, frames, height, width, channels = clip.shape
    shape = (-1, frames, height // factor, factor, width // factor, factor, channels)
    mean = ops.mean(ops.reshape(ops.cast(clip, "float32"), shape), axis=(3, 5))
    return ops.cast(ops.round(mean), "uint8")
