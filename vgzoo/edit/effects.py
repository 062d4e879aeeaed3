"""Effects within a frame: pixels, light that spills over, lenses."""

from __future__ import annotations

from typing import Any

from keras import ops

from vgzoo.edit.base import Formula
from vgzoo.edit.filters import reach
from vgzoo.edit.frame import whole
from vgzoo.edit.kernels import gaussian
from vgzoo.edit.keyframes import Value
from vgzoo.edit.registry import register
from vgzoo.edit.resizing import resized
from vgzoo.edit.sampling import box_sums, flat, sample, size_of


@register("pixelate")
class Pixelate(Formula):
    """Squares of one colour, the mean of what lies under them.

    Args:
        size: 1 to 1000 pixels, about, of a side: the squares fill the frame evenly.
    """

    ranges = {"size": (1, 1000)}
    fuses = False

    def __init__(self, size: Value = 8.0, **kwargs: Any) -> None:
        super().__init__(size=size, **kwargs)

    def edit(self, clip: Any, size: Any) -> Any:
        frame = size_of("pixelate", clip.shape)
        if isinstance(size, float):  # three times as fast as what follows
            few = tuple(max(1, round(n / size)) for n in frame)
            return resized(resized(clip, few, "area"), frame, "nearest")
        size, edges, area = flat(ops.convert_to_tensor(size, "float32")), [], 1.0
        for length, shape in zip(frame, ((1, 1, -1, 1), (1, 1, 1, -1)), strict=True):
            few = ops.maximum(ops.round(length / size), 1.0)
            pixel = ops.reshape(ops.arange(length, dtype="float32"), shape)
            # A hair, for squares that begin where a pixel does.
            square = ops.floor(pixel * few / length + 1e-4)
            edges.append((square * length / few, (square + 1.0) * length / few))
            area = area * (length / few)
        return box_sums(clip, edges[1], edges[0]) / area[..., None]


@register("bloom")
class Bloom(Formula):
    """Light that spills over from what is bright, by the "screen" blend.

    Args:
        amount: 0 to 5.
        threshold: 0 to 0.99, the level from which light spills.
        sigma: 0.1 to 100 pixels, how far.
    """

    ranges = {"amount": (0, 5), "threshold": (0, 0.99), "sigma": (0.1, 100)}
    fuses = False

    def __init__(
        self, amount: Value = 0.5, threshold: Value = 0.7, sigma: Value = 4.0, **kwargs: Any
    ) -> None:
        super().__init__(amount=amount, threshold=threshold, sigma=sigma, **kwargs)

    def edit(self, clip: Any, amount: Any, threshold: Any, sigma: Any) -> Any:
        bright = ops.maximum(clip - threshold, 0.0) / (1.0 - threshold)
        light = gaussian("bloom", bright, sigma, reach(self.sigma))
        return 1.0 - (1.0 - clip) * (1.0 - ops.clip(amount * light, 0.0, 1.0))


@register("chromatic_aberration")
class ChromaticAberration(Formula):
    """Red drawn larger and blue smaller around the middle, as cheap lenses do.

    Args:
        amount: -0.1 to 0.1, of the frame's size.
    """

    ranges = {"amount": (-0.1, 0.1)}
    channels = (3,)

    def __init__(self, amount: Value = 0.005, **kwargs: Any) -> None:
        super().__init__(amount=amount, **kwargs)

    def edit(self, clip: Any, amount: Any) -> Any:
        red = zoomed(clip[..., :1], 1.0 + amount)
        blue = zoomed(clip[..., 2:], 1.0 - amount)
        return ops.concatenate([red, clip[..., 1:2], blue], -1)


@register("radial_blur")
class RadialBlur(Formula):
    """The mean of the frame at several sizes: a rush towards the middle.

    Args:
        amount: 0 to 1, how much larger the largest is.
        samples: 2 to 64 sizes.
    """

    ranges = {"amount": (0, 1)}

    def __init__(self, amount: Value = 0.1, samples: int = 8, **kwargs: Any) -> None:
        super().__init__(
            amount=amount, samples=whole("radial_blur", "samples", samples, 2), **kwargs
        )

    def edit(self, clip: Any, amount: Any) -> Any:
        shares = [i / (self.samples - 1) for i in range(self.samples)]
        return sum(zoomed(clip, 1.0 + amount * share) for share in shares) / self.samples


def zoomed(clip: Any, zoom: Any) -> Any:
    """A clip (B, T, H, W, C) enlarged around its middle; `zoom` a number or (b, t, 1, 1, 1)."""
    zoom = flat(zoom)
    places = []
    for size in size_of("zoom", clip.shape):
        middle = (size - 1) / 2
        places.append((ops.arange(size, dtype="float32") - middle, middle))
    (y, middle_y), (x, middle_x) = places
    blank = ops.zeros((1, 1, clip.shape[2], clip.shape[3]))
    return sample(clip, middle_x + x / zoom + blank, middle_y + y[:, None] / zoom + blank)
