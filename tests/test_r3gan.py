"""The mathematics of r3gan: who learns from which loss, and what its latents can and cannot do."""

import numpy as np
import pytest
import tensorflow as tf
from every import assert_same_gradients
from keras import ops
from tiny import TINY, clip_batch, scramble

from vgzoo import models, random
from vgzoo.errors import VgzooError
from vgzoo.models import r3gan
from vgzoo.models.base import input_gradient


def build(scrambled: bool = True, **changes):
    model = models.build("r3gan", **{**TINY["r3gan"], **changes})
    if scrambled:
        scramble(model)
    return model


def latents(model, count: int = 2, seed: int = 0) -> np.ndarray:
    return random.normal_rows(seed, 0, count, model.noise_shape(model.frames))


# -- gradients -----------------------------------------------------------------------------


def test_input_gradient_of_a_known_function():
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    gradient = input_gradient(lambda c: ops.sum(c**3, axis=1), tf.constant(x))
    np.testing.assert_allclose(gradient, 3 * x**2, rtol=1e-5)


def test_input_gradient_can_be_differentiated_again():
    w = tf.Variable([[1.0, -2.0, 0.5]])
    x = tf.constant([[0.3, 0.1, -0.7]])
    with tf.GradientTape() as tape:
        penalty = ops.sum(input_gradient(lambda c: ops.sum(w * c**2, axis=1), x) ** 2)
    np.testing.assert_allclose(tape.gradient(penalty, w), 8 * w.numpy() * x.numpy() ** 2, rtol=1e-5)


def test_input_gradient_of_the_discriminator_agrees_with_finite_differences():
    model = build()
    clip = tf.constant(clip_batch(TINY["r3gan"], 2) / 127.5 - 1, "float32")
    direction = np.random.default_rng(1).normal(size=clip.shape).astype("float32")

    def score(c):
        return model.discriminator(c)[:, 0]

    gradient = input_gradient(score, clip).numpy()
    step = 1e-3
    moved = ops.sum(score(clip + step * direction)) - ops.sum(score(clip - step * direction))
    np.testing.assert_allclose(
        (gradient * direction).sum(), float(moved) / (2 * step), rtol=0.02, atol=1e-3
    )


def test_penalty_is_the_mean_squared_norm_of_the_scores_gradient():
    model = build()
    clip = tf.constant(clip_batch(TINY["r3gan"], 3) / 127.5 - 1, "float32")
    norms = []
    for one in np.asarray(clip):
        one = tf.constant(one[None])
        with tf.GradientTape() as tape:
            tape.watch(one)
            scores = model.discriminator(one)
            score = scores[0, 0] + ops.mean(scores[0, 1:])
        norms.append((tape.gradient(score, one).numpy() ** 2).sum())
    np.testing.assert_allclose(model._penalty(clip), np.mean(norms), rtol=1e-4)


def pairing(difference):
    """The relativistic loss as the paper writes it, of the clip's score and of each frame's."""
    loss = tf.math.softplus(difference)
    return tf.reduce_mean(loss[:, 0]) + tf.reduce_mean(loss[:, 1:])


def test_each_player_learns_from_its_own_loss_alone(monkeypatch):
    model = build()
    monkeypatch.setattr(model, "next_noise_step", lambda: 0)
    batch = clip_batch(TINY["r3gan"], 4)
    generator = model.generator.trainable_variables
    discriminator = model.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    together = tape.gradient(loss, generator + discriminator)

    real = tf.constant(batch / 127.5 - 1, "float32")
    noise = random.normal((4, *model.noise_shape(6)), seed=model.seed, step=0)
    with tf.GradientTape() as tape:
        fake = model.generator(noise)
        g_loss = pairing(model.discriminator(real) - model.discriminator(fake))
    g_alone = tape.gradient(g_loss, generator)
    fake = tf.constant(fake.numpy())
    with tf.GradientTape() as tape:
        d_loss = pairing(model.discriminator(fake) - model.discriminator(real))
        penalties = model._penalty(real[::2]) + model._penalty(fake[::2])
        d_loss = d_loss + model.gamma / 2 * penalties
    d_alone = tape.gradient(d_loss, discriminator)

    np.testing.assert_allclose(loss, g_loss + d_loss, rtol=1e-4)
    assert_same_gradients(generator + discriminator, together, g_alone + d_alone, 1e-4)


def test_a_batch_shows_balance_between_the_players():
    model = build()
    model.compile()
    logs = model.evaluate(clip_batch(TINY["r3gan"], 4), verbose=0, return_dict=True)
    shown = {"generator_loss", "discriminator_loss", "margin", "r1", "r2"}
    assert shown <= set(logs) and all(np.isfinite(v) for v in logs.values())
    assert logs["r1"] > 0 and logs["r2"] > 0
    penalties = model.gamma / 2 * (logs["r1"] + logs["r2"])
    np.testing.assert_allclose(
        logs["loss"], logs["generator_loss"] + logs["discriminator_loss"] + penalties, rtol=1e-4
    )


