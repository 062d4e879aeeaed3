"""Things that keep their shape: found where whole paths lead, cut out and set back."""

import numpy as np
import pytest
from every import kept
from keras import ops

from vgzoo.data import motion
from vgzoo.layers.paths import Paths
from vgzoo.layers.sprites import Sprites, misplaced


def sprites(count: int = 2) -> Sprites:
    layer = Sprites(count, size=4, patch=2, width=8, blocks=1)
    layer(*map(ops.zeros, ((2, 6, 5, 3), (1, 2, 12, 10, 3), (1, count, 5), (1, 7))))
    return layer


def test_what_is_sure_where_it_is_is_cut_out_and_set_back():
    """Matrices of sure places are a copy, to the pixel; of unsure ones the mean of copies."""
    layer, rng = sprites(), np.random.default_rng(0)
    sprite = rng.uniform(size=(4, 4)).astype("float32")
    for y, x in ((0, 0), (3, 5), (8, 6)):
        share = [ops.one_hot([[[i]]], n) for i, n in ((y, 9), (x, 7))]
        rows, columns = (
            np.asarray(layer._matrices(s, side))[0, 0, 0]
            for s, side in zip(share, (12, 10), strict=True)
        )
        frame = np.zeros((12, 10), "float32")
        frame[y : y + 4, x : x + 4] = sprite
        np.testing.assert_array_equal(rows @ sprite @ columns.T, frame)
        np.testing.assert_array_equal(rows.T @ frame @ columns, sprite)
    share = np.zeros((1, 1, 1, 9), "float32")
    share[..., [2, 5]] = 0.25, 0.75
    rows = np.asarray(layer._matrices(ops.convert_to_tensor(share), 12))[0, 0, 0]
    assert rows[2, 0] == 0.25 and rows[5, 0] == 0.75 and rows[8, 3] == 0.75


def test_a_sprite_starts_as_the_mean_of_what_is_seen_where_it_is(monkeypatch):
    layer, rng = sprites(1), np.random.default_rng(0)
    sprite = rng.uniform(size=(4, 4)).astype("float32")
    places = [(1, 2), (6, 3)]
    frames = np.zeros((1, 2, 12, 10, 3), "float32")
    for t, (y, x) in enumerate(places):
        frames[0, t, y : y + 4, x : x + 4, :2] = sprite[..., None]
    sure = np.full((1, 1, 2, 9, 7), -50, "float32")
    for t, (y, x) in enumerate(places):
        sure[0, 0, t, y, x] = 50
    monkeypatch.setattr(layer, "_chances", lambda *_: ops.convert_to_tensor(sure))
    told = np.zeros((2, 6, 5, 3), "float32"), frames, np.zeros((1, 1, 5)), np.zeros((1, 7))
    shown, log = layer(*(ops.convert_to_tensor(np.asarray(x, "float32")) for x in told))
    np.testing.assert_allclose(shown[..., 0], frames[..., 0], atol=1e-5)
    path = np.array([[places]], "int32")
    right = misplaced(log, ops.convert_to_tensor(path), ops.convert_to_tensor([True]))
    wrong = misplaced(log, ops.convert_to_tensor(path + 1), ops.convert_to_tensor([True]))
    assert float(right[0]) < 1e-3 and float(wrong[0]) > 90


def test_chances_of_places_are_those_that_bayes_rule_gives_whole_paths():
    """Against the sum over all pairs of paths and all places on them, one by one."""
    layer, rng = Paths(3), np.random.default_rng(0)
    layer.build((1, 1, 3, 4, 5))
    layer.down.assign(rng.normal(size=layer.down.shape))
    layer.across.assign(rng.normal(size=layer.across.shape))
    layer.pairs.assign(rng.normal(size=layer.pairs.shape))
    evidence = rng.normal(size=(1, 2, 3, 4, 5)).astype("float32")
    found = np.exp(np.asarray(layer(ops.convert_to_tensor(evidence))))
    down, across = (
        np.exp(table) / np.exp(table).sum(axis=-1, keepdims=True)
        for table in (np.asarray(layer.down), np.asarray(layer.across))
    )
    for i in range(2):
        speaks = sum(down[:, t] @ evidence[0, i, t] @ across[:, t].T for t in range(3))
        chance = np.exp(speaks + np.asarray(layer.pairs)[0])
        chance /= chance.sum()
        for t in range(3):
            wanted = down[:, t].T @ chance @ across[:, t]
            np.testing.assert_allclose(found[0, i, t], wanted, rtol=1e-3, atol=2e-6)


