"""A network over clips that are noisy or known: convolutions where pixels are many, attention where
they are few.

After U-ViT (Hoogeboom et al. 2023, "Simple diffusion", arXiv 2301.11093): at full resolution, which
is that of patches, and at half of it, residual blocks factorised into space and time; at a quarter,
transformer layers over all places of all frames at once, of which there are so few that nothing
need be factorised. Every block is told the style: how noisy the clip is, and of what class.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, space_to_depth
from vgzoo.layers.transformer import TransformerLayer


class VideoUNet(layers.Layer):
    """Clips `(B, T, H, W, C)` and styles `(B, style)` → clips, and features of their patches.

    Clips are `(B, T, H, W, filters)`, features `(B·T, H/patch, W/patch, widths[0])`.

    Args:
        filters: values of a pixel of the result.
        patch: side of a patch in pixels; the frame's sides are multiples of `self.cell`.
        widths: channels at the resolution of patches, at half of it, …
        blocks: residual blocks at each of these, on the way down and again on the way up.
        features, heads, depth: width, heads and layers of the transformer.
        style: length of a style vector.
    """

    def __init__(
        self,
        filters: int,
        *,
        patch: int,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        features: int,
        heads: int,
        depth: int,
        style: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.patch, self.style = filters, patch, style
        self.cell = patch * 2 ** len(widths)
        channels = [*widths, features]
        self.enter = layers.Conv2D(
            channels[0], 3, padding="same", kernel_initializer=he_normal(), name="enter"
        )
        self.down, self.narrow, self.widen, self.up = [], [], [], []
        for i, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for way, found in (("down", self.down), ("up", self.up)):
                found.append(
                    [
                        Block(width, time=True, styled=True, name=f"{way}_{i}_{j}")
                        for j in range(count)
                    ]
                )
            self.narrow.append(layers.Dense(channels[i + 1], name=f"narrow_{i}"))
            self.widen.append(layers.Dense(4 * width, name=f"widen_{i}"))
        self.layers_ = [
            TransformerLayer(features, heads, style, name=f"layer_{i}") for i in range(depth)
        ]
        self.norm = layers.RMSNormalization(name="norm")
        self.leave = layers.Conv2D(
            patch**2 * filters, 3, padding="same", kernel_initializer="zeros", name="leave"
        )

    def call(self, x, style):
        _, frames, height, width, channels = x.shape
        x = ops.reshape(ops.cast(x, self.compute_dtype), (-1, height, width, channels))
        style = ops.cast(style, self.compute_dtype)
        x = self.enter(space_to_depth(x, self.patch))
        kept = []
        for blocks, narrow in zip(self.down, self.narrow, strict=True):
            for block in blocks:
                x = block(x, frames=frames, style=style)
            kept.append(x)
            x = narrow(space_to_depth(x, 2))
        x = self._attended(x, frames, style)
        for blocks, widen in zip(reversed(self.up), reversed(self.widen), strict=True):
            x = kept.pop() + depth_to_space(widen(x), 2)
            for block in blocks:
                x = block(x, frames=frames, style=style)
        features = ops.leaky_relu(x)
        x = depth_to_space(self.leave(features), self.patch)
        return ops.reshape(x, (-1, frames, height, width, self.filters)), features

    def _attended(self, x, frames: int, style):
        _, height, width, features = x.shape
        axes = [np.arange(n, dtype="float32") for n in (frames, height, width)]
        places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        x = ops.reshape(x, (-1, frames * height * width, features))
        for layer in self.layers_:
            x, _ = layer(x, None, places, style=style)
        return ops.reshape(self.norm(x), (-1, height, width, features))

    def compute_output_spec(self, x, style):
        size = x.shape[2] // self.patch, x.shape[3] // self.patch, self.enter.filters
        return (
            keras.KerasTensor((*x.shape[:-1], self.filters), self.compute_dtype),
            keras.KerasTensor((x.shape[0] * x.shape[1], *size), self.compute_dtype),
        )
