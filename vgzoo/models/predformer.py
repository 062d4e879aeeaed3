"""PredFormer: a forecaster of gated transformers over space and time.

After Tang et al. 2024, "PredFormer: transformers are effective spatial-temporal predictive
learners" (arXiv 2410.04733): frames are cut into patches, and quadruplets of layers attend in turn
to time, space, space and time; each is attention and a gated feed-forward network (SwiGLU, Shazeer
2020, arXiv 2002.05202) behind norms. Frame i of those to come is read off the tokens of frame i of
those seen: as many come at once as were seen, and for more it goes on from its own. Where tokens
are is said by turned queries and keys, in place of the paper's fixed sines, and pixels enter and
leave through small convolutional networks at half a patch, as in SimVP (Gao et al. 2022, arXiv
2206.05099): without, where a thing is within a patch is learned slowly.

Things that keep their shape may be seen as sprites (`vgzoo.layers.sprites`), whose places in frames
seen and to come are read off the same tokens: a training of hours, not of days, has digits move on
sharply then.
"""

import keras
import numpy as np
from keras import layers, ops

from vgzoo.errors import VgzooError
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth
from vgzoo.layers.sprites import Sprites, misplaced
from vgzoo.layers.transformer import TransformerLayer
from vgzoo.models._noiseless import Noiseless
from vgzoo.models.base import VideoModel, register
from vgzoo.optimizers import Muon

_ORDER = "TSST"
_PLACES = 0.05  # what a nat of places counts in the loss


