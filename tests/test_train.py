"""Training by recipe: what is kept, what is refused, and that a killed run loses nothing."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from hub_helpers import edit_tensors
from safetensors.numpy import load_file
from tiny import TINY

import vgzoo
from vgzoo import bench, models
from vgzoo.errors import UnknownModelError, VgzooError
from vgzoo.train import checkpoint, export, recipes, train

RECIPE = {
    "arch": "glow",  # which is traced soonest
    "kwargs": {
        "frames": 4,
        "height": 16,
        "width": 16,
        "levels": 1,
        "steps": 1,
        "filters": 8,
        "prior_filters": 8,
    },
    "dataset": "mnist",
    "seed": 3,
    "dtype": "float32",
    "stages": [
        {"steps": 6, "frames": 2, "size": 16, "batch_size": 8},
        {"steps": 34, "frames": 4, "size": 16, "batch_size": 4},
    ],
    "learning_rate": {"peak": 2e-4, "warmup_steps": 2, "final": 5e-5},
    "ema_momentum": 0.9,
    "epoch_steps": 2,
    "sample_epochs": 10,
    "fps": 8,
}


CLIPS = 6 * 8 + 34 * 4
FLAT = {"peak": 1e-2, "warmup_steps": 0, "final": 1e-2}


@pytest.fixture
def recipe(tmp_path, mnist_folder):
    """Path of a recipe that trains in seconds, with a bank of digits in reach."""
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(RECIPE))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, mnist_folder):
    """Folder of a run that went through, to look at and to copy."""
    out = tmp_path_factory.mktemp("finished")
    path = out / "tiny.json"
    path.write_text(json.dumps(RECIPE))
    done = train(path, out=out / "run", verbose=0)
    assert done["finished"] and done["step"] == 40 and done["clips_seen"] == CLIPS
    return out / "run"


def change(recipe, **fields):
    recipe.write_text(json.dumps(RECIPE | fields))


@pytest.fixture(autouse=True)
def counted_once(run, monkeypatch):
    """Operations of a step: they are counted for `run`, and not anew for others."""
    two, four = json.loads((run / "flops.json").read_text()).values()
    count = {2: two, 4: four}
    monkeypatch.setattr(export, "_step_operations", lambda *of: count[of[2]["frames"]])


def weights(folder):
    return load_file(folder / "tiny" / "model.safetensors")


def assert_same_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    for key, value in one.items():
        np.testing.assert_allclose(value, other[key], atol=2e-3, err_msg=key)


def test_leaves_a_weights_folder_that_loads(run):
    model = vgzoo.load(run / "tiny")
    with np.load(run / "tiny" / "golden.npz") as golden:
        clips = model.generate(int(golden["n"]), seed=int(golden["seed"]))
        np.testing.assert_array_equal(clips, golden["clips"])
    assert (run / "tiny" / "sample.gif").stat().st_size > 0
    record = json.loads((run / "tiny" / "train.json").read_text())
    assert record["recipe"] == RECIPE and record["clips"] == CLIPS
    first, second = json.loads((run / "flops.json").read_text()).values()
    assert record["flops"] == 6 * first + 34 * second
    with open(run / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(2, 41, 2))
    assert {"bits_per_dim", "loss", "clips_per_s"} <= rows[0].keys()
    for beside in ("log.csv", "curves.png"):
        ours = (run / "tiny" / beside).read_bytes()
        assert ours == (run / beside).read_bytes() and len(ours) < 2**20
    strips = sorted(path.name for path in (run / "samples").iterdir())
    assert strips == ["0000020.png", "0000040.png"]


def test_a_stage_trains_with_what_it_sets(recipe, tmp_path):
    """And what is kept is set as the recipe's model is, not as its last stage is."""
    kwargs = TINY["rflow"] | {"frames": 4, "sprite": 0, "leap_stride": 4}
    stage = {"steps": 2, "frames": 4, "size": 16, "batch_size": 4}
    other = stage | {"set": {"leap_stride": 0}}
    stages = [other, stage, other]
    change(recipe, arch="rflow", kwargs=kwargs, stages=stages)
    done = train(recipe, out=tmp_path / "run", verbose=0)
    with open(tmp_path / "run" / "log.csv") as file:
        first, second, last = (float(row["leapt"]) for row in csv.DictReader(file))
    assert first == last == 0 < second
    assert vgzoo.load(done["folder"]).leap_stride == 4


def test_operations_are_those_of_the_training_step(run):
    model = vgzoo.models.build("glow", **RECIPE["kwargs"])
    model.compile()
    model.optimizer.build(model.trainable_variables)
    clip = keras.ops.zeros((8, 2, 16, 16, 1), "uint8")
    counted = bench.flops(model.train_step, ({"clip": clip},))
    assert 1e5 < counted == json.loads((run / "flops.json").read_text())["0"]


