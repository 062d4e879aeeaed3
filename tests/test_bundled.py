"""What every bundled model keeps: its golden output, its entry, fine-tuning."""

import functools
import json

import keras
import numpy as np
import tensorflow as tf
from every import (
    every_bundled_architecture,
    every_bundled_editor,
    every_bundled_forecaster,
    every_bundled_generator,
    every_bundled_judge,
    every_model,
    golden_clips,
    run_plainly,
    weights,
)
from tiny import training_batch

from vgzoo import hub, registry
from vgzoo.train.shown import edits
from vgzoo.train.truths import patterns


@functools.cache
def bundled(name: str):
    return hub.load(name)


@every_bundled_generator
def test_bundled_model_gives_its_golden_clips(name):
    """One at a time, which were made all at once: clips do not depend on the batch."""
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        wanted, tolerance = golden["clips"], float(golden["tolerance"])
        clips = golden_clips(bundled(name), golden, batch_size=1)
    assert clips.shape == wanted.shape and clips.dtype == wanted.dtype == np.uint8
    assert np.abs(clips.astype(int) - wanted).mean() <= tolerance
    assert np.ptp(wanted) > 100, "a golden output that shows nothing proves nothing"


@every_bundled_forecaster
def test_bundled_model_gives_its_golden_forecasts(name):
    """One at a time, which were made all at once: forecasts do not depend on the batch."""
    model = bundled(name)
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        wanted, tolerance = golden["forecasts"], float(golden["tolerance"])
        seed = int(golden["seed"])
        seen = patterns(int(golden["n"]), seed=seed, **model.clip_spec)
    clips = model.forecast(seen, seed=seed, batch_size=1)
    assert clips.shape == wanted.shape and clips.dtype == wanted.dtype == np.uint8
    assert np.abs(clips.astype(int) - wanted).mean() <= tolerance
    assert np.ptp(wanted) > 100, "a golden output that shows nothing proves nothing"


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
    assert json.loads(json.dumps(model.get_config())) == entry["kwargs"]


@every_bundled_architecture
def test_bundled_model_is_fine_tuned_and_saved(name, tmp_path):
    model = hub.load(name)
    batch = training_batch(model.arch, model.get_config())
    batch = batch if isinstance(batch, dict) else {"clip": batch}
    before = weights(model)
    run_plainly(model, keras.optimizers.SGD(1e-3, gradient_accumulation_steps=2))
    history = model.fit(tf.data.Dataset.from_tensor_slices(batch).batch(2), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any((v != before[k]).any() for k, v in weights(model).items())
    hub.save(model, tmp_path / "tuned")
    saved = hub.load(tmp_path / "tuned").tensor_groups()["model"]
    for found, wanted in zip(saved, model.tensor_groups()["model"], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5, err_msg=wanted.path)
