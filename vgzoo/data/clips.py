"""Datasets of clips by name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np

from vgzoo.data import banks, motion, sources
from vgzoo.data.folder import Folder, class_names
from vgzoo.errors import DataError

SIDES = {  # of a frame
    "mnist": 64,
    "mnist-stochastic": 64,
    "mnist-stills": 28,
    "cifar10": 32,
    "cifar10-stills": 32,
    "imagenette": 64,
}
_FOLDER_SIDE = 64
_FACTORS = (1, 2, 4)  # smaller frames are means of so many pixels each way


def names() -> list[str]:
    """Names of the datasets that `clips` makes; a folder of videos is another."""
    return list(SIDES)


def clips(
    name: str | Path,
    split: str = "train",
    *,
    frames: int = 16,
    size: int | None = None,
    batch_size: int | None = 32,
    seed: int = 0,
    start: int = 0,
    count: int | None = None,
    shard: tuple[int, int] = (0, 1),
    flow: bool = False,
    path: str | Path | None = None,
    **video,
):
    """A dataset of clips.

    - `"mnist"` is Moving MNIST as OpenSTL generates it, `"mnist-stochastic"` as SVG does: 64×64,
      grey, two digits.
    - `"cifar10"` (32×32) and `"imagenette"` (64×64), in colour: a camera moves smoothly over an
      image, and the optical flow of the clip is known.
    - `"mnist-stills"` (28×28) and `"cifar10-stills"` (32×32) are the images themselves, each once
      a pass, as clips of one frame.
    - A folder of videos: windows of its files.

    All but the last are made on the fly from the images of the split, and no two splits share an
    image. Clip i of a seed is always the same clip, whatever the batch size and the backend, so a
    pass can be resumed anywhere, and divided among workers.

    The fixed test set is `clips("mnist", "test", frames=20, batch_size=50)`: 10,000 clips of seed 0
    from the test digits, by OpenSTL's procedure. Where the published file `mnist_test_seq.npy` lies
    in `VGZOO_DATA`, or `path` names it, its clips are the test split of seed 0 up to 20 frames
    instead; it has no labels, so each is -1.

    Args:
        name: one of `names()`, or a folder.
        split: "train", "validation" or "test".
        frames: frames of a clip.
        size: side of a frame in pixels; None for the dataset's own, 64 of a folder. A half or a
            quarter of that is had by averaging pixels; a folder's videos have any.
        batch_size: clips of a batch; None gives clips one by one.
        seed: which endless sequence of clips.
        start: number of the first clip, of all workers together.
        count: clips of one pass, of all workers together; by default as many as the split has
            images or windows. -1 is endless.
        shard: (index, workers). Batch i of all workers, end to end in the order of their indices,
            is batch i that one alone has at `batch_size * workers`.
        flow: also give `"flow"` float32 `(B, T-1, size, size, 2)`, how far what is at a pixel has
            moved in the next frame, (dx, dy) in pixels, and `"visible"` uint8 `(B, T-1, size,
            size)`, 1 where it is still in the frame.
        path: the published test file, checked by its sha256.
        video: `stride`, `fps`, `crop` and `channels` of a folder's clips, as in
            `vgzoo.data.Folder`.

    Returns:
        Under TensorFlow a `tf.data.Dataset`, else a `keras.utils.PyDataset` (`fit` shuffles its
        batches unless told `shuffle=False`), of `{"clip": uint8 (B, T, size, size, C), "label":
        int32 (B,)}`; `(B, 2)` for two digits. Whole batches only. `classes(name)` names the labels.

    Raises:
        DataError: unknown name or split, a missing or damaged source, a number out of its range.
    """
    batch = 1 if batch_size is None else batch_size
    numbers = (("frames", frames, 1), ("batch_size", batch, 1), ("seed", seed, 0))
    for argument, value, least in (*numbers, ("start", start, 0), ("count", count or 0, -1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise DataError(f"{argument} must be a whole number of at least {least}, not {value}")
    index, workers = _checked_shard(shard)
    source = _source(name, split, frames, size, seed, flow, path, video)
    count = source.count if count is None else count
    everyone = batch * workers
    if 0 <= count < everyone:
        of = f"{batch}" if workers == 1 else f"{batch} for each of {workers} workers"
        raise DataError(
            f"{count} clips make no batch of {of}: ask for a batch_size of 1 to "
            f"{count // workers or 'them, and fewer workers'}"
        )
    batches = -1 if count < 0 else count // everyone

    def draw(i) -> tuple[np.ndarray, ...]:
        return source.draw(start + int(i) * everyone + index * batch, batch)

    return made(draw, source.render, batches, single=batch_size is None)


def classes(name: str | Path) -> tuple[str, ...]:
    """What labels 0, 1, … of a dataset mean; of a folder, its subfolders that hold videos.

    Example:

    >>> classes("imagenette")[:3]
    ('tench', 'English springer', 'cassette player')
    """
    if name in SIDES:
        return banks.BANKS[_bank(name)].classes
    if Path(name).is_dir():
        return class_names(Path(name))
    raise _unknown(name)


def _source(name, split: str, frames: int, size, seed: int, flow: bool, path, video: dict):
    if name not in SIDES:
        return _folder(name, split, frames, size, seed, flow, path, video)
    if video:
        raise DataError(f"{', '.join(video)}: only the clips of a folder take that, not {name}")
    side = SIDES[name]
    sizes = [side // factor for factor in _FACTORS]
    if size is not None and size not in sizes:
        raise DataError(f"size must be {', '.join(map(str, sizes))} for {name}, not {size}")
    factor = 1 if size is None else side // size
    if path is not None and (name != "mnist" or split != "test"):
        raise DataError(
            f"path names the published clips of mnist, split 'test', not of {name}, {split!r}"
        )
    if name == "mnist" and split == "test" and (seed == 0 or path is not None):
        file = banks.published_clips(path)
        if file is not None and frames <= len(file) and seed == 0:
            if flow:
                raise DataError("the flow of mnist is not known: ask for cifar10 or imagenette")
            return sources.Recorded(file, frames, factor)
        if path is not None:
            raise DataError(
                f"the published clips have {len(file)} frames and one seed, 0: "
                f"{frames} frames of seed {seed} need clips made without path"
            )
    bank = banks.images(_bank(name), split)
    if name.endswith("-stills"):
        if frames != 1 or flow:
            raise DataError(f"{name} are pictures: ask for frames=1, without flow")
        return sources.Stills(bank, seed, factor)
    if _bank(name) != "mnist":
        return sources.Scenes(bank, frames, seed, factor, side, flow)
    if flow:
        raise DataError(f"the flow of {name} is not known: ask for cifar10 or imagenette")
    stochastic = name == "mnist-stochastic"
    if stochastic and frames >= motion.WANDER_ROWS:
        raise DataError(f"{name} has at most {motion.WANDER_ROWS - 1} frames a clip, not {frames}")
    return sources.Digits(bank, frames, seed, factor, stochastic)


def _folder(name, split: str, frames: int, size, seed: int, flow: bool, path, video: dict):
    if not Path(name).is_dir():
        raise _unknown(name)
    if flow:
        raise DataError(f"the flow of the videos in {name} is not known: leave flow out")
    if path is not None:
        raise DataError(f"path names the published clips of mnist: {name} has no use for it")
    if wrong := video.keys() - {"stride", "fps", "crop", "channels"}:
        raise DataError(
            f"no option {', '.join(sorted(wrong))}; a folder's clips have: stride, fps, crop, "
            "channels"
        )
    size = _FOLDER_SIDE if size is None else size
    return Folder(name, split, frames=frames, size=size, seed=seed, **video)


def _bank(name: str) -> str:
    return name.removesuffix("-stochastic").removesuffix("-stills")


def _unknown(name) -> DataError:
    return DataError(f"no dataset {str(name)!r}; there are: {', '.join(SIDES)}, or give a folder")


def _checked_shard(shard) -> tuple[int, int]:
    try:
        index, workers = (int(number) for number in shard)
    except (TypeError, ValueError):
        index, workers = -1, 0
    if not 0 <= index < workers:
        raise DataError(f"shard must be (index, workers) with 0 <= index < workers, not {shard}")
    return index, workers


def made(draw: Callable, render: Callable, batches: int, *, single: bool = False):
    """A dataset of batches that are drawn on the host and rendered by the backend.

    Args:
        draw: number of a batch → arrays, always of the same shapes.
        render: those arrays, as tensors → a dict of tensors.
        batches: how many; -1 is endless.
        single: whether clips come one by one; a batch has one, or under TensorFlow any number.
    """
    first = draw(0)  # what is wrong with the source is said here, and in one line
    if keras.backend.backend() != "tensorflow":
        return DeviceClips(draw, render, batches, single)
    import tensorflow as tf

    kinds = [tf.TensorSpec(a.shape, a.dtype) for a in first]

    def make(i):
        drawn = tf.numpy_function(draw, [i], [k.dtype for k in kinds])
        for tensor, kind in zip(drawn, kinds, strict=True):
            tensor.set_shape(kind.shape)
        return render(*drawn)

    dataset = tf.data.Dataset.range(batches) if batches >= 0 else tf.data.Dataset.counter()
    dataset = dataset.map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    if single:
        dataset = dataset.unbatch()
        if batches >= 0:
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return dataset.prefetch(2)


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
