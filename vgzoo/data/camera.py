"""A camera over a still image: a few numbers for each clip, one renderer, and the exact motion.

The camera pans, zooms, turns and shears smoothly from one view to the next and never looks beyond
the image's edge. Because the scene is flat and the camera known, the optical flow of a clip is
known too, to rounding: the truth that editors and video metrics are measured against.

A view is an affine map from the pixels of a frame to those of the image. It is drawn on the host,
so that a clip is the same on every backend and in every batch size; frames and flow are made from
it in `keras.ops`, inside `tf.data` under TensorFlow and on the device elsewhere.
"""

import keras
import numpy as np
from keras import ops

from vgzoo import random

KEYS = 4  # views that the camera goes through, over and over
HOLD = (10.0, 20.0)  # frames from one to the next
ZOOM = (0.6, 0.96)  # of the widest view that fits
TURN = np.radians(20.0)  # most, to either side
SHEAR = 0.15
HAIR = 1e-3  # of a pixel: rounding errors do not take a border out of sight
DRAWS = 4 + 5 * KEYS  # which image, phase, pace, liveliness; pan y and x, zoom, angle and shear


def draw(
    bank: tuple[np.ndarray, np.ndarray],
    *,
    seed: int,
    start: int,
    count: int,
    frames: int,
    side: int,
) -> dict[str, np.ndarray]:
    """Numbers of clips `start … start + count` of an endless, seeded sequence.

    Args:
        bank: uint8 square images `(N, S, S, C)` and labels `(N,)`.
        seed: which sequence.
        start, count: which of its clips.
        frames: length of a clip; a longer one begins as a shorter one does.
        side: of a frame, in pixels.

    Returns:
        `"image"` uint8 `(count, S, S, C)`, `"views"` float32 `(count, frames, 2, 3)` as in
        `render`, `"label"` int32 `(count,)`.
    """
    images, labels = bank
    table = random.uniform_rows(seed, start, count, DRAWS)
    which = (table[:, 0] * len(images)).astype("int64")
    return {
        "image": images[which],
        "views": path(table[:, 1:], frames, images.shape[1], side),
        "label": labels[which],
    }


def path(table: np.ndarray, frames: int, image_side: int, side: int) -> np.ndarray:
    """Views of a camera, from uniform numbers.

    Args:
        table: `(count, DRAWS - 1)`, in [0, 1).
        frames: how many views.
        image_side, side: of the image and of a frame, in pixels.

    Returns:
        float32 `(count, frames, 2, 3)`.
    """
    count = len(table)
    phase, pace, lively = table[:, 0], table[:, 1], table[:, 2]
    keys = table[:, 3:].reshape(count, KEYS, 5)
    keys = np.concatenate([2 * keys[..., :2] - 1, keys[..., 2:3], 2 * keys[..., 3:] - 1], axis=2)
    # Most clips turn little, as most films do.
    keys[..., 3:] *= (lively**1.5)[:, None, None] * np.array([TURN, SHEAR])
    # A square of this many half sides holds the frame at every angle and shear of the clip.
    angle, shear = np.moveaxis(np.abs(keys[..., 3:]).max(axis=1), -1, 0)
    spread = np.cos(angle) + np.sin(angle) + shear

    time = (
        KEYS * phase[:, None] + np.arange(frames) / (HOLD[0] + (HOLD[1] - HOLD[0]) * pace)[:, None]
    )
    now = np.floor(time).astype(int)
    ease = time - now
    ease = (ease * ease * (3 - 2 * ease))[..., None]  # at rest in each view
    clip = np.arange(count)[:, None]
    pan_y, pan_x, zoom, angle, shear = np.moveaxis(
        (1 - ease) * keys[clip, now % KEYS] + ease * keys[clip, (now + 1) % KEYS], -1, 0
    )  # (count, frames) each
    half, reach = (image_side - 1) / 2, (side - 1) / 2
    zoom = ZOOM[0] * (ZOOM[1] / ZOOM[0]) ** zoom  # a steady zoom has a constant ratio
    scale = zoom * half / (reach * spread[:, None])
    room = half * (1 - zoom)

    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([cos, shear * cos - sin, sin, shear * sin + cos], axis=-1)
    linear = linear.reshape(count, frames, 2, 2)
    centre = half + np.stack([room * pan_x, room * pan_y], axis=-1)
    corner = centre - reach * linear.sum(axis=-1)  # where the frame's pixel (0, 0) looks
    return np.concatenate([linear, corner[..., None]], axis=-1).astype("float32")


