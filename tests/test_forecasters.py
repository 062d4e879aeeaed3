"""The mathematics of forecasters without noise: what sees what, and what goes on from what."""

import numpy as np
import pytest
from every import build
from tiny import TINY, clip_batch

from vgzoo import models
from vgzoo.errors import VgzooError
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
    model, clip = build("convlstm"), clips()
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


@pytest.mark.parametrize("arch", ["convlstm", "predformer"])
def test_what_is_trained_is_what_is_forecast(arch):
    model, clip = build(arch), clips()
    state = model.initial_state(clip[:, :3])
    made, _ = model.rollout(state, np.zeros((2, 3, 0), "float32"))
    np.testing.assert_allclose(made, np.asarray(model.predicted(clip))[:, -3:], atol=1e-5)


def test_predformer_goes_on_from_its_own():
    model, seen = build("predformer"), clip_batch(TINY["predformer"], 2)[:, :3]
    made = model.forecast(seen, 7)
    again = model.forecast(made[:, :3], 3)
    assert np.abs(again.astype(int) - made[:, 3:6]).max() <= 2  # but for rounding to 8 bits
    assert model.forecast(seen, 3).shape == (2, 3, 16, 16, 1)


def test_layers_attend_to_time_space_space_and_time(monkeypatch):
    """Of one layer alone: which patches of which frames a change reaches."""
    order, clip = predformer._ORDER, clips(1)[:, :3]
    changed = clip.copy()
    changed[:, 1, :4, :4] *= -1
    for i, kind in enumerate(order):
        model = build("predformer")
        model.layers_ = [model.layers_[i]]
        monkeypatch.setattr(predformer, "_ORDER", kind * 4)
        difference = np.asarray(model._network(changed) - model._network(clip))
        reached = np.abs(difference).reshape(3, 4, 4, 4, 4).max(axis=(2, 4)) > 1e-6
        assert reached.sum() == {"T": 3, "S": 16}[kind]
        assert (reached[:, 0, 0] if kind == "T" else reached[1]).all()
    assert order == "TSST"


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("predformer", {"context": 2}, "context must be 3 … 5, not 2"),
        ("predformer", {"context": 6}, "context must be 3 … 5, not 6"),
        ("predformer", {"height": 18}, "multiples of patch=4"),
        ("predformer", {"features": 10}, "multiple of 2 · heads=2"),
        ("convlstm", {"context": 6}, "context must be 1 … 5, not 6"),
        ("convlstm", {"height": 18}, "multiples of patch=4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arch, changes, message):
    with pytest.raises(VgzooError, match=message):
        models.build(arch, **TINY[arch] | changes)