@pytest.mark.parametrize("frames", [16, 7])
def test_what_no_frame_shows_a_path_does(frames):
    """Things weaker than the noise of a frame, which bounce, are found where they are."""
    rng, count = np.random.default_rng(1), 6
    path = motion.trajectory(rng.uniform(size=(count, 2)), rng.uniform(0, 6, count), 16)
    path = path[:, :frames]
    apart = np.arange(37) - path[..., None]  # (count, frames, 2, 37)
    bump = np.exp(-np.square(apart / 2) / 2)
    evidence = rng.normal(size=(count, 1, frames, 37, 37))
    evidence[:, 0] += 1.2 * bump[:, :, 0, :, None] * bump[:, :, 1, None]
    evidence = evidence.astype("float32")
    layer = Paths(16)
    found = np.asarray(layer(ops.convert_to_tensor(20 * evidence)))[:, 0]
    place = np.stack(np.divmod(found.reshape(count, frames, -1).argmax(axis=-1), 37), axis=-1)
    far = np.linalg.norm(place - path, axis=-1)
    single = evidence.reshape(count, frames, -1).argmax(axis=-1)
    missed = np.linalg.norm(np.stack(np.divmod(single, 37), axis=-1) - path, axis=-1)
    assert np.median(far) <= 2 and np.median(missed) > 8


def test_things_without_an_order_may_be_any_sprite():
    rng = np.random.default_rng(0)
    log = np.log(rng.dirichlet(np.ones(6), (2, 2, 3)).reshape(2, 2, 3, 2, 3)).astype("float32")
    path = np.stack([rng.integers(0, n, (2, 2, 3)) for n in (2, 3)], axis=-1).astype("int32")
    swapped = path[:, ::-1]

    def nats(path, ordered):
        return np.asarray(misplaced(*map(ops.convert_to_tensor, (log, path, np.array(ordered)))))

    i, k, t = np.indices((2, 2, 3))
    wanted = -log[i, k, t, path[..., 0], path[..., 1]].mean(axis=(1, 2))
    np.testing.assert_allclose(nats(path, [True, True]), wanted, rtol=1e-5)
    free = nats(path, [False, False])
    np.testing.assert_allclose(free, nats(swapped, [False, False]), rtol=1e-5)
    other = nats(swapped, [True, True])
    np.testing.assert_allclose(free, np.minimum(wanted, other), rtol=1e-5)


def test_paths_follow_their_labels():
    """The sprite of the smaller label is told the path of the thing that has it."""
    model = kept("rflow")
    labels, rng = np.array([[7, 2], [2, 7]], "int32"), np.random.default_rng(0)
    path = rng.integers(0, 9, (1, 2, 6, 2)).astype("int32")
    path = np.concatenate([path, path[:, ::-1]])
    log = np.log(rng.dirichlet(np.ones(81), (1, 2, 6)).reshape(1, 2, 6, 9, 9)).astype("float32")
    log = np.repeat(log, 2, axis=0)
    tensors = [ops.convert_to_tensor(x) for x in (log, np.sort(labels), labels, path)]
    tensors[1] = model._classes(tensors[1], 2)
    first, second = np.asarray(model._misplaced(*tensors))
    assert first == pytest.approx(second)
    tensors[3] = ops.flip(tensors[3], axis=1)
    assert abs(float(model._misplaced(*tensors)[0]) - first) > 1e-3
