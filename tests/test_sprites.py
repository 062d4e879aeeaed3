"""Things that keep their shape: found where whole paths lead, cut out and set back."""

import numpy as np
import pytest
from every import kept
from keras import ops

from vgzoo.data import motion
from vgzoo.layers.paths import Paths, likeliest, sure
from vgzoo.layers.sprites import Sprites, misplaced
from vgzoo.models import _places


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


def weighed(frames: int, rows: int, columns: int) -> tuple[Paths, np.ndarray, list[np.ndarray]]:
    """Paths with random weights; how often each pair is taken, and the chances of places."""
    layer, rng = Paths(frames), np.random.default_rng(0)
    layer.build((1, 1, frames, rows, columns))
    for weight, scale in ((layer.down, 1), (layer.across, 1), (layer.speeds, 0.05)):
        weight.assign(rng.normal(size=weight.shape) * scale)
    taken = np.tile(np.exp(20 * np.asarray(layer.speeds)[0]), (layer.there[0], layer.aside[0]))
    tables = [np.exp(np.asarray(table)) for table in (layer.down, layer.across)]
    tables = [table / table.sum(axis=-1, keepdims=True) for table in tables]
    return layer, taken / taken.sum(), tables


def test_chances_of_places_are_those_that_bayes_rule_gives_whole_paths():
    """Against the sum over all pairs of paths and all places on them, one by one."""
    layer, taken, (down, across) = weighed(3, 4, 5)
    evidence = np.random.default_rng(1).normal(size=(1, 2, 3, 4, 5)).astype("float32")
    found = np.exp(np.asarray(layer(ops.convert_to_tensor(evidence))))
    for i in range(2):
        speaks = sum(down[:, t] @ evidence[0, i, t] @ across[:, t].T for t in range(3))
        chance = np.exp(speaks) * taken
        chance /= chance.sum()
        for t in range(3):
            wanted = down[:, t].T @ chance @ across[:, t]
            np.testing.assert_allclose(found[0, i, t], wanted, rtol=1e-3, atol=2e-6)


def test_drawn_paths_go_where_they_are_likeliest_to():
    layer, _, (down, across) = weighed(3, 4, 5)
    path = np.asarray(layer.along(ops.convert_to_tensor(np.array([[[2, 1], [0, 3]]], "int32"))))
    for places, (way, other) in zip(path[0], ((2, 1), (0, 3)), strict=True):
        np.testing.assert_array_equal(places[:, 0], down[way].argmax(axis=-1))
        np.testing.assert_array_equal(places[:, 1], across[other].argmax(axis=-1))


def test_sure_places_leave_no_doubt():
    path = np.array([[[[2, 1], [0, 4]]]], "int32")
    chances = np.exp(np.asarray(sure(ops.convert_to_tensor(path), 3, 5)))
    wanted = np.full((1, 1, 2, 3, 5), 1e-6)
    wanted[0, 0, 0, 2, 1] = wanted[0, 0, 1, 0, 4] = 1
    np.testing.assert_allclose(chances, wanted, rtol=1e-4)
    unsure = np.random.default_rng(0).normal(size=wanted.shape).astype("float32") + 6 * wanted
    np.testing.assert_array_equal(likeliest(ops.convert_to_tensor(unsure)), path)


def test_how_unlikely_things_move_as_they_do():
    """Against all pairs of paths, one by one."""
    layer, taken, tables = weighed(5, 4, 6)
    rng = np.random.default_rng(1)
    path = np.stack([rng.integers(0, n, (2, 3, 5)) for n in (4, 6)], axis=-1).astype("int32")
    for one, found in zip(path, layer.unlikely(ops.convert_to_tensor(path)), strict=True):
        wanted = []
        for thing in one:
            met = [
                table[:, np.arange(5), thing[:, axis]].prod(axis=1)
                for axis, table in enumerate(tables)
            ]
            wanted.append(-np.log((taken * np.outer(*met)).sum()) / 5)
        assert float(found) == pytest.approx(np.mean(wanted), rel=1e-5)


