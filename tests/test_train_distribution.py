"""Two devices that share a batch take the step that one takes with all of it."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_train import RECIPE as PLAIN
from tiny import TINY

from vgzoo.errors import VgzooError
from vgzoo.train import checkpoint, curves, recipes
from vgzoo.train.distribution import Spread, spread
from vgzoo.train.hosts import Hosts

# Two networks, one against the other, and noise in each step.
RECIPE = PLAIN | {"arch": "r3gan", "kwargs": TINY["r3gan"]}

TWO_DEVICES = """
    import json
    import sys
    from pathlib import Path
    import numpy as np
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

    from vgzoo import models, random
    from vgzoo.errors import VgzooError
    from vgzoo.train import export, recipes, train
    from vgzoo.train.distribution import spread

    recipe, out = sys.argv[1:]
    export._step_operations = lambda *_: 0  # which takes as long to count as to train
    both = ("CPU:0", "CPU:1")
    train(recipe, out=out + "/one", devices=both[:1], verbose=0)
    train(recipe, out=out + "/two", devices=both, verbose=0)

    _, content = recipes.read(recipe)
    accumulated = Path(out, "accumulated.json")
    accumulated.write_text(json.dumps(content | {"gradient_accumulation_steps": 2}))
    try:
        train(accumulated, out=out + "/three", devices=both, verbose=0)
    except VgzooError as error:
        assert "does not go with several devices" in str(error)
    else:
        raise AssertionError("what Keras refuses far inside was not refused at once")
    with spread(both) as over:
        assert over.devices == 2
        strategy = tf.distribute.get_strategy()
        model = models.build(content["arch"], **content["kwargs"])

        @tf.function
        def step():
            shape = (4, *model.noise_shape(4))

            def play():
                noise = random.normal(shape, seed=0, step=3)
                return model.sample(noise, frames=4, labels=None, steps=None)

            return strategy.run(play)

        parts = [x.numpy() for x in strategy.experimental_local_results(step())]
    noise = random.normal((8, *model.noise_shape(4)), seed=0, step=3)
    whole = model.sample(noise, frames=4, labels=None, steps=None).numpy()
    np.savez(out + "/clips.npz", parts=np.stack(parts), whole=whole)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory, mnist_folder):
    """Folder of the same training on one device and on two, and of the clips they play with."""
    out = tmp_path_factory.mktemp("runs")
    recipe = RECIPE | {
        "stages": [RECIPE["stages"][0] | {"steps": 12}],
        # So slow that a gradient whose sign is a matter of rounding does not matter.
        "learning_rate": {"peak": 2e-5, "warmup_steps": 2, "final": 2e-5},
    }
    (out / "tiny.json").write_text(json.dumps(recipe))
    code = textwrap.dedent(TWO_DEVICES)
    command = [sys.executable, "-c", code, str(out / "tiny.json"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out


def test_the_loss_curve_is_that_of_one_device(runs):
    one, two = curves.read(runs / "one"), curves.read(runs / "two")
    assert [row["step"] for row in two] == [2, 4, 6, 8, 10, 12]
    for ours, theirs in zip(two, one, strict=True):
        for name in ours.keys() - {"clips_per_s"}:
            # Sums in another order, and Adam divides by them: rounding, no more. Wrong noise or a
            # wrong mean of the replicas' gradients would change the margin by 0.02.
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-3), name


def test_the_weights_are_those_of_one_device(runs):
    one, two = (load_file(runs / k / checkpoint.FILE) for k in ("one", "two"))
    for key in (key for key in one if key.startswith("model/")):
        np.testing.assert_allclose(two[key], one[key], atol=2e-4, err_msg=key)


def test_replicas_play_with_different_noise(runs):
    with np.load(runs / "clips.npz") as file:
        (first, second), whole = file["parts"], file["whole"]
    assert np.abs(first - second).max() > 1e-3, "both replicas made the same clips"
    np.testing.assert_allclose(np.concatenate([first, second]), whole, atol=1e-5)


def test_what_cannot_be_spread_gets_one_line():
    with pytest.raises(VgzooError, match="no device 'GPU:9' here; there are: CPU:0"):
        with spread(["GPU:9"]):
            pass
    with pytest.raises(VgzooError, match="8 clips cannot be divided among 3 devices"):
        Spread(devices=3).check_batch(8)
    with pytest.raises(VgzooError, match="need KERAS_BACKEND=jax"):
        from vgzoo.train import train

        train("r3gan-mnist", out="never", hosts=Hosts("localhost:1", 2, 0))
    for arguments, message in (
        (("localhost", 2, 0), "must be host:port, not 'localhost'"),
        (("localhost:1", 1, 0), "hosts must be at least 2"),
        (("localhost:1", 2, 2), "between 0 and 1 for 2 hosts, not 2"),
    ):
        with pytest.raises(VgzooError, match=message):
            Hosts(*arguments)


def test_hosts_together_see_each_clip_once(mnist_folder):
    stage = RECIPE["stages"][0]
    whole = next(iter(recipes.clips(RECIPE, stage, start=16, steps=1)))["clip"]
    parts = [
        next(iter(recipes.clips(RECIPE, stage, start=16, steps=1, shard=(i, 2))))["clip"]
        for i in (0, 1)
    ]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
