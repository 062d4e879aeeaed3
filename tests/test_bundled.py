"""What every bundled model keeps: its golden output, its entry, fine-tuning."""

import functools

import keras
import numpy as np
import tensorflow as tf
from every import (
    assert_config_round_trips,
    every_bundled_architecture,
    every_bundled_editor,
    every_bundled_forecaster,
    every_bundled_generator,
    every_bundled_judge,
    every_model,
    golden_clips,
    weights,
)
from tiny import shown, training_batch

from vgzoo import hub, registry
from vgzoo.train.shown import edits
from vgzoo.train.truths import patterns


@functools.lru_cache(maxsize=2)
def bundled(name: str):
    return hub.load(name)


@every_bundled_generator
def test_bundled_model_gives_its_golden_clips(name):
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        wanted, tolerance = golden["clips"], float(golden["tolerance"])
        clips = golden_clips(bundled(name), golden)
    assert clips.shape == wanted.shape and clips.dtype == wanted.dtype == np.uint8
    assert np.abs(clips.astype(int) - wanted).mean() <= tolerance
    assert np.ptp(wanted) > 100, "a golden output that shows nothing proves nothing"


@every_bundled_forecaster
def test_bundled_model_gives_its_golden_forecasts(name):
    model = bundled(name)
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        wanted, tolerance = golden["forecasts"], float(golden["tolerance"])
        seed = int(golden["seed"])
        seen = patterns(int(golden["n"]), seed=seed, **model.clip_spec)
    clips = model.forecast(seen, seed=seed)
    assert clips.shape == wanted.shape and clips.dtype == wanted.dtype == np.uint8
    assert np.abs(clips.astype(int) - wanted).mean() <= tolerance
    assert np.ptp(wanted) > 100, "a golden output that shows nothing proves nothing"


@every_bundled_forecaster
def test_forecasts_of_a_bundled_model_do_not_depend_on_the_batch(name):
    model = hub.load(name)
    model.steps = 4  # of those that take some
    seen = patterns(2, seed=1, **model.clip_spec)
    clips = model.forecast(seen, 12, n=2, seed=1)
    other = model.forecast(seen, 12, n=2, seed=1, batch_size=1)
    assert np.abs(clips.astype(int) - other).mean() < 0.1


@every_bundled_editor
def test_bundled_editor_gives_its_golden_clips(name):
    model = bundled(name)
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        clip = patterns(1, seed=int(golden["seed"]), **model.clip_spec)[:, :5]
        made = edits(model, clip)
        assert {f"edits_{task}" for task in made} == {k for k in golden if k.startswith("edits_")}
        for task, (before, after) in made.items():
            wanted = golden[f"edits_{task}"]
            assert after.shape == wanted.shape and after.dtype == wanted.dtype == np.uint8
            assert np.abs(after.astype(int) - wanted).mean() <= float(golden["tolerance"])
            assert before.shape == after.shape and (before != after).any(), task


@every_bundled_judge
def test_bundled_judge_gives_its_golden_features(name):
    judge = bundled(name)
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        wanted, tolerance = golden["features"], float(golden["tolerance"])
        clips = patterns(int(golden["n"]), seed=int(golden["seed"]), **judge.clip_spec)
    np.testing.assert_allclose(judge.features(clips), wanted, atol=tolerance * np.ptp(wanted))
    assert np.abs(wanted[0] - wanted[1]).max() > tolerance


@every_model
def test_bundled_model_is_what_its_entry_says(name):
    model, entry = bundled(name), registry.info(name)
    assert model.name == name and model.arch == entry["arch"]
    assert {k: entry["clip"][k] for k in model.clip_spec} == model.clip_spec
    assert_config_round_trips(model)


@every_bundled_generator
def test_clips_of_a_bundled_model_do_not_depend_on_the_batch(name):
    model = bundled(name)
    frames = min(model.frames, 2) if model.small_steps else None  # which takes long
    few = {"frames": frames} | ({"steps": 4} if "steps" in model.options else {})
    clips = model.generate(3, seed=1, **few)
    other = model.generate(3, seed=1, batch_size=2, **few)
    assert np.abs(clips.astype(int) - other).mean() < 0.1


@every_bundled_architecture
def test_bundled_model_is_fine_tuned_and_saved(name, tmp_path):
    model = hub.load(name)
    batch = training_batch(model.arch, model.get_config())
    batch = batch if isinstance(batch, dict) else {"clip": batch}
    before = weights(model)
    model.compile(keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2))
    history = model.fit(tf.data.Dataset.from_tensor_slices(batch).batch(2), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any((v != before[k]).any() for k, v in weights(model).items())
    hub.save(model, tmp_path / "tuned")
    again, now = shown(hub.load(tmp_path / "tuned")), shown(model)
    assert np.abs(again.astype(float) - now).mean() < 1e-3 * np.ptp(now)
