"""Clips with the truth of how they were made: what judges are trained on.

Like `vgzoo.data.clips`, with the numbers that each clip was drawn from beside it.
"""

import numpy as np
from keras import ops

from vgzoo import random
from vgzoo.data import banks, camera, motion
from vgzoo.data.clips import made
from vgzoo.errors import DataError

GAPS = 3  # equal parts of a clip that `motion` is told for
MOTIONS = 16  # numbers of each: 10 of two digits, 6 of a camera
SIDES = {"cifar10": 32, "imagenette": 64}
# Typical sizes, so that no number outweighs the others: what is learnt is motion / scale.
DIGITS_SCALE = np.array([8, 8, 100, 100, 75, 1.6, 1.6, 5, 5, 3], "float32")
CAMERA_SCALE = np.array([0.012, 0.012, 0.013, 0.01, 0.01, 0.013], "float32")


def clips(
    name: str,
    split: str = "train",
    *,
    frames: int,
    size: int,
    batch_size: int,
    seed: int = 0,
    start: int = 0,
    count: int,
    shard: tuple[int, int] = (0, 1),
):
    """A dataset of clips and of what they were drawn from.

    Args:
        name: "mnist", or names joined by "+": then each batch holds as many clips of each, all of
            them in colour and of one size.
        split, frames, size, batch_size, seed, start, count, shard: as in `vgzoo.data.clips`; here
            too all workers' batches together hold the clips that one alone has in its batch, but of
            each dataset after the other.

    Returns:
        As `vgzoo.data.clips`, of `{"clip": uint8 (B, T, size, size, C), "label", "path", …}`: for
        "mnist" `"label"` int32 `(B, 2)` and `"path"` int32 `(B, 2, T, 2)`, top and left edges of
        the digits. For several datasets `"content"` float32 `(B, 10 · datasets)`, shares of the
        classes of each, and `"motion"` float32 `(B, GAPS, MOTIONS)`, with `"known"` of the same
        shape: 1 where a number has a meaning.

    Raises:
        DataError: an unknown name, or a size or batch that cannot be.
    """
    names = name.split("+")
    if batch_size % len(names):
        raise DataError(f"batch_size={batch_size} is no multiple of the {len(names)} of {name}")
    share, (index, workers) = batch_size // len(names), shard
    parts = [
        _part(each, split, frames, size, seed, mixed=len(names) > 1, place=(i, len(names)))
        for i, each in enumerate(names)
    ]
    splits: list[int] = []  # how many arrays each part draws

    def draw(i) -> tuple[np.ndarray, ...]:
        first = start // len(names) + (int(i) * workers + index) * share
        drawn = [part[0](first, share) for part in parts]
        splits[:] = [len(arrays) for arrays in drawn]
        return tuple(array for arrays in drawn for array in arrays)

    def render(*drawn) -> dict:
        rendered, first = [], 0
        for (_, paint), width in zip(parts, splits, strict=True):
            rendered.append(paint(*drawn[first : first + width]))
            first += width
        return {k: ops.concatenate([r[k] for r in rendered], axis=0) for k in rendered[0]}

    return made(draw, render, count // (batch_size * workers))


def patterns(n: int, *, seed: int, frames: int, height: int, width: int, channels: int):
    """Clips that are nobody's data, for a judge's golden output: drifting patches of grey.

    Returns:
        uint8 `(n, frames, height, width, channels)`, the same for a seed wherever it is asked.
    """
    patch = 4
    rows, columns = -(-height // patch), -(-width // patch)
    table = random.uniform_rows(seed, 0, n, rows * columns * channels) ** 4
    still = (255 * table.reshape(n, rows, columns, channels)).astype("uint8")
    still = still.repeat(patch, axis=1).repeat(patch, axis=2)[:, :height, :width]
    return np.stack([np.roll(still, (t, 2 * t), axis=(1, 2)) for t in range(frames)], axis=1)


def _part(name: str, split: str, frames: int, size: int, seed: int, *, mixed: bool, place):
    """`(draw, render)` of one dataset."""
    if name not in ("mnist", *SIDES):
        known = ", ".join(("mnist", *SIDES))
        raise DataError(f"no dataset {name!r} with its truth; there are: {known}")
    bank = banks.images(name, split)
    if name == "mnist":
        if size != motion.SIDE:
            raise DataError(f"digits are told at {motion.SIDE} pixels a side, not {size}")
        draw, truth = _digits(bank, frames, seed), _digit_truth
    else:
        side = SIDES[name]
        draw, truth = _camera(bank, frames, seed, side), lambda v: _camera_truth(v, side)
    if not mixed:
        if name != "mnist":
            raise DataError(f"{name} alone has no truth to tell; join it to others with '+'")
        return draw, lambda digits, path, label: {
            "clip": motion.render(digits, path),
            "label": label,
            "path": path,
        }

    def numbers(start: int, count: int) -> tuple[np.ndarray, ...]:
        image, path, label = draw(start, count)
        number, of = place
        content = np.zeros((count, 10 * of), "float32")
        label = label.reshape(count, -1)
        for column in label.T:
            content[np.arange(count), 10 * number + column] += 1 / label.shape[1]
        return image, path, content, *truth(path)

    def paint(image, path, content, moved, known) -> dict:
        if name == "mnist":
            clip = ops.repeat(motion.render(image, path), 3, axis=-1)
        else:
            clip = _at_size(camera.render(image, path, SIDES[name]), size)
        return {"clip": clip, "content": content, "motion": moved, "known": known}

    return numbers, paint


def _digits(bank, frames: int, seed: int):
    def draw(start: int, count: int):
        drawn = motion.draw(bank, seed=seed, start=start, count=count, frames=frames)
        return drawn["digits"], drawn["path"], drawn["label"]

    return draw


def _camera(bank, frames: int, seed: int, side: int):
    def draw(start: int, count: int):
        drawn = camera.draw(bank, seed=seed, start=start, count=count, frames=frames, side=side)
        return drawn["image"], drawn["views"], drawn["label"]

    return draw


def _moments(values: np.ndarray) -> np.ndarray:
    """Pairs `(B, D, …, 2)` of unordered things → their mean and second moments `(B, …, 5)`."""
    y, x = values[..., 0], values[..., 1]
    return np.stack([y, x, y * y, x * x, y * x], axis=-1).mean(axis=1)


def _digit_truth(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where two digits are and how they move, whichever is called the first.

    Means and second moments over the digits of place and of velocity, in pixels, averaged over
    each third of the clip.
    """
    place = path.astype("float32") - (motion.SIDE - motion.DIGIT) / 2
    velocity = np.diff(place, axis=2)
    told = np.concatenate([_moments(place[:, :, 1:]), _moments(velocity)], axis=-1) / DIGITS_SCALE
    return _thirds(told, 0)


def _camera_truth(views: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """How what is seen moves from frame to frame, averaged over each third of the clip.

    The shift of what is in the middle, in sides of the frame, and the four gradients of the flow:
    the same numbers at any resolution.
    """
    linear, corner = views[..., :2].astype("float64"), views[..., 2].astype("float64")
    now, later = linear[:, :-1], linear[:, 1:]
    inverse = np.linalg.inv(later)
    middle = np.full((2, 1), (side - 1) / 2)
    moved = (now - later) @ middle + (corner[:, :-1] - corner[:, 1:])[..., None]
    shift = (inverse @ moved)[..., 0] / side
    gradient = (inverse @ (now - later)).reshape(*shift.shape[:2], 4)
    return _thirds(np.concatenate([shift, gradient], axis=-1) / CAMERA_SCALE, len(DIGITS_SCALE))


def _thirds(told: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """`(B, T-1, K)` → means over `GAPS` parts, in columns from `first`, and where those are."""
    moved = np.zeros((len(told), GAPS, MOTIONS), "float32")
    known = np.zeros_like(moved)
    columns = slice(first, first + told.shape[-1])
    parts = np.array_split(told, GAPS, axis=1)
    moved[..., columns] = np.stack([part.mean(axis=1) for part in parts], axis=1)
    known[..., columns] = 1
    return moved, known


def _at_size(clip, size: int):
    """uint8 clip `(B, T, H, W, C)` with frames of another size, bilinearly."""
    _, frames, height, width, channels = clip.shape
    if (height, width) == (size, size):
        return clip
    x = ops.cast(ops.reshape(clip, (-1, height, width, channels)), "float32")
    x = ops.image.resize(x, (size, size), interpolation="bilinear", data_format="channels_last")
    return ops.reshape(ops.cast(x + 0.5, "uint8"), (-1, frames, size, size, channels))
