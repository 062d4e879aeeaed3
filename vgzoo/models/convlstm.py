"""ConvLSTM, the forecaster that all others are measured against.

After Shi et al. 2015, "Convolutional LSTM network: a machine learning approach for precipitation
nowcasting" (arXiv 1506.04214), as OpenSTL (Tan et al. 2023, arXiv 2306.11249) builds it: pixels
enter in patches, a stack of recurrent layers, whose gates are convolutions of what comes and of
their own state, says the next frame, and what it has said comes in when there is no more to see.
"""

import keras
from keras import layers, ops

from vgzoo.errors import VgzooError
from vgzoo.layers.spacetime import depth_to_space, space_to_depth
from vgzoo.models._noiseless import Noiseless
from vgzoo.models.base import VideoModel, register


class Cell(layers.Layer):
    """One step of a layer: `(x, h, c)` → `(h, c)`, all `(B, H, W, ·)`.

    Args:
        filters: of its state.
        kernel: side of the convolution.
    """

    def __init__(self, filters: int, kernel: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.gates = layers.Conv2D(4 * filters, kernel, padding="same", name="gates")
        self.norm = layers.LayerNormalization(name="norm")

    def build(self, x_shape, h_shape, c_shape):
        self.gates.build((*x_shape[:-1], x_shape[-1] + self.filters))
        self.norm.build((*x_shape[:-1], 4 * self.filters))

    def call(self, x, h, c):
        gates = self.norm(self.gates(ops.concatenate([x, h], axis=-1)))
        into, forget, new, out = ops.split(gates, 4, axis=-1)
        # What is new at first is kept: a bias of 1 on the gate that forgets.
        c = c * ops.sigmoid(forget + 1) + ops.sigmoid(into) * ops.tanh(new)
        return ops.sigmoid(out) * ops.tanh(c), c


@register
class ConvLSTM(Noiseless, VideoModel):
    """A recurrent network that forecasts; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of the patch.
        context: frames seen.
        patch: side of a patch in pixels, whose values enter as channels.
        hidden: channels of each layer's state.
        kernel: side of the convolutions.

    Example:

    >>> import numpy as np
    >>> model = ConvLSTM(frames=4, height=16, width=16, context=2, hidden=(4,))
    >>> model.forecast(np.zeros((3, 16, 16, 1), "uint8"), 5).shape
    (5, 16, 16, 1)
    """

    references = ("arXiv:1506.04214", "arXiv:2306.11249")

    def __init__(
        self,
        *,
        frames: int = 20,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        context: int = 10,
        patch: int = 4,
        hidden: tuple[int, ...] = (64, 64, 64, 64),
        kernel: int = 5,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if height % patch or width % patch:
            raise VgzooError(
                f"height and width must be multiples of patch={patch}, not {height}×{width}"
            )
        if not 0 < context < frames:
            raise VgzooError(f"context must be 1 … {frames - 1}, not {context}")
        self.context, self.patch = context, patch
        self.hidden, self.kernel = tuple(hidden), kernel
        self.cells = [Cell(width, kernel, name=f"cell_{i}") for i, width in enumerate(self.hidden)]
        self.pixels = layers.Conv2D(channels * patch**2, 1, name="pixels")
        self._step(ops.zeros((1, height, width, channels)), self._nothing(1))

    def get_config(self) -> dict:
        own = ("context", "patch", "kernel")
        own = {key: getattr(self, key) for key in own}
        return super().get_config() | own | {"hidden": list(self.hidden)}

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(5e-4, use_ema=True, ema_momentum=0.999)

    def predicted(self, clip):
        made, _ = self._frames(clip[:, : self.context], self.frames - 1)
        return made

    def _frames(self, seen, count: int):
        """What is foretold after each frame seen and then after each foretold, and the state."""
        state, found = self._nothing(ops.shape(seen)[0]), []
        for t in range(count):
            frame, state = self._step(seen[:, t] if t < seen.shape[1] else found[-1], state)
            found.append(frame)
        return ops.stack(found, axis=1), state

    def _nothing(self, rows):
        size = self.height // self.patch, self.width // self.patch
        return [(ops.zeros((rows, *size, width), self.compute_dtype),) * 2 for width in self.hidden]

    def _step(self, frame, state):
        """A frame and the state → the next frame, and the state after it."""
        x = space_to_depth(ops.cast(frame, self.compute_dtype), self.patch)
        news = []
        for cell, (h, c) in zip(self.cells, state, strict=True):
            x, c = cell(x, h, c)
            news.append((x, c))
        return depth_to_space(self.pixels(x), self.patch), news

    # -- forecasts -------------------------------------------------------------------------

    def initial_state(self, context, copies: int = 1):
        made, state = self._frames(context, self.context)
        return keras.tree.map_structure(
            lambda x: ops.repeat(x, copies, axis=0), (made[:, -1], state)
        )

    def rollout(self, state, noise):
        frame, state = state
        found = []
        for _ in range(noise.shape[1]):
            found.append(frame)
            frame, state = self._step(frame, state)
        return ops.stack(found, axis=1), (frame, state)


MODEL = ConvLSTM