def test_scalars_and_strips_reach_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "events"))
    events.Reload()
    assert [s.step for s in events.Scalars("bits_per_dim")] == list(range(2, 41, 2))
    assert [i.step for i in events.Images("clips")] == [20, 40]


def test_stopped_and_resumed_is_the_same_as_uninterrupted(run, recipe, tmp_path):
    for stop in (20, 40):  # within the second stage, and at the end
        done = train(recipe, out=tmp_path / "parts", steps=stop, resume=True, verbose=0)
        assert done["step"] == stop and done["finished"] == (stop == 40)
    assert_same_weights(run, tmp_path / "parts")


def test_killed_and_resumed_is_the_same_as_uninterrupted(run, recipe, tmp_path):
    code = f"from vgzoo.train import train; train({str(recipe)!r}, out={str(tmp_path / 'b')!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ))
    begin = time.monotonic()
    try:
        while (checkpoint.read_metadata(tmp_path / "b") or (0, {}))[0] < 4:
            assert process.poll() is None and time.monotonic() - begin < 600
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.read_metadata(tmp_path / "b")[0] < 40
    train(recipe, out=tmp_path / "b", resume=True, verbose=0)
    assert_same_weights(run, tmp_path / "b")


def test_a_run_is_not_overwritten_by_another(run, recipe, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    with pytest.raises(VgzooError, match="--resume"):
        train(recipe, out=tmp_path / "run", verbose=0)
    change(recipe, seed=4)
    with pytest.raises(VgzooError, match="seed was 3, is 4"):
        train(recipe, out=tmp_path / "run", resume=True, verbose=0)
    assert checkpoint.read_metadata(tmp_path / "run")[0] == 40


def test_minutes_end_a_run_early_and_keep_it(recipe, tmp_path):
    done = train(recipe, out=tmp_path / "run", minutes=0.01, verbose=0)
    assert not done["finished"] and (tmp_path / "run" / "tiny" / "train.json").is_file()
    assert checkpoint.read_metadata(tmp_path / "run")[0] == done["step"]


def test_a_learning_rate_far_too_high_stops_and_keeps_the_last_good_checkpoint(recipe, tmp_path):
    change(recipe, learning_rate={"peak": 1e30, "warmup_steps": 0, "final": 1e30})
    with pytest.raises(checkpoint.NotFinite, match="not finite|is (nan|inf)"):
        train(recipe, out=tmp_path / "wild", verbose=0)
    step, _ = checkpoint.read_metadata(tmp_path / "wild")
    kept = load_file(tmp_path / "wild" / checkpoint.FILE)
    assert step < 40 and all(np.isfinite(v).all() for v in kept.values())


def test_a_damaged_checkpoint_is_named(run, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / checkpoint.FILE
    path.write_bytes((run / checkpoint.FILE).read_bytes()[:100])
    with pytest.raises(VgzooError, match="is damaged"):
        train(recipe, out=tmp_path / "run", resume=True, verbose=0)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    def compiled(filters: int):
        model = vgzoo.models.build("glow", **RECIPE["kwargs"] | {"filters": filters})
        model.compile(recipes.optimizer(RECIPE, model))
        model.optimizer.build(model.trainable_variables)
        return model

    checkpoint.save(tmp_path, compiled(8), step=2, recipe=RECIPE)
    with pytest.raises(VgzooError, match="the model wants .* code has changed since"):
        checkpoint.restore(tmp_path, compiled(6))


def test_bad_recipes_get_one_line(recipe, tmp_path):
    with pytest.raises(UnknownModelError, match="there are: .*r3gan-mnist"):
        train("r3gan-mnits", out=tmp_path / "run")
    change(recipe, epoch_steps="4")
    with pytest.raises(VgzooError, match="epoch_steps must be int, not '4'"):
        train(recipe, out=tmp_path / "run")
    change(recipe, colour=1)
    with pytest.raises(VgzooError, match="unknown field 'colour'"):
        train(recipe, out=tmp_path / "run")
    change(recipe, gradient_accumulation_steps=3)
    with pytest.raises(VgzooError, match="must be at least 2 and divide epoch_steps=2, not 3"):
        train(recipe, out=tmp_path / "run")
    change(recipe, epoch_steps=4)
    with pytest.raises(VgzooError, match="must be a multiple of epoch_steps=4, not 6"):
        train(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_recipe_in_bfloat16_with_accumulation_keeps_both_in_its_checkpoint(recipe, tmp_path):
    change(recipe, dtype="mixed_bfloat16", gradient_accumulation_steps=2)
    train(recipe, out=tmp_path / "run", steps=2, verbose=0)
    kept = load_file(tmp_path / "run" / checkpoint.FILE)
    assert any("gradient_accumulator" in key for key in kept)
    assert {v.dtype.name for k, v in kept.items() if "model/" in k} == {"float32", "int32"}


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("mnist", "CC-BY-SA-3.0"),
        ("cifar10", "unspecified by its authors"),
        ("imagenette", "Apache-2.0.*non-commercial research"),
        ("mnist+cifar10", "CC-BY-SA-3.0; unspecified"),
        ("my/videos", "^unspecified$"),
    ],
)
def test_licenses_of_the_data_are_said(dataset, words):
    assert re.search(words, export.data_license(dataset))


def test_average_is_put_back(run):
    from vgzoo.train.callbacks import averaged

    model = vgzoo.models.build("glow", **RECIPE["kwargs"])
    model.compile(recipes.optimizer(RECIPE, model))
    checkpoint.restore(run, model)
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    with averaged(model):
        inside = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    after = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    assert any(np.any(a != b) for a, b in zip(before, inside, strict=True))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)


