"""The mathematics of the blocks that architectures share."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy import ndimage
from tiny import scramble

from vgzoo.layers import spacetime
from vgzoo.layers.placing import place
from vgzoo.layers.residual import Block
from vgzoo.layers.trajectory import Trajectory, Waves, triangle

# -- residual ------------------------------------------------------------------------------


def test_every_block_is_the_identity_at_first():
    for time in (True, False):
        block = Block(4, time, styled=True)
        x = np.random.default_rng(0).normal(size=(6, 8, 8, 4)).astype("float32")
        out = block(x, frames=3, style=np.ones((2, 5), "float32"))
        np.testing.assert_array_equal(out, x)


def test_a_trained_block_looks_across_frames_only_where_it_has_a_time_convolution():
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 4)).astype("float32")
    other = x.copy()
    other[2] += 1
    for time, reached in ((True, [1, 2, 3]), (False, [2])):
        block = Block(4, time, styled=False)
        block(x, frames=5)
        scramble(block)
        change = np.abs(block(x, frames=5) - block(other, frames=5)).max(axis=(1, 2, 3))
        assert list(np.flatnonzero(change > 1e-5)) == reached


# -- placing -------------------------------------------------------------------------------


def test_a_sprite_is_set_as_an_affine_warp_sets_it():
    rng = np.random.default_rng(0)
    sprite = rng.normal(size=(2, 6, 8, 3)).astype("float32")
    path = rng.uniform(-0.9, 0.9, (2, 5, 3)).astype("float32")
    placed = np.asarray(place(sprite, path, 16, 12))
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
    placed = np.asarray(place(sprite, path, 8, 8))[0]
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
    target = place(sprite, goal, 16, 16)
    path = tf.Variable([[[0.03, 0.03, 0.0]]])  # on a whole pixel there is no slope
    for i in range(80):
        with tf.GradientTape() as tape:
            error = ops.sum(ops.square(place(sprite, path, 16, 16) - target))
        path.assign_sub(0.01 * 0.95**i * tape.gradient(error, path))
    np.testing.assert_allclose(path, goal, atol=0.02)


# -- trajectory ----------------------------------------------------------------------------


def test_a_path_begins_straight_at_one_speed_and_turns_back_at_the_walls():
    trajectory = Trajectory(4, 0.5)
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
    trajectory = Trajectory(4, 0.5)
    motion = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    straight = np.asarray(trajectory(motion, frames=9))
    trajectory.bend.kernel.assign(0.02 * np.random.default_rng(1).normal(size=(8, 3)))
    bent = np.asarray(trajectory(motion, frames=9))
    assert (np.abs(bent - straight).max(axis=(1, 2)) > 1e-3).all()
    assert np.abs(bent[..., :2]).max() <= 0.5 and np.abs(bent[..., 2]).max() > 1e-4


def test_a_wave_has_the_zeros_and_peaks_of_sine_and_straight_sides():
    angle = np.linspace(-7, 7, 561).astype("float32")
    wave = np.asarray(triangle(angle))
    np.testing.assert_allclose(wave, 2 / np.pi * np.arcsin(np.sin(angle)), atol=1e-5)


def test_waves_of_a_longer_clip_hold_those_of_a_shorter_one():
    waves = Waves(4)
    motion = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    waves(motion, frames=3)
    scramble(waves)
    np.testing.assert_allclose(waves(motion, frames=7)[:, 2:5], waves(motion, frames=3), atol=1e-5)


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


@pytest.mark.parametrize("size", [3, 9])
@pytest.mark.parametrize("shape", [(2, 12, 16, 3), (1, 3, 2, 1), (1, 1, 1, 2)])
def test_the_mean_around_a_pixel_counts_what_there_is(shape, size):
    x = np.random.default_rng(0).normal(size=shape).astype("float32")
    wanted = tf.nn.avg_pool2d(x, size, 1, "SAME")
    np.testing.assert_allclose(spacetime.mean_around(tf.constant(x), size), wanted, atol=1e-6)


def test_downsample_takes_the_mean_of_four():
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 5)).astype("float32")
    mean = x.reshape(2, 3, 2, 4, 2, 5).mean((2, 4))
    np.testing.assert_allclose(spacetime.downsample(x), mean, rtol=1e-5, atol=1e-6)


def test_he_normal_keeps_the_scale_through_a_leaky_relu():
    x = np.random.default_rng(0).normal(size=(4000, 256)).astype("float32")
    dense = keras.layers.Dense(256, kernel_initializer=spacetime.he_normal())
    y = spacetime.leaky(dense(x))
    np.testing.assert_allclose(np.mean(np.square(y)), 1, rtol=0.1)
