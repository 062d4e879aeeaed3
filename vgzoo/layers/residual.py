"""The residual block of this zoo's convolutional networks."""

from keras import layers, ops

from vgzoo.layers.causal import Past
from vgzoo.layers.spacetime import TimeConv, he_normal, leaky


class Block(layers.Layer):
    """Residual block: x + out(act(time(act(style · space(act(x)))))), without normalisation.

    Args:
        filters: channels in and out.
        time: whether a temporal convolution stands between the two spatial ones.
        styled: whether a style vector scales the channels.
        causal: whether the temporal convolution looks back only.
    """

    def __init__(
        self, filters: int, time: bool, styled: bool = False, causal: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters

        def conv(**options):
            return layers.Conv2D(filters, 3, padding="same", **options)

        self.space = conv(kernel_initializer=he_normal(), name="space")
        self.time = TimeConv(filters, causal=causal, name="time") if time else None
        self.style = layers.Dense(filters, name="style") if styled else None
        self.out = conv(kernel_initializer="zeros", name="out")

    def call(self, x, frames: int = 1, style=None, past: Past | None = None):
        _, height, width, _ = x.shape
        h = self.space(leaky(x))
        if self.style is not None:
            h = ops.reshape(h, (-1, frames * height * width, self.filters))
            h = h * (1 + self.style(style)[:, None])
            h = ops.reshape(h, (-1, height, width, self.filters))
        if self.time is not None:
            h = h + self.time(leaky(h), frames=frames, past=past)
        return x + self.out(leaky(h))
