"""Where things are in every frame of a clip, once whole paths are weighed instead of single frames.

What speaks for a place in one noisy frame says little; added up along a path, over all frames, it
says much: radar calls this "track before detect". The paths along each axis are a table of some
hundred, at first straight ones between walls, learned from there; every path down goes with every
path across, so that a table of a few hundred stands for their square, and all of it is products of
matrices. The posterior over these pairs, by Bayes' rule, gives back the chances of places.
"""

import numpy as np
from keras import layers, ops

_APART = 3  # pixels from one path to the next at first, where they cross the middle of the clip
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
                shape=table.shape,
                initializer=lambda _, dtype, table=table: ops.convert_to_tensor(table, dtype),
            )
            for name, table in (
                ("down", _straight(self.frames, rows)),
                ("across", _straight(self.frames, columns)),
            )
        )
        pairs = (1, self.down.shape[0], self.across.shape[0])
        self.pairs = self.add_weight(name="pairs", shape=pairs, initializer="zeros")

    def call(self, evidence):
        """Logits float32 `(B, K, T, rows, columns)` → of the same shape."""
        _, things, frames, rows, columns = evidence.shape
        down, across = (
            ops.softmax(ops.cast(table, "float32")[:, :frames], axis=-1)
            for table in (self.down, self.across)
        )
        ways = down.shape[0], across.shape[0]
        down = ops.transpose(down, (1, 0, 2))
        across = ops.reshape(across, (ways[1], frames * columns))
        x = ops.reshape(evidence, (-1, frames, rows, columns))
        # For each path down, what is met across: (N, ways down, T · columns).
        x = ops.transpose(ops.matmul(down, x), (0, 2, 1, 3))
        x = ops.reshape(x, (-1, ways[0], frames * columns))
        x = ops.matmul(x, ops.transpose(across)) + ops.cast(self.pairs, "float32")
        x = ops.softmax(ops.reshape(x, (-1, ways[0] * ways[1])), axis=-1)
        x = ops.matmul(ops.reshape(x, (-1, *ways)), across)
        x = ops.transpose(ops.reshape(x, (-1, ways[0], frames, columns)), (0, 2, 1, 3))
        x = ops.matmul(ops.transpose(down, (0, 2, 1)), x)
        return ops.log(ops.reshape(x, (-1, things, frames, rows, columns)) + _LEAST)

    def compute_output_shape(self, shape):
        return shape


def _straight(frames: int, places: int) -> np.ndarray:
    """Logits of paths that go straight on and turn around at both ends: `(paths, frames, places)`.

    Each passes the middle of the clip somewhere on its way there and back, at one of some speeds.
    """
    room = places - 1
    phase = np.linspace(0, 2 * room, max(2 * room // _APART, 2), endpoint=False)
    speed = np.linspace(0, _FASTEST * room, max(room // _APART, 2))
    time = np.arange(frames) - (frames - 1) / 2
    way = phase[:, None, None] + speed[:, None] * time
    place = room - np.abs(np.mod(way, 2 * room) - room)
    apart = np.arange(places) - place.reshape(-1, frames, 1)
    return (-np.square(apart / _WIDTH) / 2).astype("float32")
