"""Two hosts, here two processes that talk over loopback, train as one does."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.numpy import load_file
from tiny import TINY

from vgzoo.errors import VgzooError
from vgzoo.train import checkpoint, curves, train
from vgzoo.train.distribution import Spread

BOUND_S = 120  # for the others to notice that one is gone, on a machine that is busy
PATIENCE_S = 600  # for a run to get going there


@pytest.fixture
def recipe(folder, tmp_path):
    """Path of a recipe that takes a moment longer than it takes to kill it.

    It learns slowly. At 2e-4 one process whose first weights differ by 1e-7 is 1e-6 apart up to
    step 6, and 1e-3 by step 12: where a gradient is about to change its sign, Adam makes a whole
    step of it. The steps must be small beside what a wrong clip or wrong noise would change, 0.02.
    """
    kwargs = {k: list(v) if isinstance(v, tuple) else v for k, v in TINY["r3gan"].items()}
    path = tmp_path / "tiny.json"
    path.write_text(
        json.dumps(
            {
                "arch": "r3gan",
                "kwargs": kwargs,
                "dataset": "mnist",
                "seed": 3,
                "dtype": "float32",
                "stages": [{"steps": 60, "frames": 2, "size": 16, "batch_size": 8}],
                "learning_rate": {"peak": 2e-5, "warmup_steps": 2, "final": 2e-5},
                "ema_momentum": 0.9,
                "epoch_steps": 2,
                "sample_epochs": 100,
                "fps": 8,
            }
        )
    )
    return path


class Pair:
    """`vgzoo train` on two hosts; only the first one's folder counts."""

    def __init__(self, recipe, out, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            coordinator = f"127.0.0.1:{free.getsockname()[1]}"
        command = [sys.executable, "-m", "vgzoo.cli", "train", str(recipe), "--resume"]
        command += ["--coordinator", coordinator, "--hosts", "2"]
        self.log = log
        self.processes = [
            subprocess.Popen(
                [*command, "--out", str(out if i == 0 else out / "other"), "--host", str(i)],
                stdout=subprocess.DEVNULL,
                stderr=open(f"{log}.{i}", "w"),
            )
            for i in (0, 1)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.processes:
            process.kill()
            process.wait()

    def said(self, i: int) -> str:
        with open(f"{self.log}.{i}") as file:
            return file.read()

    def kill(self, i: int, out, *, past: int) -> None:
        """SIGKILL to one host once the run is past a step."""
        begin = time.monotonic()
        while (checkpoint.read_metadata(out) or (0, {}))[0] <= past:
            assert all(p.poll() is None for p in self.processes), self.said(0) + self.said(1)
            assert time.monotonic() - begin < PATIENCE_S
            time.sleep(0.01)
        self.processes[i].send_signal(signal.SIGKILL)


def assert_same_run(one, two) -> None:
    """Two folders with the same losses, step by step, and the same weights in the end."""
    rows, others = curves.read(one), {r["step"]: r for r in curves.read(two)}
    assert len(others) >= len(rows) - 2  # a kill may fall between the checkpoint and its line
    for row in rows:
        ours = others.get(row["step"], row)
        for name in row.keys() - {"clips_per_s"}:
            assert ours[name] == pytest.approx(row[name], rel=1e-3, abs=2e-3), (row["step"], name)
    one, two = (load_file(folder / checkpoint.FILE) for folder in (one, two))
    for key in (key for key in one if key.startswith("model/")):
        np.testing.assert_allclose(two[key], one[key], atol=5e-4, err_msg=key)


def test_two_hosts_train_as_one_and_survive_the_loss_of_either(recipe, tmp_path):
    out = tmp_path / "two"
    train(recipe, out=tmp_path / "one", verbose=0)

    for past, victim in ((4, 1), (16, 0)):
        with Pair(recipe, out, tmp_path / f"log{victim}") as pair:
            pair.kill(victim, out, past=past)
            survivor = 1 - victim
            code = pair.processes[survivor].wait(BOUND_S)
            last = pair.said(survivor).strip().splitlines()[-1]
        assert code == 2 and last.startswith("Error: host"), pair.said(survivor)
        assert "--resume" in last and "checkpoint is kept" in last
        step, _ = checkpoint.read_metadata(out)
        assert past <= step < 60
        assert not (out / "other").exists(), "the second host wrote something"

    with Pair(recipe, out, tmp_path / "log") as pair:
        assert [p.wait(PATIENCE_S) for p in pair.processes] == [0, 0], pair.said(0) + pair.said(1)

    assert_same_run(tmp_path / "one", out)

    # A mistake that only the first host can see, since it alone has the folder, is told to both.
    recipe.write_text(recipe.read_text().replace('"seed": 3', '"seed": 4'))
    with Pair(recipe, out, tmp_path / "log") as pair:
        assert [p.wait(PATIENCE_S) for p in pair.processes] == [2, 2]
        for i in (0, 1):
            assert "seed was 3, is 4" in pair.said(i).strip().splitlines()[-1]


TWO_DEVICES = """
import sys
from vgzoo.train import train
for out, devices in (("one", ["cpu:0"]), ("two", ["cpu:0", "cpu:1"])):
    train(sys.argv[1], out=f"{sys.argv[2]}/{out}", devices=devices, steps=8, verbose=0)
"""


def test_two_devices_of_a_host_train_as_one(recipe, tmp_path):
    devices = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", TWO_DEVICES, str(recipe), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=devices)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_same_run(tmp_path / "one", tmp_path / "two")


def test_one_host_is_told_nothing_by_others():
    def fail():
        raise VgzooError("as it is")

    alone = Spread()
    assert alone.first and alone.tell(lambda: {"a": 1}) == {"a": 1}
    with pytest.raises(VgzooError, match="as it is"):
        alone.tell(fail)