def test_paths_are_drawn_as_often_as_they_are_taken():
    layer, taken, _ = weighed(3, 7, 10)
    noise = np.random.default_rng(1).normal(size=(40_000, 50)).astype("float32")
    ways = np.asarray(layer.draw(ops.convert_to_tensor(noise), 2))
    assert ways.shape == (40_000, 2, 2) and ways.min() >= 0
    for thing in range(2):
        counts = np.zeros_like(taken)
        np.add.at(counts, tuple(ways[:, thing].T), 1)
        deviation = np.sqrt(taken * (1 - taken) / 40_000)
        assert (np.abs(counts / 40_000 - taken) < 4.5 * deviation).all()
    both = np.mean((ways[:, 0] == ways[:, 1]).all(axis=-1))
    assert both == pytest.approx((taken**2).sum(), abs=0.01)  # each thing goes its own way


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
    rng = np.random.default_rng(0)
    labels = ops.convert_to_tensor(np.array([[7, 2], [2, 7]], "int32"))
    path = rng.integers(0, 9, (1, 2, 6, 2)).astype("int32")
    path = np.concatenate([path, path[:, ::-1]])
    found = np.asarray(_places.ordered(ops.convert_to_tensor(path), labels))
    np.testing.assert_array_equal(found, np.stack([path[1], path[1]]))


def test_what_changes_its_label_keeps_its_places(monkeypatch):
    """Sprites come in the order of labels, so that another one may take the path over."""
    model = kept("rflow")
    path = np.random.default_rng(0).integers(0, 9, (2, 2, 6, 2)).astype("int32")
    found = sure(ops.convert_to_tensor(path), 9, 9)
    monkeypatch.setattr(model.sprites, "found", lambda *_: found)
    clip = ops.zeros((2, 6, 16, 16, 1))  # which shows nothing that could be found more exactly
    before, after = np.array([[3, 5], [5, 3]], "int32"), np.array([[8, 5], [5, 2]], "int32")
    (new,), (old,) = model.kept(clip, before, after)
    np.testing.assert_array_equal(old, found)  # of the smaller label, then of the larger
    np.testing.assert_array_equal(new, [np.asarray(found)[0, ::-1], found[1]])
    for (each,) in model.kept(clip, before, None):
        np.testing.assert_array_equal(each, found)
    assert model.kept(clip, None, after) == ((), ())  # nobody knows which is which


def test_paths_are_drawn_where_nothing_is_known_and_sprites_keep_to_them(monkeypatch):
    model = kept("rflow")
    noise = np.random.default_rng(0).normal(size=(3, 6, 16, 16, 1)).astype("float32")
    known = np.zeros((3, 6, 16, 16, 1), "float32")
    known[1, :, 2, 3] = 1
    drawn = model._drawn(*map(ops.convert_to_tensor, (noise, known)))
    places, told = map(np.asarray, drawn)
    np.testing.assert_array_equal(told.ravel(), [True, False, True])
    assert np.abs(places[0] - places[2]).max() > 0.1
    # Nothing that is seen speaks for any place.
    monkeypatch.setattr(model.sprites, "_chances", lambda *_: ops.zeros((3, 2, 6, 9, 9)))
    given = noise, np.zeros(3, "float32"), model._classes(None, 3), noise, known
    *_, found = model._parts(*map(ops.convert_to_tensor, given), *drawn)
    found = np.exp(np.asarray(found))
    np.testing.assert_allclose(found[[0, 2]], np.exp(places)[[0, 2]], atol=1e-3)
    assert np.abs(found[1, 0, 0] - found[1, 0, 5]).max() < 0.02  # of no path in particular
    everywhere = model._parts(*map(ops.convert_to_tensor, given), drawn[0])[-1]
    np.testing.assert_allclose(np.exp(everywhere), np.exp(places), atol=1e-3)
