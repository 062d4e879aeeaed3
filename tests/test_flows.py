"""What every normalizing flow keeps: exact both ways, and a density that is one."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from every import every_density
from tiny import TINY, clip_batch

from vgzoo import models
from vgzoo.errors import VgzooError
from vgzoo.metrics import BitsPerDim, dequantise

RNG = np.random.default_rng(0)


def pixels(count: int, frames: int = 3) -> tf.Tensor:
    """Of something that moves, with noise as `dequantise` adds it: inside each level."""
    still = RNG.integers(0, 256, (count, 8, 8, 1))
    clips = np.stack([np.roll(still, (t, -t), axis=(1, 2)) for t in range(frames)], axis=1)
    inside = clips + RNG.uniform(0.01, 0.99, clips.shape)
    return tf.constant((inside / 128 - 1).astype("float32"))


@functools.cache
def trained(arch: str):
    """As if trained for a while: random weights alone may be all but impossible to invert."""
    model = models.build(arch, **TINY[arch])
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        scale = 0.1 / 30 if variable.name in ("logits", "codebook") else 0.1
        variable.assign(variable + rng.normal(0, scale, variable.shape))
    return model


@every_density
@pytest.mark.parametrize("frames", [1, 6])
def test_what_goes_in_comes_out(arch, frames):
    model, x = trained(arch), pixels(2, frames)
    noise, _ = model._forward(x)
    assert noise.shape == (2, *model.noise_shape(frames))
    again = model.compiled_function(model._backward)(noise)
    assert np.abs(again - x).max() < 1e-4


@every_density
def test_no_frame_knows_a_later_one(arch):
    model, x = trained(arch), pixels(1, 4)
    for t in range(4):
        with tf.GradientTape() as tape:
            tape.watch(x)
            noise, _ = model._forward(x)
            out = tf.reduce_sum(noise[:, t] ** 2)
        seen = np.flatnonzero(np.abs(tape.gradient(out, x)).max(axis=(0, 2, 3, 4)))
        assert seen[-1] == t and (t == 0 or t - 1 in seen)


@every_density
def test_a_longer_clip_begins_as_a_shorter_one(arch):
    model = trained(arch)
    short, long = model.generate(2), model.generate(2, frames=6)
    assert (long[:, :3] == short).mean() > 0.99


@every_density
def test_the_log_determinant_is_that_of_the_jacobian(arch):
    model = trained(arch)

    @tf.function(autograph=False)
    def slopes(x):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            noise, found = model._forward(tf.reshape(x, (1, 3, 8, 8, 1)))
            noise = tf.reshape(noise, (-1,))
        return tape.jacobian(noise, x, experimental_use_pfor=False), found

    jacobian, found = slopes(tf.reshape(pixels(1), (-1,)))
    sign, wanted = np.linalg.slogdet(jacobian.numpy().astype("float64"))
    assert sign != 0 and float(found[0]) == pytest.approx(wanted, abs=1e-3)


@every_density
def test_bits_and_densities_say_the_same(arch):
    model = trained(arch)
    clips = clip_batch(TINY[arch], 19)
    found = model.log_prob(clips, seed=2)
    assert found.shape == (19,) and found.dtype == np.float64
    noise, wanted = model._log_density(tf.constant(dequantise(clips, seed=2)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    metric = BitsPerDim()
    metric.update_state(found, clips[0].size)
    assert metric.result() == pytest.approx(model.bits_per_dim(clips, seed=2).mean())
    np.testing.assert_allclose(model.log_prob(clips[:3], seed=2), found[:3], rtol=1e-5)
    np.testing.assert_allclose(model.invert(clips, seed=2), noise, atol=1e-4)
    loss = model.compute_loss({"clip": clips})
    assert float(loss) == pytest.approx(model.bits_per_dim(clips).mean(), rel=0.05)


@every_density
def test_clips_come_back_from_their_noise_to_the_level(arch):
    model = trained(arch)
    clips = clip_batch(TINY[arch], 3)
    noise = model.invert(clips)
    assert noise.shape == (3, *model.noise_shape(3))
    again = model.decode(noise).astype(int)
    # What lies at the very edge of a level may round into the next one.
    assert np.abs(again - clips).max() <= 1 and (again == clips).mean() > 0.98
    np.testing.assert_array_equal(model.decode(model.invert(clips[0])), model.decode(noise[0]))
    with pytest.raises(VgzooError, match="decodes") as caught:
        model.decode(noise[..., :-1])
    assert "\n" not in str(caught.value)