# -- from a weights folder -----------------------------------------------------------------


def test_training_goes_on_from_weights_whose_checkpoint_is_gone(run, recipe, tmp_path):
    longer = RECIPE["stages"] + [{"steps": 4, "frames": 4, "size": 16, "batch_size": 4}]
    change(recipe, stages=longer)
    out = tmp_path / "on"
    done = train(recipe, out=out, weights=run / "tiny", steps=40, verbose=0)
    assert done["step"] == 40
    assert_same_weights(run, out)
    begun, before = load_file(out / "checkpoint.safetensors"), run / "checkpoint.safetensors"
    before = load_file(before)
    shared = [k for k in begun if k.endswith("velocity") and before[k].mean() > 1e-10]
    assert len(shared) > 20
    # The same statistics of gradients, of other clips: of the same size.
    ratios = [np.log(begun[k].mean() / before[k].mean()) for k in shared]
    assert abs(np.median(ratios)) < 1
    iterations = next(k for k in begun if k.endswith("iteration"))
    assert begun[iterations] == before[iterations] == 40
    done = train(recipe, out=out, resume=True, verbose=0)
    assert done["finished"] and done["step"] == 44
    record = json.loads((out / "tiny" / "train.json").read_text())
    config = json.loads((run / "tiny" / "config.json").read_text())
    sha256 = config["tensors"]["model.safetensors"]["sha256"]
    assert [s["first_step"] for s in record["sittings"]] == [0, 40, 40]
    assert [s.get("from_weights") for s in record["sittings"]] == [None, sha256, None]
    rows = (out / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", *map(str, range(2, 45, 2))]


def test_layers_that_weights_lack_begin_as_in_a_new_model(run, recipe, tmp_path):
    shutil.copytree(run / "tiny", tmp_path / "tiny")
    edit_tensors(tmp_path / "tiny", lambda t: dict(sorted(t.items())[1:]))
    change(recipe, stages=RECIPE["stages"] * 2)
    train(recipe, out=tmp_path / "on", weights=tmp_path / "tiny", steps=40, verbose=0)
    keras.utils.set_random_seed(RECIPE["seed"])
    new = models.build("glow", seed=RECIPE["seed"], **RECIPE["kwargs"])
    begun, wanted = weights(tmp_path / "on"), weights(run)
    lacking = next(v for v in new.trainable_variables if v.path == min(wanted))
    assert np.abs(lacking - wanted[lacking.path]).max() > 3e-3
    for key, value in (wanted | {lacking.path: lacking}).items():
        np.testing.assert_allclose(begun[key], value, atol=2e-3, err_msg=key)


def test_weights_of_another_training_are_refused(run, recipe, tmp_path):
    for fields, message in (
        ({}, "nothing is left"),
        ({"dataset": "mnist-stochastic"}, "trained with dataset 'mnist'"),
    ):
        change(recipe, **fields)
        with pytest.raises(VgzooError, match=message):
            train(recipe, out=tmp_path / "on", weights=run / "tiny", verbose=0)
    shutil.copytree(run, tmp_path / "there")
    change(recipe, stages=RECIPE["stages"] * 2)
    with pytest.raises(VgzooError, match="without weights"):
        train(recipe, out=tmp_path / "there", weights=run / "tiny", verbose=0)


def test_time_of_training_is_told_though_epochs_changed(tmp_path):
    rows = "step,clips_per_s\r\n100,50\r\n150,25\r\n250,10\r\n"
    (tmp_path / "log.csv").write_text(rows, newline="")
    recipe = {
        "epoch_steps": 50,
        "stages": [{"steps": 200, "batch_size": 4}, {"steps": 100, "batch_size": 2}],
    }
    wanted = 400 / 50 + 200 / 25 + (50 * 4 + 50 * 2) / 10
    assert export._training_seconds(tmp_path, recipe) == pytest.approx(wanted)
