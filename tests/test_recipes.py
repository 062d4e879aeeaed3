"""What recipes say: of models and data, of learning rates, of gradients that are accumulated."""

import json

import keras
import numpy as np
import pytest
from colour_banks import write_cifar10, write_imagenette
from test_train import FLAT, RECIPE, change
from tiny import TINY, write_mnist

import vgzoo
from vgzoo import data
from vgzoo.errors import VgzooError
from vgzoo.train import names, recipes, truths


@pytest.fixture
def recipe(tmp_path):
    """Path of a recipe of a small model."""
    path = tmp_path / "tiny.json"
    change(path)
    return path


@pytest.fixture
def banks(tmp_path, monkeypatch):
    """Small banks of every dataset."""
    write_mnist(tmp_path)
    write_cifar10(tmp_path)
    write_imagenette(tmp_path)
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))


@pytest.mark.parametrize("name", names())
def test_bundled_recipes_fit_their_model_and_data(name, banks):
    _, recipe = recipes.read(name)
    model = vgzoo.models.build(recipe["arch"], **recipe["kwargs"])
    make = truths.clips if model.family == "judge" else data.clips
    count = recipe["dataset"].count("+") + 1
    for stage in recipe["stages"]:
        clips = make(
            stage.get("dataset", recipe["dataset"]),
            frames=stage["frames"],
            size=stage["size"],
            batch_size=count,
            count=count,
        )
        for drawn in clips:
            model.network_clip(drawn)


def test_a_stage_may_have_a_dataset_of_its_own_and_flow_goes_to_who_learns_it(banks, recipe):
    _, content = recipes.read("restorer-imagenette")
    first, last = content["stages"][0], content["stages"][-1]
    assert first["dataset"] == "cifar10"
    for stage, name in ((first, "cifar10"), (last, "imagenette")):
        stage = stage | {"batch_size": 2}
        batch = next(iter(recipes.clips(content, stage, start=4, steps=1)))
        options = {"frames": 13, "size": stage["size"], "batch_size": 2, "seed": 1, "start": 4}
        wanted = next(iter(data.clips(name, flow=True, count=2, **options)))
        assert set(batch) == {"clip", "label", "flow", "visible"}
        for key, value in wanted.items():
            np.testing.assert_array_equal(batch[key], value)
    change(recipe, stages=[RECIPE["stages"][0] | {"dataset": 3}])
    with pytest.raises(VgzooError, match="a stage's dataset is a name"):
        recipes.read(recipe)


def test_the_schedule_warms_up_and_falls(recipe):
    _, content = recipes.read(recipe)
    model = vgzoo.models.build("glow", **content["kwargs"])
    rate = recipes.optimizer(content, model)._learning_rate
    assert float(rate(0)) == 0
    assert float(rate(2)) == pytest.approx(2e-4)
    assert float(rate(40)) == pytest.approx(5e-5)


def test_stages_may_set_what_the_model_is_made_with(recipe):
    first = RECIPE["stages"][0]
    kwargs = TINY["rflow"] | {"context": 2}
    change(recipe, arch="rflow", kwargs=kwargs, stages=[first | {"set": {"context": 1}}, first])
    _, content = recipes.read(recipe)
    model = vgzoo.models.build(content["arch"], **content["kwargs"])
    first, last = content["stages"]
    for stage, context in ((first, 1), (last, 2), (first, 1), (None, 2)):
        recipes.enter(model, content, stage)
        assert model.context == context
    change(recipe, stages=[first | {"set": {"depths": 1}}, last])
    with pytest.raises(VgzooError, match="names that kwargs have, not {'depths': 1}"):
        recipes.read(recipe)


def test_last_stages_may_have_a_rate_of_their_own(recipe):
    before = recipes.optimizer(RECIPE, vgzoo.models.build("glow", **RECIPE["kwargs"]))
    own = [RECIPE["stages"][-1] | {"steps": 10, "learning_rate": rate} for rate in (3e-4, 1e-4)]
    change(recipe, stages=[*RECIPE["stages"], *own])
    _, content = recipes.read(recipe)
    rate = recipes.optimizer(content, vgzoo.models.build("glow", **RECIPE["kwargs"]))
    rate, before = rate._learning_rate, before._learning_rate
    for step in (0, 1, 20, 39):
        assert float(rate(step)) == pytest.approx(float(before(step)))
    assert [float(rate(step)) for step in (40, 49)] == pytest.approx([3e-4, 3e-4])
    assert [float(rate(step)) for step in (50, 59, 99)] == pytest.approx([1e-4] * 3)
    again = type(rate).from_config(json.loads(json.dumps(rate.get_config())))
    assert float(again(45)) == pytest.approx(3e-4)
    change(recipe, stages=[RECIPE["stages"][0] | {"learning_rate": "low"}])
    with pytest.raises(VgzooError, match="a number such as 1e-4"):
        recipes.read(recipe)


def test_accumulated_gradients_take_the_step_of_a_larger_batch(recipe):
    """Two batches of four move the weights as one of eight, and only with the second."""
    change(recipe, gradient_accumulation_steps=2, learning_rate=RECIPE["learning_rate"] | FLAT)
    _, content = recipes.read(recipe)

    def weights_after(optimizer, *gradients):
        variable = keras.Variable([1.0, -2.0, 3.0])
        optimizer.build([variable])
        states = []
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
            states.append(keras.ops.convert_to_numpy(variable))
        return states, keras.ops.convert_to_numpy(optimizer._model_variables_moving_average[0])

    model = vgzoo.models.build("glow", **content["kwargs"])
    one, other = np.float32([1, 2, -3]), np.float32([3, -1, -1])
    accumulated = weights_after(recipes.optimizer(content, model), one, other)
    plain = weights_after(
        recipes.optimizer(RECIPE | {"learning_rate": content["learning_rate"]}, model),
        (one + other) / 2,
    )
    np.testing.assert_array_equal(accumulated[0][0], [1, -2, 3])
    np.testing.assert_allclose(accumulated[0][1], plain[0][0], rtol=1e-6)
    assert not np.allclose(accumulated[0][1], [1, -2, 3], atol=1e-5)
