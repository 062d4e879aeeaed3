"""What every architecture keeps, whatever it is made of."""

import json
import random as python_random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from every import (
    assert_config_round_trips,
    assert_same_clips,
    build,
    every_architecture,
    every_generator,
    every_judge,
    every_maker,
    kept,
    run_plainly,
    weights,
)
from tiny import TINY, shown, training_batch

from vgzoo import hub, models
from vgzoo.errors import UnknownModelError, VgzooError


def fit(model, arch: str, batches: int = 2, **options):
    data = training_batch(arch, TINY[arch], 4 * batches)
    return model.fit(data, batch_size=4, verbose=0, **options)


def changed(batch, change):
    """A training batch with other clips."""
    return batch | {"clip": change(batch["clip"])} if isinstance(batch, dict) else change(batch)


def assert_same(a: np.ndarray, b: np.ndarray) -> None:
    """Clips, or what judges see."""
    if a.dtype == np.uint8:
        return assert_same_clips(a, b)
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


# -- configuration -------------------------------------------------------------------------


def test_every_architecture_has_a_tiny_configuration():
    assert set(TINY) == set(models.architectures())


def test_an_unknown_architecture_names_those_there_are():
    with pytest.raises(UnknownModelError, match="r3gan"):
        models.build("r4gan")


@every_architecture
def test_configuration_builds_the_same_model(arch):
    model = kept(arch)
    config = model.get_config()
    assert {k: config[k] for k in TINY[arch]} == json.loads(json.dumps(TINY[arch]))
    assert_config_round_trips(model)


@every_architecture
def test_keras_serialises_the_model(arch):
    model = kept(arch)
    written = json.dumps(keras.saving.serialize_keras_object(model))
    copy = keras.saving.deserialize_keras_object(json.loads(written))
    assert type(copy) is type(model) and copy.get_config() == model.get_config()


@every_architecture
def test_variable_paths_are_unique_and_stay(arch):
    first, second = kept(arch), build(arch)
    paths = [v.path for v in first.weights]
    assert len(set(paths)) == len(paths)
    assert [v.path for v in second.weights] == paths
    groups = first.tensor_groups()
    assert "model" in groups
    grouped = [v.path for group in groups.values() for v in group]
    assert len(set(grouped)) == len(grouped)
    assert {v.path for v in first.trainable_variables} <= set(grouped)


@every_architecture
def test_weights_are_saved_and_read_back(arch, tmp_path):
    model = kept(arch)
    model.save_weights(tmp_path / "tiny.weights.h5")
    copy = models.build(arch, **TINY[arch])
    copy.load_weights(tmp_path / "tiny.weights.h5")
    for found, wanted in zip(copy.weights, model.weights, strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=wanted.path)


@every_architecture
def test_a_saved_folder_gives_the_same_clips(arch, tmp_path):
    model = kept(arch)
    hub.save(model, tmp_path / "tiny")
    assert_same(shown(hub.load(tmp_path / "tiny"), seed=3), shown(model, seed=3))


# -- generation ----------------------------------------------------------------------------


@every_generator
def test_generate_gives_clips_as_specified(arch):
    model = kept(arch)
    clips = model.generate(3)
    assert clips.dtype == np.uint8
    assert clips.shape == (3, *model.clip_spec.values())
    assert np.ptp(clips) > 10


@every_generator
def test_a_clip_depends_on_its_seed_and_number_alone(arch):
    model = kept(arch)
    clips = model.generate(7, seed=5)
    assert_same_clips(model.generate(7, seed=5), clips)
    assert_same_clips(model.generate(3, seed=5), clips[:3])
    assert_same_clips(model.generate(7, seed=5, batch_size=3), clips)
    assert_same_clips(model.generate(7, seed=np.int64(5), batch_size=1), clips)
    assert np.abs(clips[0].astype(int) - clips[1]).max() > 10
    assert np.abs(model.generate(1, seed=6)[0].astype(int) - clips[0]).max() > 10


