"""PyTorch loads and generates: the same clips from the same weights."""

import keras
import numpy as np
import pytest
from every import golden_clips
from keras import ops
from tiny import TINY, shown

from vgzoo import hub, models, registry
from vgzoo.layers import damage
from vgzoo.train.shown import edits
from vgzoo.train.truths import patterns

GENERATORS = registry.list_models(task="generate")


@pytest.mark.parametrize("name", GENERATORS)
def test_a_bundled_model_gives_its_golden_clips(name):
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        model, wanted = hub.load(name, dtype="float32"), golden["clips"]
        if model.small_steps:  # each a call of its own here: one frame takes a minute
            wanted = wanted[:1, :1]
            clips = model.generate(1, seed=int(golden["seed"]), frames=1)
        else:
            clips = golden_clips(model, golden)
        difference = np.abs(clips.astype("float32") - wanted)
    assert difference.mean() <= 0.1 and np.quantile(difference, 0.999) <= 2


@pytest.mark.parametrize("name", registry.list_models(task="forecast"))
def test_a_bundled_model_gives_its_golden_forecasts(name):
    model = hub.load(name, dtype="float32")
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        seen = patterns(int(golden["n"]), seed=int(golden["seed"]), **model.clip_spec)
        clips = model.forecast(seen, seed=int(golden["seed"]))
        difference = np.abs(clips.astype("float32") - golden["forecasts"])
    assert difference.mean() <= 0.1 and np.quantile(difference, 0.999) <= 2


@pytest.mark.parametrize("name", registry.list_models(family="editor"))
def test_a_bundled_editor_gives_its_golden_clips(name):
    model = hub.load(name, dtype="float32")
    with np.load(registry.find(name) / "golden.npz", allow_pickle=False) as golden:
        clip = patterns(1, seed=int(golden["seed"]), **model.clip_spec)[:, :5]
        for task, (_, made) in edits(model, clip).items():
            difference = np.abs(made.astype("float32") - golden[f"edits_{task}"])
            assert difference.mean() <= 0.1 and np.quantile(difference, 0.999) <= 2, task


@pytest.mark.parametrize("arch", models.architectures())
def test_a_saved_model_is_the_same_when_loaded(arch, tmp_path):
    model = models.build(arch, **TINY[arch])
    twin = hub.load(hub.save(model, tmp_path / "twin"))
    groups = model.tensor_groups()["model"], twin.tensor_groups()["model"]
    for ours, theirs in zip(*groups, strict=True):
        ours, theirs = map(keras.ops.convert_to_numpy, (ours, theirs))
        np.testing.assert_array_equal(ours, theirs)
    if "generate" in model.tasks:
        clips = model.generate(3, seed=1)
        np.testing.assert_array_equal(twin.generate(3, seed=1, batch_size=2), clips)
    if "forecast" in model.tasks:
        clips = shown(model)
        np.testing.assert_array_equal(shown(twin), clips)


def test_a_restorer_is_shown_all_kinds_of_damage():
    clip = np.random.default_rng(0).random((6, 3, 16, 24, 3)).astype("float32")
    kind, times = np.arange(6, dtype="int32"), np.zeros((6, 3), "float32")
    made, known = (
        ops.convert_to_numpy(x)
        for x in damage.suffer(*map(ops.convert_to_tensor, (clip, kind, times)), seed=0, step=5)
    )
    changed = np.abs(made - clip).max(axis=(1, 2, 3, 4)) > 1e-3
    whole = known.min(axis=(1, 2, 3, 4)) == 1
    assert [damage.KINDS[i] for i in np.flatnonzero(~changed)] == ["inpaint", "interpolate"]
    assert [damage.KINDS[i] for i in np.flatnonzero(~whole)] == ["inpaint"]
