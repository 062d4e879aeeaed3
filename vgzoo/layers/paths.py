"""Where things are in every frame of a clip, once whole paths are weighed instead of single frames.

What speaks for a place in one noisy frame says little; added up along a path, over all frames, it
says much: radar calls this "track before detect". The paths along each axis are a table of some
hundred, at first straight ones between walls, learned from there; every path down goes with every
path across, so that a table of a few hundred stands for their square, and all of it is products of
matrices. The posterior over these pairs, by Bayes' rule, gives back the chances of places.

How often the paths are taken is learned too, as a table of the speeds down and across, so that they
can be drawn, before anything is seen: where things go is decided at once then, and whole.
"""

import numpy as np
from keras import layers, ops

_APART = 3  # pixels from one path to the next at first, where they cross the middle of the clip
_FASTEST = 0.1  # of the room that there is along an axis, for each frame
_WIDTH = 1.3  # pixels, of a path at first
_LEAST = 1e-6  # chance that is left to places that no likely path crosses
_FAST = 20.0  # logits of speeds for one unit of their weights, which learn as slowly as all others


class Paths(layers.Layer):
    """What speaks for places, frame by frame → logits of places that whole paths agree on.

    Args:
        frames: the most that there are in a clip; of shorter ones the paths are shorter.
    """

    def __init__(self, frames: int, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def build(self, shape):
        *_, rows, columns = shape
        (*self.there, down), (*self.aside, across) = (
            _straight(self.frames, places) for places in (rows, columns)
        )
        self.down, self.across = (
            self.add_weight(
                name=name,
                shape=table.shape,
                initializer=lambda _, dtype, table=table: ops.convert_to_tensor(table, dtype),
            )
            for name, table in (("down", down), ("across", across))
        )
        speeds = (1, self.there[1], self.aside[1])
        self.speeds = self.add_weight(name="speeds", shape=speeds, initializer="zeros")

    def call(self, evidence):
        """Logits float32 `(B, K, T, rows, columns)` → of the same shape."""
        _, things, frames, rows, columns = evidence.shape
        down, across = (ops.exp(table) for table in self._tables(frames))
        counts = down.shape[0], across.shape[0]
        down = ops.transpose(down, (1, 0, 2))
        across = ops.reshape(across, (counts[1], frames * columns))
        x = ops.reshape(evidence, (-1, frames, rows, columns))
        # For each path down, what is met across: (N, paths down, T · columns).
        x = ops.transpose(ops.matmul(down, x), (0, 2, 1, 3))
        x = ops.reshape(x, (-1, counts[0], frames * columns))
        x = ops.matmul(x, ops.transpose(across)) + self._taken()
        x = ops.softmax(ops.reshape(x, (-1, counts[0] * counts[1])), axis=-1)
        x = ops.matmul(ops.reshape(x, (-1, *counts)), across)
        x = ops.transpose(ops.reshape(x, (-1, counts[0], frames, columns)), (0, 2, 1, 3))
        x = ops.matmul(ops.transpose(down, (0, 2, 1)), x)
        return ops.log(ops.reshape(x, (-1, things, frames, rows, columns)) + _LEAST)

    def unlikely(self, path):
        """How unlikely it is that things go as they do: nats of a place, mean over them, `(B,)`.

        Args:
            path: int `(B, K, T, 2)`, where they are.
        """
        _, things, frames, _ = path.shape
        down, across = (
            self._met(table, path[..., axis]) for axis, table in enumerate(self._tables(frames))
        )
        x = self._taken() + down[..., :, None] + across[..., None, :]
        x = ops.logsumexp(ops.reshape(x, (-1, things, x.shape[2] * x.shape[3])), axis=-1)
        return -ops.mean(x, axis=1) / frames

    def draw(self, noise, things: int):
        """The paths of things that nothing is seen of yet, drawn as often as they are taken.

        Args:
            noise: normal numbers `(B, ·)`, of which some are used up.
            things: K.

        Returns:
            Their numbers down and across, int32 `(B, K, 2)`.
        """
        share = (1 + ops.erf(noise / np.sqrt(2))) / 2
        share = ops.clip(share, _LEAST, 1 - _LEAST)
        speeds = self.there[1] * self.aside[1]
        share = ops.reshape(share[:, : things * (speeds + 2)], (-1, things, speeds + 2))
        phase, chance = ops.split(share, [2], axis=-1)
        # The largest of logits with Gumbel noise is a draw, and rounding hardly ever changes it.
        logits = _FAST * ops.reshape(ops.cast(self.speeds, "float32"), (speeds,))
        speed = ops.argmax(logits - ops.log(-ops.log(chance)), axis=-1)
        speed = _pair(speed, (self.there[1], self.aside[1]))
        phases, counts = zip(self.there, self.aside, strict=True)
        phase = ops.cast(ops.multiply(phase, np.array(phases, "float32")), "int32")
        return ops.multiply(phase, np.array(counts, "int32")) + speed

    def along(self, ways):
        """Likeliest places on the paths that `draw` gives: int32 `(B, K, frames, 2)`."""
        # Of numbers as they are stored, which no backend rounds, the same place is largest in all.
        places = [
            ops.take(ops.argmax(table, axis=-1), way, axis=0)
            for table, way in zip((self.down, self.across), ops.unstack(ways, axis=-1), strict=True)
        ]
        return ops.cast(ops.stack(places, axis=-1), "int32")

    def _tables(self, frames: int):
        """Logarithms of the chances of places on each path down and across."""
        return [
            ops.log_softmax(ops.cast(table, "float32")[:, :frames], axis=-1)
            for table in (self.down, self.across)
        ]

    def _taken(self):
        """How often each path down goes with each across: logarithms `(down, across)`."""
        logits = _FAST * ops.cast(self.speeds, "float32")[0]
        logits = ops.tile(logits, (self.there[0], self.aside[0]))
        return logits - ops.logsumexp(logits)

    @staticmethod
    def _met(table, places):
        """Logarithms of the chances of places `(B, K, T)` on each path: `(B, K, paths)`."""
        paths, frames, count = table.shape
        _, things, _ = places.shape
        met = ops.reshape(ops.one_hot(places, count), (-1, frames * count))
        met = ops.matmul(met, ops.transpose(ops.reshape(table, (paths, frames * count))))
        return ops.reshape(met, (-1, things, paths))

    def compute_output_shape(self, shape):
        return shape


def sure(path, rows: int, columns: int):
    """Places int `(B, K, T, 2)` → logits `(B, K, T, rows, columns)` that leave no doubt of them."""
    down, across = (ops.one_hot(path[..., i], n) for i, n in ((0, rows), (1, columns)))
    return np.log(_LEAST) * (1 - down[..., None] * across[..., None, :])


def likeliest(log):
    """Of logarithms of chances `(B, K, T, rows, columns)` the likeliest places, int32 `(…, 2)`."""
    *outer, rows, columns = log.shape
    best = ops.argmax(ops.reshape(log, (-1, *outer[1:], rows * columns)), axis=-1)
    return _pair(best, (rows, columns))


def _pair(index, counts):
    """Numbers in a table of two axes → numbers along each, int32 `(…, 2)`."""
    index = ops.cast(index, "int32")
    return ops.stack([index // counts[1], index % counts[1]], axis=-1)


def _straight(frames: int, places: int) -> tuple[int, int, np.ndarray]:
    """Paths that go straight on and turn around at both ends.

    Each passes the middle of the clip somewhere on its way there and back, at one of some speeds.

    Returns:
        How many phases and speeds, and logits `(phases · speeds, frames, places)`.
    """
    room = places - 1
    phase = np.linspace(0, 2 * room, max(2 * room // _APART, 2), endpoint=False)
    speed = np.linspace(0, _FASTEST * room, max(room // _APART, 2))
    time = np.arange(frames) - (frames - 1) / 2
    way = phase[:, None, None] + speed[:, None] * time
    place = room - np.abs(np.mod(way, 2 * room) - room)
    apart = np.arange(places) - place.reshape(-1, frames, 1)
    logits = (-np.square(apart / _WIDTH) / 2).astype("float32")
    return len(phase), len(speed), logits
