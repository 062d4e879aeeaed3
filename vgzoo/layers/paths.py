"""Where things are in every frame of a clip, once whole paths are weighed instead of single frames.

What speaks for a place in one noisy frame says little; added up along a path, over all frames, it
says much: radar calls this "track before detect". The paths along each axis are a table of some
hundred, at first straight ones between walls, learned from there; every path down goes with every
path across, so that a table of a few hundred stands for their square, and all of it is products of
matrices. The posterior over these pairs, by Bayes' rule, gives back the chances of places.
"""

import numpy as np
from keras import layers, ops

_PHASES, _SPEEDS = 24, 12  # of the paths at first
_FASTEST = 0.1  # of the room that there is along an axis, for each frame
_WIDTH = 1.3  # pixels, of a path at first
_LEAST = 1e-6  # chance that is left to places that no likely path crosses


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
        self.down, self.across = (
            self.add_weight(
                name=name,
                shape=(_PHASES * _SPEEDS, self.frames, count),
                initializer=lambda shape, dtype: ops.convert_to_tensor(_straight(*shape), dtype),
            )
            for name, count in (("down", rows), ("across", columns))
        )
        pairs = (1, _PHASES * _SPEEDS, _PHASES * _SPEEDS)
        self.pairs = self.add_weight(name="pairs", shape=pairs, initializer="zeros")

    def call(self, evidence):
        """Logits float32 `(B, K, T, rows, columns)` → of the same shape."""
        _, things, frames, rows, columns = evidence.shape
        down, across = (
            ops.softmax(ops.cast(table, "float32")[:, :frames], axis=-1)
            for table in (self.down, self.across)
        )
        count = down.shape[0]
        flat_down = ops.reshape(ops.transpose(down, (1, 0, 2)), (frames, count, rows))
        flat_across = ops.reshape(across, (count, frames * columns))
        x = ops.reshape(evidence, (-1, frames, rows, columns))
        # For each path down, what is met across: (N, count, T · columns).
        x = ops.transpose(ops.matmul(flat_down, x), (0, 2, 1, 3))
        x = ops.reshape(x, (-1, count, frames * columns))
        x = ops.matmul(x, ops.transpose(flat_across)) + ops.cast(self.pairs, "float32")
        x = ops.softmax(ops.reshape(x, (-1, count * count)), axis=-1)
        x = ops.matmul(ops.reshape(x, (-1, count, count)), flat_across)
        x = ops.transpose(ops.reshape(x, (-1, count, frames, columns)), (0, 2, 1, 3))
        x = ops.matmul(ops.transpose(flat_down, (0, 2, 1)), x)
        return ops.log(ops.reshape(x, (-1, things, frames, rows, columns)) + _LEAST)

    def compute_output_shape(self, shape):
        return shape


def _straight(count: int, frames: int, places: int) -> np.ndarray:
    """Logits of paths that go straight on and turn around at both ends: `(count, frames, places)`.

    Each passes the middle of the clip somewhere on its way there and back, at one of some speeds.
    """
    room = places - 1
    phase = np.linspace(0, 2 * room, _PHASES, endpoint=False)
    speed = np.linspace(0, _FASTEST * room, count // _PHASES)
    time = np.arange(frames) - (frames - 1) / 2
    way = phase[:, None, None] + speed[:, None] * time
    place = room - np.abs(np.mod(way, 2 * room) - room)
    apart = np.arange(places) - place.reshape(count, frames, 1)
    return (-np.square(apart / _WIDTH) / 2).astype("float32")
