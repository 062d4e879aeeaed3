"""Edits in the latents of a model: a clip is taken apart, its latents changed, and put together.

GANs (`invert` by descent), normalizing flows (`invert`, exact) and autoencoders (`encode`) share
the way: `encode`, then a change, then `decode`.

Example:

>>> import numpy as np
>>> from vgzoo.edit import latent
>>> print(latent.between(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 3).round(2))
[[1.   0.  ]
 [0.71 0.71]
 [0.   1.  ]]
"""

from typing import TYPE_CHECKING

import numpy as np

from vgzoo.errors import VgzooError

if TYPE_CHECKING:
    from vgzoo.models.base import VideoModel


def encode(model: "VideoModel", clips, **options) -> np.ndarray:
    """Latents of clips, or of one, by whichever way the model has.

    Args:
        model: a GAN, a normalizing flow or an autoencoder.
        clips: `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1].
        options: of `model.invert` or `model.encode`.

    Raises:
        VgzooError: a model without latents of clips, or what that way raises.
    """
    way = getattr(model, "invert", None) or getattr(model, "encode", None)
    if way is None or not hasattr(model, "decode"):
        raise VgzooError(f"{model.name} has no way from clips to latents and back")
    return way(clips, **options)


def between(first, last, count: int, *, spherical: bool = True) -> np.ndarray:
    """Latents on the way from one to another.

    Args:
        first, last: latents of one clip each, of one shape.
        count: how many, both ends included.
        spherical: along a great circle, lengths going along (White 2016, arXiv 1609.04468), as
            suits draws of a normal distribution; else along a straight line.

    Returns:
        float32 `(count, *shape)`.

    Raises:
        VgzooError: two shapes, or fewer than two.
    """
    first, last = np.asarray(first, "float32"), np.asarray(last, "float32")
    if first.shape != last.shape:
        raise VgzooError(f"latents of two shapes came: {first.shape} and {last.shape}")
    if not isinstance(count, int | np.integer) or count < 2:
        raise VgzooError(f"count must be a whole number of at least 2, not {count}")
    share = np.linspace(0, 1, count).reshape(-1, *[1] * first.ndim)
    lengths = np.linalg.norm(first), np.linalg.norm(last)
    if not spherical or not min(lengths):
        return ((1 - share) * first + share * last).astype("float32")
    angle = np.arccos(np.clip((first / lengths[0] * last / lengths[1]).sum(), -1, 1))
    if np.sin(angle) < 1e-4:  # one direction, or opposite ones, between which there is no one way
        return ((1 - share) * first + share * last).astype("float32")
    return (
        (np.sin((1 - share) * angle) * first + np.sin(share * angle) * last) / np.sin(angle)
    ).astype("float32")


def swap(model: "VideoModel", content, motion) -> np.ndarray:
    """Latents that show what the first show, moving as the second move.

    Args:
        model: a GAN.
        content, motion: its latents, `(B, L)` or of one clip.

    Raises:
        VgzooError: a model whose latents have no parts, or latents of another shape.
    """
    content, motion = _checked(model, content), _checked(model, motion)
    where = _parts(model, motion)["motion"].ravel()
    swapped = np.broadcast_to(content, np.broadcast_shapes(content.shape, motion.shape)).copy()
    swapped[..., where] = motion[..., where]
    return swapped


def move(
    model: "VideoModel", latents, direction: np.ndarray, strength: float, *, thing: int = 0
) -> np.ndarray:
    """Latents moved along a direction of `model.directions`, of one of the things they show.

    Args:
        model: a GAN.
        latents: `(B, L)`, or of one clip.
        direction: `(content,)`.
        strength: how far, in lengths of the content latent.
        thing: which of them.

    Raises:
        VgzooError: a model whose latents have no parts, or arguments that do not fit.
    """
    latents = _checked(model, latents).copy()
    where = _parts(model, latents)["content"]
    if not 0 <= thing < len(where):
        raise VgzooError(f"thing must be 0 … {len(where) - 1}, not {thing}")
    if np.shape(direction) != where[thing].shape:
        raise VgzooError(f"a direction has {where.shape[1]} values, not {np.shape(direction)}")
    part = latents[..., where[thing]]
    length = np.linalg.norm(part, axis=-1, keepdims=True)
    latents[..., where[thing]] = part + strength * length * direction
    return latents


def _checked(model, latents) -> np.ndarray:
    latents = np.asarray(latents, "float32")
    if not hasattr(model, "latent_parts"):
        raise VgzooError(f"latents of {model.name} are not made of content and motion")
    if latents.ndim not in (1, 2):
        raise VgzooError(f"latents are (B, L), or (L,) of one clip, not {latents.shape}")
    return latents


def _parts(model, latents) -> dict[str, np.ndarray]:
    for frames in (model.frames, *range(1, 1025)):
        if model.noise_shape(frames) == latents.shape[-1:]:
            return model.latent_parts(frames)
    raise VgzooError(
        f"{model.name} has latents of {model.noise_shape(model.frames)[0]} values for "
        f"{model.frames} frames, not {latents.shape[-1]}"
    )
