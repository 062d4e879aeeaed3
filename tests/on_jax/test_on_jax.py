"""The zoo under JAX, with no TensorFlow installed: that is how a GPU without it trains."""

import importlib.util
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from every import (
    build,
    every_architecture,
    every_bundled_architecture,
    every_generator,
    every_judge,
    golden_clips,
    kept,
)
from keras import ops
from tiny import TINY, openstl, scramble, shown, training_batch

import vgzoo
from vgzoo import hub, random, registry
from vgzoo.data import clips, images
from vgzoo.errors import DataError
from vgzoo.models.base import input_gradient
from vgzoo.train import train
from vgzoo.train.shown import edits
from vgzoo.train.truths import patterns


def test_this_environment_is_what_it_should_be():
    assert keras.backend.backend() == "jax"
    assert importlib.util.find_spec("tensorflow") is None


def test_importing_and_listing_load_no_backend():
    code = (
        "import sys, vgzoo; names = vgzoo.list_models(); "
        "assert not {'jax', 'keras', 'numpy'} & set(sys.modules), 'too much'; print(len(names))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == str(len(vgzoo.list_models())), run.stderr


# -- noise ---------------------------------------------------------------------------------


NORMAL = [0.9996047019958496, -1.7804051637649536, -0.247153177857399, 0.9850618243217468]
UNIFORM = [0.8107662191464656, 0.4457304161497936, 0.5933718157502842, 0.6742275698427942]


def test_host_noise_is_the_same_as_on_every_backend():
    """Numbers as TensorFlow's environment draws them."""
    np.testing.assert_allclose(random.normal_rows(3, 5, 1, (4,))[0], NORMAL, rtol=1e-6)
    np.testing.assert_allclose(random.uniform_rows(3, 5, 1, 4)[0], UNIFORM, rtol=1e-12)


def test_draws_in_a_step_repeat_and_differ_by_seed_step_and_salt():
    import jax

    draw = jax.jit(
        lambda step, seed, salt: random.normal((64,), seed=seed, step=step, salt=salt),
        static_argnums=(1, 2),
    )
    numbers = [draw(*a) for a in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 2**40, 0))]
    assert np.abs(np.corrcoef(np.stack(numbers)) - np.eye(len(numbers))).max() < 0.5
    np.testing.assert_allclose(draw(0, 0, 0), random.normal((64,), seed=0, step=0), rtol=1e-6)


# -- data ----------------------------------------------------------------------------------


def test_clips_equal_the_published_procedure_pixel_for_pixel(folder):
    dataset = clips("mnist", frames=20, batch_size=8, seed=3, start=8)
    batch = dataset[0]
    wanted = openstl(images("mnist"), seed=3, count=16, frames=20)
    np.testing.assert_array_equal(batch["clip"], wanted["clip"][8:])
    np.testing.assert_array_equal(batch["label"], wanted["label"][8:])
    assert len(dataset) == 27 and sum(1 for _ in dataset) == 27
    single = clips("mnist", frames=20, batch_size=None, seed=3, start=9)
    np.testing.assert_array_equal(next(iter(single))["clip"], wanted["clip"][9])
    assert len(single) == 220


def test_smaller_frames_are_means_of_pixels(folder):
    full = np.asarray(clips("mnist", frames=2, batch_size=4)[0]["clip"])
    small = clips("mnist", frames=2, batch_size=4, size=32)[0]["clip"]
    mean = full.reshape(4, 2, 32, 2, 32, 2, 1).mean((3, 5))
    np.testing.assert_array_equal(small, np.round(mean))


def test_an_endless_dataset_goes_on_and_a_finite_one_ends(folder):
    endless = clips("mnist", frames=1, batch_size=4, count=-1)
    assert endless.num_batches is None and endless[1000]["clip"].shape == (4, 1, 64, 64, 1)
    finite = clips("mnist", frames=1, batch_size=4, count=8)
    with pytest.raises(IndexError):
        finite[2]


def test_digits_need_a_source(monkeypatch):
    monkeypatch.delenv("VGZOO_DATA", raising=False)
    with pytest.raises(DataError, match="set VGZOO_DATA"):
        clips("mnist")


# -- models --------------------------------------------------------------------------------


def test_input_gradient_can_be_differentiated_again():
    import jax

    x = np.array([[0.3, 0.1, -0.7]], "float32")

    def penalty(w):
        return ops.sum(input_gradient(lambda c: ops.sum(w * c**2, axis=1), x) ** 2)

    w = np.array([[1.0, -2.0, 0.5]], "float32")
    np.testing.assert_allclose(jax.grad(penalty)(w), 8 * w * x**2, rtol=1e-5)