@register
class PredFormer(Noiseless, VideoModel):
    """A transformer that forecasts; see the head of this file.

    Args:
        frames, height, width, channels, seed: as for `VideoModel`; sides multiples of the patch.
        context: frames seen, at least half of all.
        patch: side of a patch in pixels, even.
        filters, blocks: channels and residual blocks of what pixels enter through and leave by.
        features, heads: width of the transformers, and heads of their attention.
        quadruplets: of layers.
        objects, sprite: how many things keep their shape, and a side of them in pixels, in square
            grey frames; 0 for none.

    Example:

    >>> model = PredFormer(frames=4, height=16, width=16, context=2, filters=8, features=8,
    ...                    heads=2)
    >>> model.forecast(np.zeros((3, 16, 16, 1), "uint8"), 5).shape
    (5, 16, 16, 1)
    """

    references = ("arXiv:2410.04733", "arXiv:2002.05202")

    def __init__(
        self,
        *,
        frames: int = 20,
        height: int = 64,
        width: int = 64,
        channels: int = 1,
        seed: int = 0,
        context: int = 10,
        patch: int = 8,
        filters: int = 64,
        blocks: int = 2,
        features: int = 256,
        heads: int = 8,
        quadruplets: int = 2,
        objects: int = 0,
        sprite: int = 28,
    ):
        super().__init__(frames=frames, height=height, width=width, channels=channels, seed=seed)
        if patch % 2 or height % patch or width % patch:
            raise VgzooError(
                f"height and width must be multiples of an even patch={patch}, not {height}×{width}"
            )
        if not frames <= 2 * context < 2 * frames:
            raise VgzooError(f"context must be {-(-frames // 2)} … {frames - 1}, not {context}")
        if features % (2 * heads):
            raise VgzooError(f"features must be a multiple of 2 · heads={heads}, not {features}")
        if objects and (sprite % 2 or not 0 < sprite <= height == width or channels != 1):
            raise VgzooError(
                f"sprites have an even side within square grey frames, not {sprite} of {height}×"
                f"{width}×{channels}"
            )
        self.context, self.patch, self.features = context, patch, features
        self.objects, self.sprite = objects, sprite
        self.heads, self.quadruplets = heads, quadruplets
        self.filters, self.blocks = filters, blocks
        self.pace = context
        self.enter, self.into = _conv(filters, "enter"), _blocks(filters, blocks, "into")
        self.embed = layers.Dense(features, name="embed")
        self.layers_ = [
            TransformerLayer(features, heads, gated=True, name=f"layer_{i}{kind}")
            for i in range(quadruplets)
            for kind in [f"_{k}_{kind}" for k, kind in enumerate(_ORDER)]
        ]
        self.norm = layers.RMSNormalization(name="norm")
        self.then = layers.Dense(4 * filters, name="then")
        self.outof = _blocks(filters, blocks, "outof")
        # Of each pixel also how far the sprites are trusted, if there are any.
        self.values = channels + (objects > 0)
        self.leave = _conv(self.values * (patch // 2) ** 2, "leave")
        self.sprites = None
        if objects:
            self.now = layers.Dense(4 * filters, name="now")
            self.sprites = Sprites(
                objects,
                size=sprite,
                patch=patch // 2,
                width=64,
                blocks=2,
                ahead=context,
                side=height,
                name="sprites",
            )
        self._network(ops.zeros((1, context, height, width, channels)))

    def get_config(self) -> dict:
        own = ("context", "patch", "filters", "blocks", "features", "heads", "quadruplets")
        own += ("objects", "sprite")
        return super().get_config() | {key: getattr(self, key) for key in own}

    def default_optimizer(self) -> keras.optimizers.Optimizer:
        return Muon(5e-4, beta_2=0.99, use_ema=True, ema_momentum=0.999)

    @classmethod
    def learns_from_truth(cls, kwargs: dict) -> bool:
        return bool(kwargs.get("objects"))

    def predicted(self, clip):
        ahead = self.frames - self.context
        return self._network(clip[:, : self.context])[0][:, :ahead]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Mean squared error of what is foretold, and of what sprites alone show of it.

        Where the batch tells the `"path"` of things, `(B, objects, T, 2)` with top and left edges,
        sprites learn those too.
        """
        if not self.sprites:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        clip = self.network_clip(x)
        self.next_noise_step()
        found, shown, places = self._network(clip[:, : self.context])
        truth = ops.cast(clip[:, self.context :], "float32")
        ahead = truth.shape[1]
        errors = [
            ops.square(ops.cast(made[:, :ahead], "float32") - truth) for made in (found, shown)
        ]
        self.track(frame_mse=ops.mean(ops.sum(errors[0] / 4, axis=(2, 3, 4))))
        loss = sum(ops.mean(error) for error in errors)
        if isinstance(x, dict) and "path" in x:
            any_order = ops.zeros((ops.shape(clip)[0],), "bool")
            nats = misplaced(places[:, :, : self.frames], ops.cast(x["path"], "int32"), any_order)
            loss = loss + _PLACES * ops.mean(nats)
        return loss

    def _network(self, seen):
        """Frames `(B, context, H, W, C)` → as many that come, those as sprites, their places."""
        _, frames, height, width, channels = seen.shape
        rows, columns = height // self.patch, width // self.patch
        x = ops.reshape(ops.cast(seen, self.compute_dtype), (-1, height, width, channels))
        local = self.enter(space_to_depth(x, self.patch // 2))
        for block in self.into:
            local = block(local)
        x = self.embed(space_to_depth(leaky(local), 2))
        x = self._attended(ops.reshape(x, (-1, frames, rows, columns, self.features)))
        x = ops.reshape(self.norm(x), (-1, rows, columns, self.features))
        then = depth_to_space(self.then(x), 2)
        for block in self.outof:
            then = block(then)
        then = leaky(then)
        made = depth_to_space(self.leave(then), self.patch // 2)
        made = ops.reshape(made, (-1, frames, height, width, self.values))
        if not self.sprites:
            return made, None, None
        made, trust = ops.split(made, 2, axis=-1)
        about = ops.mean(ops.reshape(x, (-1, frames * rows * columns, self.features)), axis=1)
        light = (ops.cast(seen, self.compute_dtype) + 1) / 2
        shown, found = self.sprites(
            leaky(local + depth_to_space(self.now(x), 2)),
            ops.concatenate([light, light, ops.ones_like(light)], axis=-1),
            ops.ones_like(about[:, None, :1]) + ops.zeros((1, self.objects, 1), x.dtype),
            about,
            then,
        )
        shown = 2 * shown - 1
        return made + ops.sigmoid(trust) * (shown - made), shown, found

    def _attended(self, x):
        """Tokens `(B, T, h, w, ·)`, told of each other."""
        _, frames, rows, columns, features = x.shape
        times = np.arange(frames, dtype="float32")
        places = np.indices((rows, columns), "float32").reshape(2, -1).T
        x = ops.reshape(x, (-1, frames, rows * columns, features))
        for i, layer in enumerate(self.layers_):
            if _ORDER[i % 4] == "S":
                x = self._within(layer, x, places)
            else:
                x = ops.transpose(
                    self._within(layer, ops.transpose(x, (0, 2, 1, 3)), times), (0, 2, 1, 3)
                )
        return x

    def _within(self, layer, x, places):
        """Tokens `(B, M, L, ·)` that attend within each M."""
        _, many, length, features = x.shape
        x, _ = layer(ops.reshape(x, (-1, length, features)), None, places)
        return ops.reshape(x, (-1, many, length, features))

    # -- forecasts -------------------------------------------------------------------------

    def initial_state(self, context, copies: int = 1):
        return ops.repeat(context, copies, axis=0)

    def rollout(self, state, noise):
        made = self._network(state)[0]
        return made, ops.clip(made, -1, 1)


def _conv(filters: int, name: str) -> layers.Conv2D:
    return layers.Conv2D(filters, 3, padding="same", kernel_initializer=he_normal(), name=name)


def _blocks(filters: int, count: int, name: str) -> list[Block]:
    return [Block(filters, time=False, name=f"{name}_{i}") for i in range(count)]


MODEL = PredFormer
