"""What can go wrong on the way: kills, a full disk, NaN, a corrupt video. Nothing good is lost."""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_train import RECIPE as PLAIN
from tiny import TINY

from vgzoo import data, video
from vgzoo.errors import VgzooError
from vgzoo.train import callbacks, checkpoint, curves, train

# Of a flow that rounds its clips to levels no NaN would come out.
RECIPE = PLAIN | {
    "arch": "convlstm",
    "kwargs": TINY["convlstm"] | {"frames": 4, "context": 2},
    "stages": PLAIN["stages"][1:],
}
LARGE = {f"w{i}": np.zeros((256, 1024), "float32") for i in range(8)}  # 8 MiB


def stamped(step: int) -> dict[str, np.ndarray]:
    return {key: np.full_like(value, step) for key, value in LARGE.items()}


def write(folder, step: int) -> None:
    checkpoint.write(folder, stamped(step), {"step": str(step), "recipe": "{}"})


def assert_whole(folder) -> int:
    """The step of the checkpoint, after a look at every number in it."""
    step, _ = checkpoint.read_metadata(folder)
    for key, value in load_file(folder / checkpoint.FILE).items():
        assert (value == step).all(), f"{key} is not of step {step}"
    return step


def test_a_kill_at_any_moment_of_a_write_leaves_a_whole_checkpoint(tmp_path):
    write(tmp_path, 0)
    seed = random.SystemRandom().randrange(1 << 32)
    moments = random.Random(seed)
    part = tmp_path / f"{checkpoint.FILE}.part"
    torn = last = 0
    for kill in range(12):
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                for step in range(last + 1, last + 10_000):
                    write(tmp_path, step)
            os._exit(1)
        begin = time.monotonic()
        while not part.exists():  # a write is under way
            assert time.monotonic() - begin < 30
        time.sleep(moments.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        torn += part.exists()
        found = assert_whole(tmp_path)
        assert found >= last, f"seed {seed}, kill {kill}: a step was lost"
        last = found
    assert torn, f"seed {seed}: no kill fell into a write"
    write(tmp_path, last + 1)  # what a kill left behind is in nobody's way
    assert assert_whole(tmp_path) == last + 1 and not part.exists()


@contextlib.contextmanager
def full_disk(folder):
    """A file system of 10 MiB: room for one checkpoint, not for another beside it."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting is not permitted here; the limit on a file's size is tested")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def file_size_limit(folder):
    """No file may grow past 4 MiB, as under a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(shutil.which("mount") is None, reason="no mount command")
def test_a_full_disk_keeps_the_last_checkpoint(tmp_path):
    with full_disk(tmp_path):
        write(tmp_path, 1)
        with pytest.raises(VgzooError, match="cannot write a checkpoint.*make room"):
            write(tmp_path, 2)
        assert assert_whole(tmp_path) == 1
        assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]


def test_a_quota_keeps_the_last_checkpoint(tmp_path):
    write(tmp_path, 1)
    with file_size_limit(tmp_path), pytest.raises(VgzooError, match="cannot write a checkpoint"):
        write(tmp_path, 2)
    assert assert_whole(tmp_path) == 1
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.FILE]
    write(tmp_path, 2)
    assert assert_whole(tmp_path) == 2


@pytest.fixture
def recipe(tmp_path, mnist_folder):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(RECIPE))
    return path


def test_nan_in_a_batch_stops_with_the_last_good_checkpoint(recipe, tmp_path, monkeypatch):
    real = data.clips

    def poisoned(*arguments, **options):
        import tensorflow as tf

        def spoil(i, batch):
            clip = tf.cast(batch["clip"], "float32") / 255
            return {"clip": tf.where(i == 3, float("nan"), clip), "label": batch["label"]}

        return real(*arguments, **options).enumerate().map(spoil)

    with monkeypatch.context() as patch:
        patch.setattr(data, "clips", poisoned)
        with pytest.raises(checkpoint.NotFinite, match="last good checkpoint|not finite"):
            train(recipe, out=tmp_path / "run", verbose=0)
    step, _ = checkpoint.read_metadata(tmp_path / "run")
    kept = load_file(tmp_path / "run" / checkpoint.FILE)
    assert step == 2 and all(np.isfinite(v).all() for v in kept.values())


def test_a_run_that_bursts_keeps_its_last_good_checkpoint(tmp_path, monkeypatch):
    """Where optimizers make steps of one size, a run may diverge for long before it is NaN."""
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda *_, step, **options: saved.append(step))
    keep = callbacks.Keep(tmp_path, {"epoch_steps": 2}, 10, None)
    for loss in (4000.0, -0.2, 0.3):  # the first says how large it may be
        keep.on_epoch_end(0, {"loss": loss, "mse": 1e9})
    with pytest.raises(checkpoint.NotFinite, match="loss is 5e.06 at step 18; .* lower the"):
        keep.on_epoch_end(0, {"loss": 5e6})
    assert saved == [12, 14, 16]


def test_corrupt_videos_in_the_folder_are_left_out(recipe, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    batch = next(iter(data.clips("mnist", frames=6, size=16, batch_size=4)))
    for i, clip in enumerate(np.asarray(batch["clip"])):
        video.write(videos / f"{i}.gif", clip, scale=1)
    (videos / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (videos / "cut.gif").write_bytes((videos / "0.gif").read_bytes()[:300])
    recipe.write_text(json.dumps(PLAIN | {"dataset": str(videos)}))
    with pytest.warns(UserWarning, match="noise.mp4"):
        done = train(recipe, out=tmp_path / "run", steps=4, verbose=0)
    assert done["step"] == 4
    assert all(np.isfinite(list(row.values())).all() for row in curves.read(tmp_path / "run"))
    config = json.loads((tmp_path / "run" / "tiny" / "config.json").read_text())
    assert config["license"]["data"] == "unspecified"


def test_a_line_of_the_log_that_was_cut_off_is_left_out(tmp_path):
    text = "step,clips_per_s,loss\n2,10.0,1.5\n4,10.0,"
    (tmp_path / curves.LOG).write_text(text)
    assert curves.read(tmp_path) == [{"step": 2, "clips_per_s": 10, "loss": 1.5}]
    assert curves.draw(tmp_path).stat().st_size > 1000
    curves.add(tmp_path, {"step": 6, "clips_per_s": 9.0, "mse": 0.5})
    curves.add(tmp_path, {"step": 8, "clips_per_s": 9.5, "mse": 0.4})
    first, *more = curves.read(tmp_path)
    assert first["loss"] == 1.5 and np.isnan(first["mse"])
    assert [row["mse"] for row in more] == [0.5, 0.4] and np.isnan(more[1]["loss"])
    assert not list(tmp_path.glob("*.part"))
    assert curves.draw(tmp_path).stat().st_size > 1000
    assert curves.read(tmp_path / "nowhere") == [] and curves.draw(tmp_path / "nowhere") is None