@every_generator
def test_a_saved_model_is_read_back_and_generates(arch, tmp_path):
    model = kept(arch)
    made = model.generate(4, seed=2)
    assert made.dtype == np.uint8 and made.shape == (4, *model.clip_spec.values())
    hub.save(model, tmp_path / "tiny")
    again = hub.load(tmp_path / "tiny").generate(4, seed=2, batch_size=2)
    assert np.abs(again.astype(int) - made).max() <= 1


@every_judge
def test_a_saved_judge_is_read_back_and_sees_the_same(arch, tmp_path):
    model = kept(arch)
    seen = shown(model)
    hub.save(model, tmp_path / "tiny")
    np.testing.assert_allclose(
        shown(hub.load(tmp_path / "tiny")), seen, atol=1e-4 * np.abs(seen).max()
    )


@pytest.mark.parametrize("arch", ["r3gan", "svg", "restorer", "clip_encoder"])  # one of each kind
def test_weights_assigned_after_the_first_clip_count(arch):
    """The compiled function takes the weights as they are, not as they were."""
    model = build(arch)
    before = shown(model).astype(float)
    scramble(model, seed=1)
    assert np.abs(shown(model) - before).max() > 0.04 * np.ptp(before)


@every_architecture
def test_training_noise_counts_from_zero(arch):
    model = kept(arch)
    model.noise_step.assign(0)
    assert [int(model.next_noise_step()) for _ in range(3)] == [0, 1, 2]


@every_architecture
def test_compile_and_fit_without_arguments_train(arch):
    model = build(arch)
    before = [np.asarray(v) for v in model.trainable_variables]
    model.compile()
    data = training_batch(arch, TINY[arch], 8)
    history = model.fit(data, batch_size=4, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all() and set(model.logged) <= set(history)
    assert any(
        (np.asarray(v) != b).any() for v, b in zip(model.trainable_variables, before, strict=True)
    )
    assert int(model.noise_step) == (0 if model.family == "judge" else 4)


def test_a_recipe_is_trained_stopped_and_resumed(folder, tmp_path):
    recipe = {
        "arch": "r3gan",
        "kwargs": {
            k: TINY["r3gan"][k] if isinstance(TINY["r3gan"][k], int) else list(TINY["r3gan"][k])
            for k in TINY["r3gan"]
        },
        "dataset": "mnist",
        "seed": 3,
        "dtype": "float32",
        "stages": [{"steps": 4, "frames": 6, "size": 16, "batch_size": 4}],
        "learning_rate": {"peak": 2e-4, "warmup_steps": 2, "final": 5e-5},
        "ema_momentum": 0.9,
        "epoch_steps": 2,
        "sample_epochs": 2,
        "fps": 8,
    }
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(recipe))
    part = train(path, out=tmp_path / "run", steps=2, verbose=0)
    assert part["step"] == 2 and not part["finished"]
    done = train(path, out=tmp_path / "run", resume=True, verbose=0)
    assert done["step"] == 4 and done["finished"] and done["clips_seen"] == 16
    with np.load(tmp_path / "run" / "tiny" / "golden.npz", allow_pickle=False) as golden:
        made = vgzoo.load(tmp_path / "run" / "tiny").generate(len(golden["clips"]), seed=0)
        assert np.abs(made.astype(int) - golden["clips"]).max() <= 1


@every_bundled_architecture
def test_bundled_model_gives_its_golden_output(name):
    model = hub.load(name)
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        n, seed, tolerance = int(golden["n"]), int(golden["seed"]), float(golden["tolerance"])
        patterns_ = patterns(n, seed=seed, **model.clip_spec)
        if model.family == "judge":
            seen = model.features(patterns_)
            error = np.abs(seen - golden["features"]).max() / np.ptp(golden["features"])
        elif "generate" in model.tasks:
            error = np.abs(golden_clips(model, golden).astype(int) - golden["clips"]).mean()
        elif model.family == "editor":
            made = edits(model, patterns_[:1, :5]).items()
            error = max(np.abs(x.astype(int) - golden[f"edits_{k}"]).mean() for k, (_, x) in made)
        else:
            made = model.forecast(patterns_, seed=seed).astype(int)
            error = np.abs(made - golden["forecasts"]).mean()
    assert error <= tolerance
