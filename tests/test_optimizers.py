"""Muon: what a step of a kernel is, and that all else is Adam's."""

import keras
import numpy as np
import pytest
from keras import ops

from vgzoo.optimizers import Muon

RNG = np.random.default_rng(0)


def steps(optimizer, shape: tuple[int, ...], gradients: list[np.ndarray]) -> list[np.ndarray]:
    """What each gradient changes in a variable that begins with zeros."""
    weight = keras.Variable(np.zeros(shape, "float32"))
    seen = [ops.convert_to_numpy(weight).copy()]
    for gradient in gradients:
        optimizer.apply([ops.convert_to_tensor(gradient)], [weight])
        seen.append(ops.convert_to_numpy(weight).copy())
    return list(np.diff(seen, axis=0))


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (3, 3, 8, 24), (1, 1, 16, 16)])
def test_a_kernel_takes_a_step_of_equal_singular_values(shape):
    gradient = RNG.normal(size=shape).astype("float32")
    (step,) = steps(Muon(0.01), shape, [gradient])
    matrix = -step.reshape(-1, shape[-1])
    values = np.linalg.svd(matrix, compute_uv=False) / (0.01 * 0.2 * max(matrix.shape) ** 0.5)
    assert 0.3 < values.min() and values.max() < 1.3
    # The steepest way of those: along the gradient's own singular vectors.
    u, _, v = np.linalg.svd(gradient.reshape(-1, shape[-1]), full_matrices=False)
    cosine = (matrix * (u @ v)).sum() / np.linalg.norm(matrix) / np.linalg.norm(u @ v)
    assert cosine > 0.95


def test_a_matrix_takes_the_steps_of_keras_own_muon():
    gradients = [RNG.normal(size=(24, 16)).astype("float32") for _ in range(4)]
    theirs = keras.optimizers.Muon(0.01, weight_decay=None, adam_weight_decay=None)
    wanted = steps(theirs, (24, 16), gradients)
    for ours, step in zip(steps(Muon(0.01), (24, 16), gradients), wanted, strict=True):
        # Theirs is in float32, ours rounds to eight bits on the way.
        assert np.linalg.norm(ours - step) < 0.1 * np.linalg.norm(step)


def test_what_is_no_kernel_takes_the_steps_of_adam():
    gradients = [RNG.normal(size=7).astype("float32") for _ in range(4)]
    wanted = steps(keras.optimizers.Adam(0.01, beta_2=0.99), (7,), gradients)
    np.testing.assert_allclose(steps(Muon(0.01, beta_2=0.99), (7,), gradients), wanted, rtol=1e-5)


def test_its_configuration_round_trips():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 10)
    optimizer = Muon(schedule, momentum=0.9, newton_schulz=4, beta_2=0.97, use_ema=True)
    written = keras.saving.serialize_keras_object(optimizer)
    copy = keras.saving.deserialize_keras_object(written)
    assert isinstance(copy, Muon) and copy.get_config() == optimizer.get_config()
    assert (copy.momentum, copy.newton_schulz, copy.beta_2) == (0.9, 4, 0.97)


def test_a_step_is_as_large_whatever_the_gradient():
    gradient = RNG.normal(size=(20, 30)).astype("float32")
    (one,), (other,) = (steps(Muon(0.01), (20, 30), [g]) for g in (gradient, 1e-4 * gradient))
    assert np.linalg.norm(one - other) < 0.05 * np.linalg.norm(one)
    assert np.sqrt(np.square(one).mean()) == pytest.approx(0.01 * 0.2, rel=0.3)
