"""The mathematics of forecasters without noise: what sees what, and what goes on from what."""

import numpy as np
import pytest
from every import build, fine_tune, kept
from films import write_films
from keras import ops
from tiny import TINY, clip_batch

import vgzoo
from vgzoo import models, optimizers
from vgzoo.errors import VgzooError
from vgzoo.layers.sprites import misplaced
from vgzoo.models import predformer
from vgzoo.models.convlstm import Cell


def clips(count: int = 2) -> np.ndarray:
    return (clip_batch(TINY["convlstm"], count) / 127.5 - 1).astype("float32")


def squashed(x):
    return 1 / (1 + np.exp(-x))


def test_a_step_is_that_of_a_long_short_term_memory():
    """At a single place, whose convolution is a matrix product, against the formulas."""
    cell, rng = Cell(3, 1), np.random.default_rng(0)
    x, h, c = (rng.normal(size=(5, 1, 1, n)).astype("float32") for n in (2, 3, 3))
    cell(x, h, c)
    for variable in cell.weights:
        variable.assign(rng.normal(size=variable.shape))
    kernel, bias, gamma, beta = (np.asarray(v) for v in cell.weights)
    z = np.concatenate([x, h], axis=-1)[:, 0, 0] @ kernel[0, 0] + bias
    z = (z - z.mean(axis=1, keepdims=True)) / np.sqrt(z.var(axis=1, keepdims=True) + 1e-3)
    i, f, g, o = np.split(gamma * z + beta, 4, axis=1)
    new = squashed(f + 1) * c[:, 0, 0] + squashed(i) * np.tanh(g)
    got_h, got_c = (np.asarray(v)[:, 0, 0] for v in cell(x, h, c))
    np.testing.assert_allclose(got_c, new, atol=1e-4)
    np.testing.assert_allclose(got_h, squashed(o) * np.tanh(new), atol=1e-4)


def test_convlstm_foretells_each_frame_from_those_before_it():
    model, clip = kept("convlstm"), clips()
    made = np.asarray(model.predicted(clip))
    assert made.shape == (2, 5, 16, 16, 1)
    changed = clip.copy()
    changed[:, 1] *= -1
    other = np.asarray(model.predicted(changed))
    np.testing.assert_allclose(other[:, 0], made[:, 0], atol=1e-6)
    assert (np.abs(other[:, 1:] - made[:, 1:]).max(axis=(2, 3, 4)) > 1e-4).all()
    changed = clip.copy()
    changed[:, 3:] *= -1  # what is to come is not seen
    np.testing.assert_allclose(model.predicted(changed), made, atol=1e-6)


SPRITES = {"objects": 2, "sprite": 8}


@pytest.mark.parametrize(
    ("arch", "options"), [("convlstm", {}), ("predformer", {}), ("predformer", SPRITES)]
)
def test_what_is_trained_is_what_is_forecast(arch, options):
    model, clip = build(arch, **options), clips()
    state = model.initial_state(clip[:, :3])
    made, _ = model.rollout(state, np.zeros((2, 3, 0), "float32"))
    np.testing.assert_allclose(made, np.asarray(model.predicted(clip))[:, -3:], atol=1e-5)


def test_predformer_goes_on_from_its_own():
    model, seen = kept("predformer"), clip_batch(TINY["predformer"], 2)[:, :3]
    made = model.forecast(seen, 7)
    again = model.forecast(made[:, :3], 3)
    assert np.abs(again.astype(int) - made[:, 3:6]).max() <= 2  # but for rounding to 8 bits
    assert model.forecast(seen, 3).shape == (2, 3, 16, 16, 1)


def test_layers_attend_to_time_space_space_and_time(monkeypatch):
    """Of one layer alone: which patches of which frames a change reaches."""
    order = predformer._ORDER
    tokens = np.random.default_rng(0).normal(size=(1, 3, 4, 4, 12)).astype("float32")
    changed = tokens.copy()
    changed[:, 1, 0, 0] *= -1
    for i, kind in enumerate(order):
        model = build("predformer")
        model.layers_ = [model.layers_[i]]
        monkeypatch.setattr(predformer, "_ORDER", kind * 4)
        difference = np.asarray(model._attended(changed) - model._attended(tokens))
        reached = np.abs(difference).reshape(3, 4, 4, 12).max(axis=3) > 1e-6
        assert reached.sum() == {"T": 3, "S": 16}[kind]
        assert (reached[:, 0, 0] if kind == "T" else reached[1]).all()
    assert order == "TSST"


