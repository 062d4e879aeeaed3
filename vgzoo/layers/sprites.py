"""Things that keep their shape while they move: where each of them is, and what it looks like.

What a clip shows is read as a few sprites (as in DRAW's attention, Gregor et al. 2015, arXiv
1502.04623, and in models of moving objects, Kosiorek et al. 2018, arXiv 1806.01794). Where a sprite
may be in a frame is a distribution over all places; its shape is read off all frames at once, each
as it is seen from there, so that what is noisy or hidden in one is known from others; and it is set
back where it may be, in the same frames or in later ones. All of it is matrix products with the
distributions of rows and columns: where a place is sure they cut out and set, where it is not they
blur as much as that deserves.
"""

import itertools

import keras
import numpy as np
from keras import layers, ops

from vgzoo.layers.paths import Paths
from vgzoo.layers.placing import waves
from vgzoo.layers.residual import Block
from vgzoo.layers.spacetime import depth_to_space, he_normal, leaky, space_to_depth

_DEPTH = 16  # of what a place and a thing have in common
_PATHS = 512  # features of a path


class Sprites(layers.Layer):
    """Features and frames of clips → clips as sprites show them, and where these are.

    Args:
        count: sprites.
        size: side of one in pixels, even.
        patch: pixels, each way, of a place of the features.
        width, blocks: channels and residual blocks of the network that completes a shape.
        ahead: frames that sprites are shown in after those in which they are seen; 0 if in the same
            ones.
        side: of a frame, in pixels, where sprites go on: such frames are square.
        frames: the most that there are in a clip whose whole paths are weighed; 0 to find sprites
            in each frame by itself.
    """

    def __init__(
        self,
        count: int,
        *,
        size: int,
        patch: int,
        width: int,
        blocks: int,
        ahead: int = 0,
        side: int = 0,
        frames: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.count, self.size, self.patch, self.ahead = count, size, patch, ahead
        self.which = self.add_weight(
            name="which", shape=(count, _DEPTH), initializer="random_normal"
        )
        self.places = layers.Dense(patch**2 * _DEPTH, name="places")
        self.thing = layers.Dense(_DEPTH, use_bias=False, name="thing")
        self.looks = layers.Dense(width, name="looks")
        self.enter = layers.Conv2D(
            width, 3, padding="same", kernel_initializer=he_normal(), name="enter"
        )
        self.blocks = [
            Block(width, time=False, styled=True, name=f"block_{i}") for i in range(blocks)
        ]
        if ahead:
            self.paths = [
                layers.Dense(
                    _PATHS, activation=leaky, kernel_initializer=he_normal(), name=f"paths_{i}"
                )
                for i in range(2)
            ]
            outputs = ahead * (side - size + 1)
            self.paths.append(layers.Dense(outputs, kernel_initializer="zeros", name="onward"))
        self.whole = Paths(frames, name="whole") if frames else None
        self.leave = layers.Conv2D(4, 3, padding="same", kernel_initializer="zeros", name="leave")

    def call(self, features, frames, things, style, further=None, places=None, told=None):
        """→ clips `(B, T, H, W, 1)` in [0, 1], and logarithms of the chances of places.

        These are `(B, count, T, rows, columns)`. Where sprites go on, clips are of the later
        frames, chances of all frames.

        Args:
            features: `(B·T, h, w, ·)`, of patches.
            frames: `(B, T, H, W, 3)` in [0, 1] or noise: what is seen, what it may be, and 1 where
                what is seen is known.
            things: `(B, count, ·)`, what each sprite is.
            style: `(B, ·)`.
            further: features `(B·ahead, h, w, ·)` of the later frames.
            places: where sprites are, if that is told: logits, beside which what is seen in a frame
                still counts.
            told: bool `(B, 1, 1, 1, 1)`, of which clips; None for all.
        """
        _, many, height, width, _ = frames.shape
        log = self._chances(features, things, many, height, width)
        log = self._found(log + self._led(log, places, told))
        sprite = self._looks(log, frames, things, style)
        if not self.ahead:
            return self._set(log, sprite, height, width), log
        later = self._chances(further, things, self.ahead, height, width)
        later = self._found(later + self._onward(log))
        shown = self._set(later, sprite, height, width)
        return shown, ops.concatenate([log, later], axis=2)

    def found(self, features, things, frames: int, height: int, width: int):
        """Where sprites are, as all frames show it: logarithms of the chances of places."""
        log = self._chances(features, things, frames, height, width)
        return self._found(log + self._led(log))

    def _led(self, chances, places=None, told=None):
        """What whole paths say of places, or what is told of these."""
        if places is None:
            return self.whole(chances) if self.whole else 0.0
        places = ops.cast(places, "float32")
        return places if told is None else ops.where(told, places, self.whole(chances))

    def _chances(self, features, things, frames: int, height: int, width: int):
        """What speaks for each place in each frame: logits `(B, K, T, rows, columns)`."""
        pixels = frames * height * width
        x = ops.reshape(self.places(features), (-1, pixels, _DEPTH))  # patch by patch
        wanted = self.thing(things) + ops.cast(self.which, self.compute_dtype)
        x = ops.cast(ops.matmul(wanted, ops.transpose(x, (0, 2, 1))), "float32")
        x = ops.reshape(x, (-1, height // self.patch, width // self.patch, self.patch**2))
        x = ops.reshape(depth_to_space(x, self.patch), (-1, self.count, frames, height, width))
        # A place is that of the sprite's middle, and the whole sprite lies in the frame.
        edge = self.size // 2
        x = ops.split(x, [edge, height - self.size + 1 + edge], axis=3)[1]
        return ops.split(x, [edge, width - self.size + 1 + edge], axis=4)[1]

    @staticmethod
    def _found(chances):
        """Logits → logarithms of chances."""
        _, *outer, rows, columns = chances.shape
        flat = ops.reshape(chances, (-1, *outer, rows * columns))
        return ops.reshape(ops.log_softmax(flat, axis=-1), (-1, *outer, rows, columns))

    def _onward(self, log):
        """What the places so far say of those to come, each axis for itself: logits as of these."""
        share, count = ops.exp(log), log.shape[3]
        axes = ops.stack([ops.sum(share, axis=4), ops.sum(share, axis=3)], axis=2)
        middle = ops.sum(ops.multiply(axes, np.linspace(-1, 1, count).astype("float32")), axis=-1)
        x = waves(ops.reshape(middle, (-1, log.shape[2])))
        for layer in self.paths:
            x = layer(x)
        x = ops.cast(ops.reshape(x, (-1, self.count, 2, self.ahead, count)), "float32")
        down, across = ops.unstack(x, axis=2)
        return down[..., None] + across[..., None, :]

    def _set(self, log, sprite, height: int, width: int):
        """Sprites where they may be: `(B, T, height, width, 1)`."""
        rows, columns = self._edges(log, height, width)
        placed = ops.matmul(rows, sprite[:, :, None])
        placed = ops.matmul(placed, ops.transpose(columns, (0, 1, 2, 4, 3)))
        return ops.max(placed, axis=1)[..., None]

    def _edges(self, log, height: int, width: int):
        """Where a sprite's rows and columns may be, as `_matrices` says it."""
        share = ops.exp(log)
        rows = self._matrices(ops.sum(share, axis=4), height)
        return rows, self._matrices(ops.sum(share, axis=3), width)

    def _matrices(self, share, side: int):
        """Where a sprite's lines may be: shares of places `(B, K, T, ·)` → `(…, side, size)`."""
        many = share.shape[-1]
        apart = np.arange(side)[:, None] - np.arange(self.size)
        lines = (apart == np.arange(many)[:, None, None]).astype("float32")
        x = ops.cast(ops.reshape(share, (-1, many)), self.compute_dtype)
        x = ops.matmul(x, ops.cast(lines.reshape(many, -1), self.compute_dtype))
        return ops.reshape(x, (-1, *share.shape[1:3], side, self.size))

    def _looks(self, log, frames, things, style):
        """What each sprite looks like, from all frames: `(B, K, size, size)`."""
        rows, columns = self._edges(log, *frames.shape[2:4])
        frames = ops.cast(frames, self.compute_dtype)
        seen, whole, known = (x[:, None] for x in ops.unstack(frames, axis=-1))
        back = ops.transpose(rows, (0, 1, 2, 4, 3))

        def cut(x):
            return ops.matmul(ops.matmul(back, x), columns)  # (B, K, T, size, size)

        # A frame counts as much as the sprite's place in it is sure.
        sure = ops.exp(0.5 * ops.max(log, axis=(3, 4)))
        sure = ops.cast(sure / ops.sum(sure, axis=2, keepdims=True), self.compute_dtype)
        sure = sure[..., None, None]
        views = cut(whole)
        mean = ops.sum(sure * views, axis=2)
        covered = ops.sum(sure * cut(known), axis=2)
        shown = ops.sum(sure * cut(seen * known), axis=2) / (covered + 1e-2)
        x = ops.stack(
            [mean, ops.min(views, axis=2), ops.sum(sure * cut(seen), axis=2), shown, covered],
            axis=-1,
        )
        x = space_to_depth(ops.reshape(x, (-1, self.size, self.size, 5)), 2)
        style = ops.repeat(ops.cast(style, self.compute_dtype)[:, None], self.count, axis=1)
        about = ops.concatenate([ops.cast(things, self.compute_dtype), style], axis=-1)
        about = leaky(self.looks(ops.reshape(about, (-1, about.shape[-1]))))
        x = self.enter(x) + about[:, None, None]
        for block in self.blocks:
            x = block(x, style=about)
        change = depth_to_space(self.leave(leaky(x)), 2)
        return mean + ops.reshape(change, (-1, self.count, self.size, self.size))

    def compute_output_spec(self, features, frames, things, style, **_):
        batch, many, height, width, _ = frames.shape
        places = height - self.size + 1, width - self.size + 1
        return (
            keras.KerasTensor((batch, self.ahead or many, height, width, 1), self.compute_dtype),
            keras.KerasTensor((batch, self.count, many + self.ahead, *places), "float32"),
        )


def misplaced(log, path, ordered):
    """How unlikely things are found where they are: nats of a place, mean over frames, `(B,)`.

    Args:
        log: logarithms of chances `(B, K, T, rows, columns)`.
        path: int `(B, K, T, 2)`, where they are.
        ordered: bool `(B,)`, whether thing i is sprite i; else the likeliest order counts.
    """
    _, count, _, rows, columns = log.shape
    nats = [
        [_nats(log[:, i], path[:, j], rows, columns) for j in range(count)] for i in range(count)
    ]
    orders = [
        sum(nats[i][j] for i, j in enumerate(order)) / count
        for order in itertools.permutations(range(count))
    ]
    return ops.where(ordered, orders[0], ops.min(ops.stack(orders), axis=0))


def _nats(log, path, rows: int, columns: int):
    down, across = (ops.one_hot(path[..., i], n) for i, n in ((0, rows), (1, columns)))
    there = ops.sum(log * down[..., None] * across[..., None, :], axis=(2, 3))
    return -ops.mean(there, axis=1)
