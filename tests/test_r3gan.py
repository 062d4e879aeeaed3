"""The mathematics of r3gan: who learns from which loss, and what its latents can and cannot do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import ndimage
from tiny import TINY, clip_batch, scramble

from vgzoo import models, random
from vgzoo.errors import VgzooError
from vgzoo.layers import spacetime
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
    for variable, got, wanted in zip(
        generator + discriminator, together, g_alone + d_alone, strict=True
    ):
        size = np.abs(wanted).max()
        np.testing.assert_allclose(
            got, wanted, rtol=1e-3, atol=1e-4 * size + 1e-6, err_msg=variable.path
        )


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


def test_every_block_is_the_identity_at_first():
    for time in (True, False):
        block = r3gan.Block(4, time, styled=True)
        x = np.random.default_rng(0).normal(size=(6, 8, 8, 4)).astype("float32")
        out = block(x, frames=3, style=np.ones((2, 5), "float32"))
        np.testing.assert_array_equal(out, x)


def test_a_trained_block_looks_across_frames_only_where_it_has_a_time_convolution():
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 4)).astype("float32")
    other = x.copy()
    other[2] += 1
    for time, reached in ((True, [1, 2, 3]), (False, [2])):
        block = r3gan.Block(4, time, styled=False)
        block(x, frames=5)
        scramble(block)
        change = np.abs(block(x, frames=5) - block(other, frames=5)).max(axis=(1, 2, 3))
        assert list(np.flatnonzero(change > 1e-5)) == reached


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


# -- placing ---------------------------------------------------------------------------------


def test_a_sprite_is_set_as_an_affine_warp_sets_it():
    rng = np.random.default_rng(0)
    sprite = rng.normal(size=(2, 6, 8, 3)).astype("float32")
    path = rng.uniform(-0.9, 0.9, (2, 5, 3)).astype("float32")
    placed = np.asarray(r3gan.place(sprite, path, 16, 12))
    assert placed.shape == (2, 5, 16, 12, 3)
    for b, t, c in np.ndindex(2, 5, 3):
        y, x, zoom = path[b, t].astype("float64")
        scale = 2**zoom
        # From a place of the frame to one of the sprite, counted from their middles.
        start = (np.array((-7.5, -5.5)) - (8 * y, 6 * x)) / scale + (2.5, 3.5)
        wanted = ndimage.affine_transform(
            sprite[b, ..., c], np.full(2, 1 / scale), start, (16, 12), order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(placed[b, t, ..., c], wanted, atol=1e-4)


def test_a_sprite_on_whole_pixels_is_a_copy():
    sprite = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    path = np.array([[[0, 0, 0], [-1 / 4, 1 / 2, 0], [1, 0, 0]]], "float32")
    placed = np.asarray(r3gan.place(sprite, path, 8, 8))[0]
    wanted = np.zeros((3, 8, 8, 2), "float32")
    wanted[0, 2:6, 2:6] = sprite[0]
    wanted[1, 1:5, 4:8] = sprite[0]
    wanted[2, 6:8, 2:6] = sprite[0, :2]  # half of it beyond the edge
    np.testing.assert_allclose(placed, wanted, atol=1e-6)


def test_a_path_is_learned_through_the_pixels():
    """The gradient of a misplaced sprite's error leads to where it should be."""
    y, x = np.mgrid[-4:4, -4:4] + 0.5
    sprite = np.exp(-(y**2 + x**2) / 8).astype("float32")[None, ..., None]
    goal = tf.constant([[[0.25, -0.5, 0.0]]])
    target = r3gan.place(sprite, goal, 16, 16)
    path = tf.Variable([[[0.03, 0.03, 0.0]]])  # on a whole pixel there is no slope
    for i in range(80):
        with tf.GradientTape() as tape:
            error = ops.sum(ops.square(r3gan.place(sprite, path, 16, 16) - target))
        path.assign_sub(0.01 * 0.95**i * tape.gradient(error, path))
    np.testing.assert_allclose(path, goal, atol=0.02)


