"""Every architecture and every bundled model, for tests of what all of them keep."""

import functools
import json

import numpy as np
import pytest
from tiny import TINY, scramble

from vgzoo import models, optimizers, registry


def _having(fits) -> list[str]:
    return [arch for arch in models.architectures() if fits(models.model_class(arch))]


every_architecture = pytest.mark.parametrize("arch", models.architectures())
every_generator = pytest.mark.parametrize("arch", _having(lambda kind: "generate" in kind.tasks))
every_maker = pytest.mark.parametrize("arch", _having(lambda kind: kind.family != "judge"))
every_forecaster = pytest.mark.parametrize("arch", _having(lambda kind: "forecast" in kind.tasks))
every_density = pytest.mark.parametrize("arch", _having(lambda kind: "density" in kind.tasks))
every_judge = pytest.mark.parametrize("arch", _having(lambda kind: kind.family == "judge"))
every_model = pytest.mark.parametrize("name", registry.list_models())
# The last one of each: what a model is trained by belongs to its architecture.
every_bundled_architecture = pytest.mark.parametrize(
    "name", {registry.info(name)["arch"]: name for name in registry.list_models()}.values()
)
every_bundled_generator = pytest.mark.parametrize("name", registry.list_models(task="generate"))
every_bundled_forecaster = pytest.mark.parametrize("name", registry.list_models(task="forecast"))
every_bundled_editor = pytest.mark.parametrize("name", registry.list_models(family="editor"))
every_bundled_judge = pytest.mark.parametrize("name", registry.list_models(family="judge"))


def build(arch: str, **options):
    """A tiny model of an architecture, its weights random."""
    model = models.build(arch, **TINY[arch], **options)
    scramble(model)
    return model


@functools.cache
def kept(arch: str):
    """The same one each time, for tests that leave it as it is."""
    return build(arch)


def run_plainly(model, *arguments) -> None:
    """Compiles a model as anyone would, and has Keras run it operation by operation.

    Tracing a step takes a hundred times as long as a tiny one.
    """
    model.compile(*arguments)
    model.run_eagerly = True


def golden_clips(model, golden, **options) -> np.ndarray:
    """What a bundled model makes of the seed of its golden clips."""
    frames = int(golden["frames"]) if "frames" in golden else None
    return model.generate(int(golden["n"]), seed=int(golden["seed"]), frames=frames, **options)


def weights(model) -> dict[str, np.ndarray]:
    return {v.path: v.numpy() for v in model.trainable_variables}


def assert_same_clips(a: np.ndarray, b: np.ndarray) -> None:
    """Equal but for rounding: sums in another order may cross a half."""
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def assert_same_gradients(variables, got, wanted, share: float) -> None:
    """Equal but for a share of each one's greatest."""
    for variable, ours, theirs in zip(variables, got, wanted, strict=True):
        size = np.abs(theirs).max()
        np.testing.assert_allclose(
            ours, theirs, rtol=1e-3, atol=share * size + 1e-6, err_msg=variable.path
        )


def assert_config_round_trips(model) -> None:
    config = model.get_config()
    assert json.loads(json.dumps(config)) == config
    copy = type(model).from_config(config)
    assert copy.get_config() == config
    shapes = {v.path: tuple(v.shape) for v in model.weights}
    assert {v.path: tuple(v.shape) for v in copy.weights} == shapes


def fine_tune(model, frozen, clips) -> None:
    """Trains for some steps; layers that are frozen stay as they are."""
    for layer in frozen:
        layer.trainable = False
    kept = [v.numpy() for layer in frozen for v in layer.weights]
    model.compile(optimizers.Muon(1e-3))
    model.fit(clips, verbose=0)
    for variable, value in zip((v for f in frozen for v in f.weights), kept, strict=True):
        np.testing.assert_array_equal(variable, value)
