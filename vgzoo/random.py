"""The one source of noise.

Two kinds of draw, both stateless:

- **on the host** (`uniform_rows`, `normal_rows`): row i of a stream depends on the seed and on i
  alone, so a clip does not change with the batch it is made in, nor with the backend. Philox
  (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3") can jump to any row.
- **on the device** (`normal`, `uniform`), inside a compiled training step: folded from the seed
  and the step. A plain `SeedGenerator` gives every replica of a `MirroredStrategy` the same noise;
  here each takes its rows of what is drawn for the whole batch, so a step is the same however many
  devices share it.
"""

import keras
import numpy as np

from vgzoo.errors import VgzooError

_DRAWS_PER_COUNT = 4  # one Philox counter value yields four 64-bit draws


def uniform_rows(seed: int, start: int, rows: int, columns: int) -> np.ndarray:
    """Rows `start … start + rows` of an endless table of uniform numbers in [0, 1).

    Returns float64 `(rows, columns)`; any slice of the table is had without the rows before it.
    """
    width = -(-columns // _DRAWS_PER_COUNT) * _DRAWS_PER_COUNT
    philox = np.random.Philox(key=_checked(seed))
    philox.advance(int(start) * width // _DRAWS_PER_COUNT)
    return np.random.Generator(philox).random((rows, width))[:, :columns]


def normal_rows(seed: int, start: int, rows: int, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise for clips `start … start + rows`: float32 `(rows, *shape)`."""
    seed, start = _checked(seed), int(start)
    noise = np.empty((rows, *shape), "float32")
    for i in range(rows):
        # The upper half of the 128-bit key holds the clip's number: a stream for each clip.
        stream = np.random.Generator(np.random.Philox(key=seed + ((start + i + 1) << 64)))
        stream.standard_normal(dtype="float32", out=noise[i])
    return noise


def _checked(seed: int) -> int:
    if not 0 <= seed < 1 << 64:
        raise VgzooError(f"seed must lie between 0 and 2**64 - 1, not {seed}")
    return int(seed)  # a NumPy integer would overflow in the 128-bit key


def normal(shape, *, seed: int, step, salt: int = 0):
    """Standard normal float32 tensor for one training step.

    Args:
        shape: its shape; entries may be tensors on TensorFlow. The first axis is the batch's: in
            a replica, that of its own part.
        seed: the run's seed, a Python integer.
        step: int32 scalar tensor, the step the noise is for.
        salt: tells apart several draws of one step.
    """
    return _draw("normal", shape, seed, step, salt)


def uniform(shape, *, seed: int, step, salt: int = 0):
    """Uniform float32 tensor in [0, 1) for one training step; arguments as for `normal`."""
    return _draw("uniform", shape, seed, step, salt)


def _words(seed: int) -> list[int]:
    """A seed in pieces of 31 bits, low ones first: devices count in int32."""
    return [(seed >> low) & 0x7FFFFFFF for low in range(0, max(seed.bit_length(), 1), 31)]


def _draw(kind: str, shape, seed: int, step, salt: int):
    first, *rest = _words(_checked(seed))
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        key = tf.constant([first, salt], "int32")
        for data in (*rest, step):
            key = tf.random.experimental.stateless_fold_in(key, tf.cast(data, "int32"))
        draw = getattr(tf.random, f"stateless_{kind}")
        context = tf.distribute.get_replica_context()
        replicas = 1 if context is None else context.num_replicas_in_sync
        if replicas == 1 or not len(shape):
            return draw(shape, key)
        return draw((replicas, *shape), key)[context.replica_id_in_sync_group]
    if backend == "jax":
        import jax

        # A global array is drawn whole and sharded, so its rows differ between devices already.
        key = jax.random.key(first)
        for data in (salt, *rest, step):
            key = jax.random.fold_in(key, data)
        return getattr(jax.random, kind)(key, shape)
    import torch

    folded = np.random.SeedSequence([seed, salt, int(step)]).generate_state(1)[0]
    generator = torch.Generator().manual_seed(int(folded))
    draw = torch.randn if kind == "normal" else torch.rand
    return keras.ops.convert_to_tensor(draw(tuple(shape), generator=generator))