def test_a_path_begins_straight_at_one_speed_and_turns_back_at_the_walls():
    trajectory = r3gan.Trajectory(4, 0.5)
    motion = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    path = np.asarray(trajectory(motion, frames=40))
    assert path.shape == (64, 40, 3) and np.abs(path[..., 2]).max() == 0
    centre = path[..., :2]
    assert 0.49 < np.abs(centre).max() <= 0.5
    assert centre[:, 20].std(axis=0).min() > 0.2  # all over the frame, not in one place
    step = np.diff(centre, axis=1)
    # A step without a wall has the speed, and the direction of the last one but for its signs.
    inside = (np.abs(centre) < 0.39).all(-1)
    free = step[inside[:, :-1] & inside[:, 1:]]
    np.testing.assert_allclose(np.linalg.norm(free, axis=-1), 0.1, atol=1e-4)
    clear = inside[:, :-2] & inside[:, 1:-1] & inside[:, 2:]
    np.testing.assert_allclose(np.diff(step, axis=1)[clear], 0, atol=1e-4)
    assert (np.sign(step[:, 1:]) != np.sign(step[:, :-1])).any(axis=(1, 2)).mean() > 0.9


def test_waves_bend_a_path_once_that_is_learned():
    trajectory = r3gan.Trajectory(4, 0.5)
    motion = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    straight = np.asarray(trajectory(motion, frames=9))
    trajectory.bend.kernel.assign(0.02 * np.random.default_rng(1).normal(size=(8, 3)))
    bent = np.asarray(trajectory(motion, frames=9))
    assert (np.abs(bent - straight).max(axis=(1, 2)) > 1e-3).all()
    assert np.abs(bent[..., :2]).max() <= 0.5 and np.abs(bent[..., 2]).max() > 1e-4


@pytest.mark.parametrize("frames", [1, 3, 6, 11])
def test_a_clip_may_have_any_length(frames):
    model = build()
    assert model.generate(2, frames=frames).shape == (2, frames, 16, 16, 1)


def test_a_wave_has_the_zeros_and_peaks_of_sine_and_straight_sides():
    angle = np.linspace(-7, 7, 561).astype("float32")
    wave = np.asarray(r3gan.triangle(angle))
    np.testing.assert_allclose(wave, 2 / np.pi * np.arcsin(np.sin(angle)), atol=1e-5)


def test_waves_of_a_longer_clip_hold_those_of_a_shorter_one():
    waves = r3gan.Waves(4)
    motion = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    waves(motion, frames=3)
    scramble(waves)
    np.testing.assert_allclose(waves(motion, frames=7)[:, 2:5], waves(motion, frames=3), atol=1e-5)


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


# -- space and time ------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_time_convolution_is_a_3d_convolution_along_time(kernel):
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 6, 3)).astype("float32")
    layer = spacetime.TimeConv(7, kernel)
    layer(x.reshape(10, 4, 6, 3), frames=5)
    scramble(layer)
    ours = layer(x.reshape(10, 4, 6, 3), frames=5)
    oracle = keras.layers.Conv3D(7, (kernel, 1, 1), padding="same")
    oracle.build(x.shape)
    weights, bias = layer.get_weights()
    oracle.set_weights([weights[:, :, None], bias])
    np.testing.assert_allclose(np.reshape(ours, (2, 5, 4, 6, 7)), oracle(x), rtol=1e-4, atol=1e-5)


def test_space_to_depth_is_undone_by_depth_to_space():
    x = np.arange(2 * 8 * 4 * 3, dtype="float32").reshape(2, 8, 4, 3)
    deep = spacetime.space_to_depth(x, 2)
    np.testing.assert_array_equal(deep, tf.nn.space_to_depth(x, 2))
    np.testing.assert_array_equal(spacetime.depth_to_space(deep, 2), x)


def test_upsample_repeats_pixels_and_takes_the_mean_of_nine():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    large = x.repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(large, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    np.testing.assert_allclose(spacetime.upsample(x), windows.mean((-2, -1)), rtol=1e-4, atol=1e-6)


def test_downsample_takes_the_mean_of_four():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 5)).astype("float32")
    mean = x.reshape(2, 3, 2, 4, 2, 5).mean((2, 4))
    np.testing.assert_allclose(spacetime.downsample(x), mean, rtol=1e-5, atol=1e-6)


def test_he_normal_keeps_the_scale_through_a_leaky_relu():
    x = np.random.default_rng(0).normal(size=(4000, 256)).astype("float32")
    dense = keras.layers.Dense(256, kernel_initializer=spacetime.he_normal())
    y = spacetime.leaky(dense(x))
    np.testing.assert_allclose(np.mean(np.square(y)), 1, rtol=0.1)