@every_generator
def test_temperature_zero_gives_one_clip_for_all(arch):
    model = kept(arch)
    one = {"labels": np.zeros(model.label_shape, int)} if "labels" in model.options else {}
    clips = model.generate(3, temperature=0, **one)
    assert_same_clips(clips[1:], clips[:-1])


@every_generator
def test_generate_leaves_global_random_state_alone(arch):
    model = kept(arch)

    def after(act) -> tuple:
        keras.utils.set_random_seed(0)
        act()
        numbers = python_random.random(), np.random.random(), float(tf.random.uniform(()))
        return *numbers, float(keras.random.uniform(()))

    assert after(lambda: model.generate(2)) == after(lambda: None)


@every_generator
def test_bad_arguments_get_one_line(arch):
    model = kept(arch)
    bad = [
        {"n": 0}, {"n": 1.5}, {"seed": -1}, {"seed": 2**64}, {"frames": 0}, {"batch_size": 0},
        {"batch_size": 2.0}, {"temperature": -1}, {"temperature": float("nan")},
    ]  # fmt: skip
    bad.append({"labels": [99]})
    if "steps" not in model.options:
        bad.append({"steps": 4})
    for arguments in bad:
        with pytest.raises(VgzooError) as caught:
            model.generate(**{"n": 1, **arguments})
        assert "\n" not in str(caught.value)
        assert next(iter(arguments)) in str(caught.value)


@every_judge
def test_a_judge_does_not_generate(arch):
    with pytest.raises(VgzooError, match="does not generate; its tasks are"):
        kept(arch).generate(1)


@every_judge
def test_what_a_judge_sees_does_not_depend_on_the_batch(arch):
    model = kept(arch)
    clips = training_batch(arch, TINY[arch], 5)["clip"]
    seen = model.features(clips)
    assert_same(model.features(clips, batch_size=2), seen)
    assert_same(model.features((clips / 255).astype("float32")), seen)
    assert_same(model.features(clips[0]), seen[:1])
    assert np.abs(seen[0] - seen[1]).max() > 1e-3


@every_judge
def test_a_judge_without_the_truth_gets_one_line(arch):
    model = kept(arch)
    run_plainly(model)
    with pytest.raises(VgzooError, match="trains on {") as caught:
        model.evaluate(training_batch(arch, TINY[arch])["clip"], verbose=0)
    assert "\n" not in str(caught.value)


@every_architecture
def test_bad_clips_get_one_line(arch):
    model = kept(arch)
    run_plainly(model)
    batch = training_batch(arch, TINY[arch])
    with pytest.raises(VgzooError, match="trains on clips") as caught:
        model.evaluate(changed(batch, lambda clip: clip[:, :, :-1]), verbose=0)
    assert "\n" not in str(caught.value)
    with pytest.raises(VgzooError, match="loss"):
        model.compile(loss="mse")
    with pytest.raises(VgzooError, match="channels"):
        models.build(arch, **{**TINY[arch], "channels": 2})


# -- training ------------------------------------------------------------------------------


@every_architecture
def test_compile_and_fit_without_arguments_train_every_part(arch):
    model = build(arch)
    before = weights(model)
    run_plainly(model)
    history = fit(model, arch).history
    assert np.isfinite(history["loss"]).all() and set(model.logged) <= set(history)
    after = weights(model)
    for group, variables in model.tensor_groups().items():
        moved = [np.abs(after[v.path] - before[v.path]).max() for v in variables if v.trainable]
        assert max(moved) > 0, group
    assert all(np.isfinite(v).all() for v in after.values())


def test_a_step_is_traced_once(monkeypatch):
    model, traces = build("convlstm"), []
    real = model.compute_loss
    monkeypatch.setattr(model, "compute_loss", lambda *a, **k: traces.append(1) or real(*a, **k))
    model.compile()
    fit(model, "convlstm")
    assert len(traces) == 1


