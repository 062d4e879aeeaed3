"""bench: counts what is run, reports what was measured, and leaves the model alone."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from vgzoo import hub, models
from vgzoo.bench import bench, flops
from vgzoo.errors import VgzooError
from vgzoo.models.base import input_gradient

TINY = {
    "frames": 4,
    "height": 16,
    "width": 16,
    "widths": (6, 10),
    "discriminator_widths": (8, 8),
    "content": 8,
    "motion": 4,
    "waves": 4,
}
QUICK = {"batch_sizes": (1, 3), "train_batch": 4, "seconds": 0.01}


@pytest.fixture(scope="module")
def model():
    return models.build("r3gan", **TINY)


@pytest.fixture(scope="module")
def initial(model):
    return [np.copy(ops.convert_to_numpy(variable)) for variable in model.weights]


@pytest.fixture(scope="module")
def report(model, initial):
    return bench(model, **QUICK)


def test_report_has_what_the_command_line_promises(report):
    promised = (
        "name batch frames_per_s train_clips_per_s gflop_per_frame peak_gflops utilisation "
        "load_s peak_memory_mb dtype train_batch train_gflop_per_clip train_utilisation"
    )
    assert set(promised.split()) <= report.keys()
    assert json.loads(json.dumps(report)) == report
    assert report["peak_memory_mb"] > 50


def test_policies_stand_side_by_side_and_the_faster_one_leads(report):
    assert list(report["policies"]) == ["float32", "mixed_bfloat16"]
    rates = {policy: r["frames_per_s"] for policy, r in report["policies"].items()}
    assert report["dtype"] == max(rates, key=rates.get)
    assert report["frames_per_s"] == max(rates.values())


def test_figures_of_a_report_fit_each_other(report):
    for one in report["policies"].values():
        assert [row["batch"] for row in one["rows"]] == [1, 3]
        assert one["frames_per_s"] == max(row["frames_per_s"] for row in one["rows"])
        achieved = one["frames_per_s"] * one["gflop_per_frame"]
        assert one["utilisation"] == pytest.approx(achieved / one["peak_gflops"])
        achieved = one["train_clips_per_s"] * one["train_gflop_per_clip"]
        assert one["train_utilisation"] == pytest.approx(achieved / one["peak_gflops"])
        assert 0 < one["utilisation"] < 1


def test_generation_is_counted_as_by_hand(model, report):
    """Every weight of a layer meets every position the layer is applied to."""
    frames, side, features = TINY["frames"], TINY["height"], model.features
    places = {"block_4": 4 * 4, "to_8": 4 * 4, "block_8": 8 * 8, "sprite": side**2}
    places |= {part: frames * (side // 2) ** 2 for part in ("scene", "detail")}
    places |= {"pixels": frames * side**2, "bend": frames, "style": 1}
    per_clip = 0
    for variable in model.generator.weights:
        if variable.path.endswith("kernel"):
            parts = variable.path.split("/")[::-1]
            positions = next((places[part] for part in parts if part in places), 1)
            per_clip += 2 * positions * int(np.prod(variable.shape))
    # The sprite, as large as the frame here, is set in its rows and then in its columns.
    per_clip += 2 * frames * 2 * side**3 * features
    assert report["gflop_per_frame"] * 1e9 == pytest.approx(per_clip / frames)


def test_work_that_the_backend_drops_is_not_counted():
    """The gradient at the input needs the convolution and its transpose, not its filters'."""
    conv = keras.layers.Conv2D(5, 3, padding="same")
    x = np.ones((2, 6, 6, 4), "float32")
    conv.build(x.shape)
    once = 2 * (2 * 6 * 6 * 5) * (3 * 3 * 4)
    assert flops(conv, x) == once

    def gradient(x):
        return input_gradient(lambda c: ops.square(conv(c)), x)

    assert flops(gradient, x) == 2 * once


@pytest.mark.parametrize("strides", [1, 2])
def test_a_gradient_of_a_convolution_counts_as_the_convolution(strides):
    conv = keras.layers.Conv1D(8, 4, strides=strides, padding="same")
    x = np.ones((2, 8, 3), "float32")
    conv.build(x.shape)

    def gradient(x):
        return input_gradient(lambda c: ops.square(conv(c)), x)

    assert flops(gradient, x) == 2 * flops(conv, x)


def test_training_counts_both_networks_forward_and_backward(report):
    one = report["policies"]["float32"]
    assert one["train_gflop_per_clip"] > 3 * TINY["frames"] * one["gflop_per_frame"]


def test_a_name_is_loaded_and_its_loading_timed(model, report, tmp_path):
    folder = hub.save(model, tmp_path / "tiny-gan")
    loaded = bench(folder, batch_sizes=(2,), train_batch=8, dtype="float32", seconds=0.01)
    assert loaded["name"] == "tiny-gan"
    assert loaded["load_s"] > 0
    assert list(loaded["policies"]) == ["float32"]
    # The same network, whatever the batch.
    for field in ("gflop_per_frame", "train_gflop_per_clip"):
        assert loaded[field] == pytest.approx(report["policies"]["float32"][field])


def test_a_model_that_is_handed_in_keeps_its_weights(model, initial, report):
    assert report["name"] == model.name
    for variable, value in zip(model.weights, initial, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)
    assert not model.compiled


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_sizes": (0,)}, "at least 1, not 0"),
        ({"batch_sizes": ()}, "at least one batch size"),
        ({"train_batch": 2.5}, "at least 1, not 2.5"),
        ({"dtype": "float31"}, "float31"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(model, arguments, message):
    with pytest.raises(VgzooError, match=message) as caught:
        bench(model, **arguments)
    assert "\n" not in str(caught.value)


def test_a_backend_without_a_count_is_refused(model, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(VgzooError, match="tensorflow and jax, not on torch"):
        bench(model)
