"""Places that are known roughly, brought to the pixel."""

import numpy as np
import pytest
from keras import ops

from vgzoo.layers.registration import align

SIZE, SIDES = 6, (30, 26)


def shown(path: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """Frames `(B, T, H, W, 1)` of things that look like `(B, K, size, size)`."""
    clips = np.zeros((len(path), path.shape[2], *SIDES, 1), "float32")
    for b, k, t in np.ndindex(path.shape[:3]):
        y, x = path[b, k, t]
        part = clips[b, t, y : y + SIZE, x : x + SIZE, 0]
        np.maximum(part, looks[b, k], out=part)
    return clips


@pytest.mark.parametrize("things", [1, 2, 3])
def test_places_come_to_where_things_are(things):
    """All but for one step by which all places of a thing may be off, and its looks with them."""
    rng = np.random.default_rng(things)
    looks = np.zeros((4, things, SIZE, SIZE), "float32")
    looks[..., 1:-1, 1:-1] = rng.uniform(size=(4, things, SIZE - 2, SIZE - 2)) > 0.5
    room = np.array(SIDES) - SIZE
    path = np.stack([rng.integers(2, n - 1, (4, things, 12)) for n in room], axis=-1)
    off = rng.choice([-1, 0, 0, 0, 1], path.shape)
    clips = shown(path, looks)
    came = np.asarray(align(ops.convert_to_tensor(path + off), ops.convert_to_tensor(clips), SIZE))
    assert came.dtype == "int32"
    step = np.median(came - path, axis=2, keepdims=True)
    assert np.abs(step).max() <= 1
    assert (came == path + step).all(axis=-1).mean() > 0.9
    assert ((path + off) == path).all(axis=-1).mean() < 0.45


def test_places_stay_in_the_frame_and_where_nothing_is_to_be_seen():
    path = np.array([[[[0, 0], [24, 20], [7, 5]]]], "int32")
    nothing = np.zeros((1, 3, *SIDES, 1), "float32")
    np.testing.assert_array_equal(align(ops.convert_to_tensor(path), nothing, SIZE), path)
    noise = np.random.default_rng(0).uniform(size=nothing.shape).astype("float32")
    came = np.asarray(align(ops.convert_to_tensor(path), noise, SIZE))
    assert (came >= 0).all() and (came <= np.array(SIDES) - SIZE).all()