def test_the_penalty_weighs_more_in_the_burn_in_and_gamma_after_it():
    model = build(scrambled=False, gamma=0.5, burn_in=[[100, 8.0], [200, 2.0], [300, 1.0]])
    weights = [float(model._penalty_weight(step)) for step in (0, 100, 150, 200, 250, 299, 300)]
    np.testing.assert_allclose(weights, [8, 8, 4, 2, 2**0.5, 2**0.01, 0.5], rtol=1e-5)
    model.end_burn_in()
    assert model._penalty_weight(0) == 0.5 and model.get_config()["burn_in"] == []


# -- networks ------------------------------------------------------------------------------


def test_from_a_step_on_speeds_and_paths_are_held_steady():
    model = build(steady=[3, 10.0])
    trajectory = model.generator.trajectory
    squares = sum(np.square(v.numpy()).sum() for v in trajectory.unsteady)
    assert squares > 0 and model._unsteadiness(2) == 0
    np.testing.assert_allclose(model._unsteadiness(3), 10 * squares, rtol=1e-5)
    for variable in trajectory.unsteady:
        variable.assign(0 * variable)
    motion = np.random.default_rng(0).normal(size=(5, model.motion)).astype("float32")
    trajectory.reach.assign([50.0, 50.0])  # no wall is met
    path = ops.convert_to_numpy(trajectory(motion, frames=6)).astype("float64")
    steps = np.linalg.norm(np.diff(path[..., :2], axis=1), axis=-1)
    np.testing.assert_allclose(steps, steps[0, 0], rtol=1e-3)
    assert np.ptp(path[..., 2]) < 1e-6
    model.end_burn_in()
    assert model._unsteadiness(3) == 0 and model.get_config()["steady"] is None


def test_the_order_of_objects_does_not_matter():
    model = build(objects=3)
    noise = latents(model).reshape(2, 3, -1)
    clip = model.generator(noise.reshape(2, -1))
    turned = model.generator(noise[:, [2, 0, 1]].reshape(2, -1))
    np.testing.assert_allclose(turned, clip, atol=1e-5)


def test_an_object_hides_behind_its_twin():
    """Where objects meet the greater feature wins, so the same object twice is seen once."""
    scene, single = build(objects=2), build(objects=1)
    single.set_weights(scene.get_weights())
    noise = latents(single)
    twice = np.concatenate([noise, noise], axis=1)
    np.testing.assert_allclose(scene.generator(twice), single.generator(noise), atol=1e-5)


def test_only_the_direction_of_a_content_latent_matters():
    model = build(objects=1)
    noise = latents(model)
    clip = model.generator(noise)
    content = noise * np.where(np.arange(noise.shape[1]) < model.content, 2.5, 1).astype("float32")
    np.testing.assert_allclose(model.generator(content), clip, atol=1e-4)
    motion = noise * np.where(np.arange(noise.shape[1]) < model.content, 1, 2.5).astype("float32")
    assert np.abs(model.generator(motion) - clip).max() > 1e-2


def test_the_content_latent_draws_and_the_motion_latent_moves(monkeypatch):
    model = build(objects=1)
    place = r3gan.place

    def parts(noise):
        seen = []
        monkeypatch.setattr(r3gan, "place", lambda *a: seen.extend(a[:2]) or place(*a))
        model.generator(noise)
        return map(np.asarray, seen)

    noise = latents(model)
    moved, redrawn = noise.copy(), noise.copy()
    moved[:, model.content :] += 1
    redrawn[:, : model.content] *= -1
    sprite, path = parts(noise)
    same_sprite, other_path = parts(moved)
    other_sprite, same_path = parts(redrawn)
    np.testing.assert_array_equal(same_sprite, sprite)
    np.testing.assert_array_equal(same_path, path)
    assert np.abs(other_path - path).max() > 1e-2 and np.abs(other_sprite - sprite).max() > 1e-2


@pytest.mark.parametrize("frames", [1, 3, 6, 11])
def test_a_clip_may_have_any_length(frames):
    model = build()
    assert model.generate(2, frames=frames).shape == (2, frames, 16, 16, 1)


def test_a_longer_clip_moves_on_where_a_shorter_one_ends():
    model = build()
    noise = latents(model)
    short, long = model.generator(noise, frames=6), model.generator(noise, frames=10)
    # Two frames at each end, less the one that the time convolution sees beyond the clip.
    np.testing.assert_allclose(long[:, 3:7], short[:, 1:5], atol=1e-4)


def test_the_discriminator_scores_the_clip_and_each_frame():
    model = build()
    scores = model.discriminator(clip_batch(TINY["r3gan"], 3) / 127.5 - 1)
    assert scores.shape == (3, 1 + 6) and scores.dtype == "float32"


def test_widths_that_do_not_fit_the_frame_are_refused():
    with pytest.raises(VgzooError, match="of 16 pixels a side, not 32×32"):
        build(height=32, width=32)
    with pytest.raises(VgzooError, match="not 16×32"):
        build(width=32)