@every_architecture
def test_fit_takes_float_clips_and_tf_data_too(arch):
    batch = training_batch(arch, TINY[arch])
    model, losses = kept(arch), []
    run_plainly(model)
    kinds = [batch, changed(batch, lambda clip: (clip / 255).astype("float32"))]
    kinds += [] if isinstance(batch, dict) else [{"clip": batch, "label": np.zeros(4)}]
    for data in kinds:
        model.noise_step.assign(0)  # the same noise
        dataset = tf.data.Dataset.from_tensor_slices(data).batch(4)
        losses.append(model.evaluate(dataset, verbose=0, return_dict=True)["loss"])
    np.testing.assert_allclose(losses, losses[0], rtol=1e-4)


@every_architecture
def test_every_parameter_gets_a_gradient(arch):
    model = kept(arch)
    batch = training_batch(arch, TINY[arch])
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    gradients = tape.gradient(loss, model.trainable_variables)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.abs(gradient).max() > 1e-7, variable.path


@every_architecture
def test_training_noise_counts_from_zero(arch):
    """As on every backend, so that a run's noise position means the same everywhere."""
    model = kept(arch)
    model.noise_step.assign(0)
    assert [int(model.next_noise_step()) for _ in range(3)] == [0, 1, 2]


@every_maker
def test_each_step_draws_noise_of_its_own(arch):
    model = kept(arch)
    run_plainly(model)
    batch = training_batch(arch, TINY[arch])
    losses = [model.evaluate(batch, verbose=0, return_dict=True)["loss"] for _ in range(2)]
    assert (losses[0] == losses[1]) == (model.family == "forecaster")  # these have no noise


@every_architecture
def test_mixed_bfloat16_trains_and_generates(arch):
    model = build(arch, dtype="mixed_bfloat16")
    assert keras.config.dtype_policy().name == "float32"
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    full = shown(kept(arch)).astype(float)
    assert np.abs(shown(model) - full).mean() < 0.02 * np.ptp(full)
    run_plainly(model)
    assert np.isfinite(fit(model, arch, batches=1).history["loss"]).all()


@every_architecture
def test_gradients_accumulate(arch):
    model = build(arch)
    before = weights(model)
    run_plainly(model, keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2))
    fit(model, arch, batches=1)
    assert all((v == before[k]).all() for k, v in weights(model).items())
    fit(model, arch, batches=1)
    assert any((v != before[k]).any() for k, v in weights(model).items())


REPLICAS = """
import json, sys
import numpy as np
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tiny import TINY, training_batch
from vgzoo import models

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for arch in sys.argv[1:]:
    with strategy.scope():
        model = models.build(arch, **TINY[arch])
        model.compile()
    before = [v.numpy() for v in model.trainable_variables]
    data = training_batch(arch, TINY[arch], 8)
    history = model.fit(data, batch_size=4, epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any((v.numpy() != b).any() for v, b in zip(model.trainable_variables, before))
    for variable in model.trainable_variables:
        copies = [v.numpy() for v in strategy.experimental_local_results(variable.value)]
        assert len(copies) == 2 and (copies[0] == copies[1]).all(), variable.path
    drawn = 0 if model.family == "judge" else 4
    assert int(model.noise_step.numpy()) == drawn, "one number for each step, not for each replica"
print("trained")
"""


def test_two_replicas_train_as_one():
    """Of each kind of training step one: against another network, with noise and without."""
    run = subprocess.run(
        [sys.executable, "-c", REPLICAS, "mocogan", "glow", "convlstm", "digit_reader"],
        capture_output=True,
        text=True,
        env=_environment_with_tests(),
    )
    assert run.stdout.strip().endswith("trained"), run.stderr[-3000:]


def _environment_with_tests() -> dict[str, str]:
    import os

    paths = [str(Path(__file__).parent), str(Path(models.__file__).parents[2])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