def test_sprites_of_a_forecast_learn_where_things_are_and_will_be():
    """Two things that move straight on: all places are found after some steps, from nothing."""
    model = models.build("predformer", **TINY["predformer"] | SPRITES | {"features": 32})
    rng = np.random.default_rng(0)

    def batch(count: int) -> dict:
        shapes = rng.uniform(0.5, 1, (count, 2, 8, 8)) * (rng.uniform(size=(count, 2, 8, 8)) > 0.3)
        start, speed = rng.integers(2, 4, (count, 2, 2)), rng.integers(-1, 2, (count, 2, 2))
        path = np.stack([np.clip(start + t * speed, 0, 8) for t in range(6)], axis=2)
        clip = np.zeros((count, 6, 16, 16, 1))
        for i, k, t in np.ndindex(count, 2, 6):
            y, x = path[i, k, t]
            part = clip[i, t, y : y + 8, x : x + 8, 0]
            np.maximum(part, shapes[i, k], out=part)
        return {"clip": (255 * clip).astype("uint8"), "path": path.astype("int32")}

    model.compile(optimizers.Muon(3e-3))
    for _ in range(100):
        model.train_on_batch(batch(32))
    held = batch(64)
    _, shown, log = model._network((held["clip"][:, :3] / 127.5 - 1).astype("float32"))
    assert shown.shape == (64, 3, 16, 16, 1) and log.shape == (64, 2, 6, 9, 9)
    nats = misplaced(log, ops.convert_to_tensor(held["path"]), ops.zeros((64,), "bool"))
    assert float(ops.mean(nats)) < 0.75 * np.log(81)


def test_only_what_was_seen_of_places_says_where_things_go_on():
    """The path of each axis for itself, by a network that is the same for both and for all."""
    model = build("predformer", **SPRITES)
    rng = np.random.default_rng(0)
    log = np.log(rng.dirichlet(np.ones(81), (1, 2, 3)).reshape(1, 2, 3, 9, 9)).astype("float32")
    found = np.asarray(model.sprites._onward(log))
    turned = np.asarray(model.sprites._onward(np.swapaxes(log, 3, 4)[:, ::-1]))
    np.testing.assert_allclose(turned, np.swapaxes(found, 3, 4)[:, ::-1], atol=1e-5)
    # A sum of what the rows and the columns say.
    mixed = found - found.mean(3, keepdims=True) - found.mean(4, keepdims=True)
    np.testing.assert_allclose(mixed + found.mean((3, 4), keepdims=True), 0, atol=1e-5)
    assert np.ptp(found, axis=(3, 4)).min() > 1e-3


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("predformer", {"context": 2}, "context must be 3 … 5, not 2"),
        ("predformer", {"context": 6}, "context must be 3 … 5, not 6"),
        ("predformer", {"height": 18}, "multiples of an even patch=4"),
        ("predformer", {"features": 10}, "multiple of 2 · heads=2"),
        ("predformer", {"objects": 2, "sprite": 7}, "even side within square grey frames, not 7"),
        ("predformer", SPRITES | {"channels": 3}, "even side within square grey frames"),
        ("convlstm", {"context": 6}, "context must be 1 … 5, not 6"),
        ("convlstm", {"height": 18}, "multiples of patch=4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arch, changes, message):
    with pytest.raises(VgzooError, match=message):
        models.build(arch, **TINY[arch] | changes)


# -- fine-tuning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, frozen",
    [
        ("predformer-mnist", lambda model: model.layers_),
        ("convlstm-mnist", lambda model: model.cells[:2]),
    ],
)
def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(tmp_path, name, frozen):
    """A part of them frozen, which stays as it is: the transformers, or what sees first."""
    model = vgzoo.load(name)
    known, unseen = (write_films(tmp_path / str(i), 16, seed=i, frames=20) for i in (0, 1))
    options = {"frames": 20, "size": 64, "channels": 1, "batch_size": 4}
    held = np.concatenate([b["clip"] for b in vgzoo.data.clips(unseen, **options, count=16)])

    def error() -> float:
        made = model.forecast(held[:, :10], 10)
        return np.square(made.astype(float) - held[:, 10:]).mean()

    before = error()
    fine_tune(model, frozen(model), vgzoo.data.clips(known, count=80, **options))
    assert error() < 0.9 * before