def coarser(views, factor: int):
    """The views of frames whose pixels are means of `factor`×`factor` pixels."""
    views = ops.convert_to_tensor(views)
    linear, corner = views[..., :2], views[..., 2]
    corner = corner + (factor - 1) / 2 * ops.sum(linear, axis=-1)
    return ops.concatenate([linear * factor, corner[..., None]], axis=-1)


def render(image, views, side: int):
    """What the camera sees, bilinearly.

    Args:
        image: uint8 `(B, S, S, C)`.
        views: float32 `(B, T, 2, 3)`: pixel (x, y) of a frame shows the image at
            `views @ (x, y, 1)`, its x and y.
        side: of a frame, in pixels.

    Returns:
        uint8 `(B, T, side, side, C)`.
    """
    views = ops.convert_to_tensor(views)
    image = ops.cast(image, "float32") + 0.5  # so that the cast to whole numbers rounds
    sample = _sample_tensorflow if keras.backend.backend() == "tensorflow" else sample_anywhere
    return sample(image, views, side)


def flow(views, side: int):
    """The motion of the clip that `render` makes.

    Args:
        views: float32 `(B, T, 2, 3)`.
        side: of a frame, in pixels.

    Returns:
        The flow, float32 `(B, T-1, side, side, 2)`: what is at (x, y) in frame t is at
        (x + dx, y + dy) in frame t + 1. And the visibility mask, uint8 `(B, T-1, side, side)`:
        1 where that is inside frame t + 1.
    """
    views = ops.convert_to_tensor(views)
    linear, corner = views[..., :2], views[..., 2]
    now, later = linear[:, :-1], linear[:, 1:]
    a, b, c, d = later[..., 0, 0], later[..., 0, 1], later[..., 1, 0], later[..., 1, 1]
    inverse = ops.stack([ops.stack([d, -b], -1), ops.stack([-c, a], -1)], -2)
    inverse = inverse / (a * d - b * c)[..., None, None]
    # The change of the map, not the map: nearby views would cancel to rounding errors.
    turn = ops.matmul(inverse, now - later)  # (B, T-1, 2, 2)
    shift = ops.matmul(inverse, (corner[:, :-1] - corner[:, 1:])[..., None])  # (B, T-1, 2, 1)
    along = ops.arange(side, dtype="float32")
    x, y = along, along[:, None]

    def component(i: int):
        # (B, T-1, side, side)
        of_x, of_y = turn[..., i, 0, None, None], turn[..., i, 1, None, None]
        return of_x * x + of_y * y + shift[..., i, :, None]

    dx, dy = component(0), component(1)
    right, down = x + dx, y + dy
    low, high = -HAIR, side - 1 + HAIR
    inside = (right >= low) & (right <= high) & (down >= low) & (down <= high)
    return ops.stack([dx, dy], axis=-1), ops.cast(inside, "uint8")


def _sample_tensorflow(image, views, side: int):
    """As `sample_anywhere`, five times faster: `keras.ops.image.affine_transform` uses this op too,
    but gives frames only as large as the image, and wants a copy of the image for each.
    """
    import tensorflow as tf

    eight = tf.reshape(views, (-1, views.shape[1], 6))
    eight = tf.pad(eight, ((0, 0), (0, 0), (0, 2)))  # no perspective
    frames = [
        tf.raw_ops.ImageProjectiveTransformV3(
            images=image,
            transforms=eight[:, t],
            output_shape=(side, side),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        for t in range(views.shape[1])
    ]
    return tf.stack([tf.cast(frame, "uint8") for frame in frames], axis=1)


def sample_anywhere(image, views, side: int):
    """The pixels of `image + 0.5` that `views` look at, as `render` has them, by gathering."""
    size, channels = image.shape[1], image.shape[-1]
    along = ops.arange(side, dtype="float32")
    of_x, of_y, corner = views[..., 0], views[..., 1], views[..., 2]
    place = of_x[:, :, None, None] * along[:, None] + of_y[:, :, None, None] * along[:, None, None]
    place = ops.clip(place + corner[:, :, None, None], 0, size - 1)  # (B, T, side, side, 2)
    least = ops.minimum(ops.floor(place), size - 2)
    share = (place - least)[..., None]
    right, down = share[..., 0, :], share[..., 1, :]
    least = ops.cast(least, "int32")
    first = ops.arange(ops.shape(image)[0], dtype="int32")[:, None, None, None]
    upper = (first * size + least[..., 1]) * size + least[..., 0]
    pixels = ops.reshape(image, (-1, channels))

    def fetch(step: int):
        return ops.take(pixels, upper + step, axis=0)  # (B, T, side, side, C)

    above = fetch(0) * (1 - right) + fetch(1) * right
    below = fetch(size) * (1 - right) + fetch(size + 1) * right
    return ops.cast(above * (1 - down) + below * down, "uint8")
