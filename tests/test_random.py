"""Noise: stateless, the same whatever the batch, different for every clip, step and replica."""

import random as python_random
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tensorflow as tf

from vgzoo import random
from vgzoo.errors import VgzooError


@pytest.mark.parametrize("columns", [1, 3, 4, 8, 9])
def test_any_slice_of_the_uniform_table_is_had_without_the_rows_before_it(columns):
    table = random.uniform_rows(7, 0, 50, columns)
    for start, rows in ((0, 1), (1, 2), (13, 20), (49, 1)):
        part = random.uniform_rows(7, start, rows, columns)
        np.testing.assert_array_equal(part, table[start : start + rows])
    assert table.shape == (50, columns) and table.dtype == np.float64


def test_uniform_numbers_are_uniform_and_unrelated():
    table = random.uniform_rows(0, 0, 40_000, 4)
    assert 0 <= table.min() and table.max() < 1
    np.testing.assert_allclose(table.mean(0), 1 / 2, atol=0.01)
    np.testing.assert_allclose(table.var(0), 1 / 12, atol=0.002)
    np.testing.assert_allclose(np.corrcoef(table.T), np.eye(4), atol=0.03)
    np.testing.assert_allclose(np.corrcoef(table[:-1, 0], table[1:, 0])[0, 1], 0, atol=0.03)
    other = random.uniform_rows(1, 0, 40_000, 4)
    assert abs(np.corrcoef(table[:, 0], other[:, 0])[0, 1]) < 0.03


def test_noise_of_a_clip_does_not_depend_on_its_batch():
    whole = random.normal_rows(3, 0, 10, (4, 5))
    assert whole.shape == (10, 4, 5) and whole.dtype == np.float32
    for start, rows in ((0, 1), (4, 3), (9, 1)):
        part = random.normal_rows(3, start, rows, (4, 5))
        np.testing.assert_array_equal(part, whole[start : start + rows])


def test_noise_of_a_clip_starts_the_same_whatever_its_length():
    np.testing.assert_array_equal(
        random.normal_rows(3, 2, 1, (7,))[0], random.normal_rows(3, 2, 1, (20,))[0, :7]
    )


def test_normal_noise_is_normal_and_differs_between_clips_and_seeds():
    noise = random.normal_rows(0, 0, 200, (500,)).astype("float64")
    moments = [(noise**k).mean() for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, (0, 1, 0, 3), atol=0.05)
    related = np.corrcoef(noise[:20])
    np.testing.assert_allclose(related, np.eye(20), atol=0.25)
    assert (
        abs(np.corrcoef(noise.ravel(), random.normal_rows(1, 0, 200, (500,)).ravel())[0, 1]) < 0.02
    )


def test_numpy_integers_and_great_seeds_are_seeds_too():
    plain = random.normal_rows(5, 6, 2, (3,))
    np.testing.assert_array_equal(random.normal_rows(np.int64(5), np.int64(6), 2, (3,)), plain)
    assert not np.array_equal(random.normal_rows(2**64 - 1, 6, 2, (3,)), plain)
    for seed in (-1, 2**64):
        with pytest.raises(VgzooError, match="seed must lie between"):
            random.normal_rows(seed, 0, 1, (1,))
        with pytest.raises(VgzooError, match="seed must lie between"):
            random.uniform_rows(seed, 0, 1, 1)


def test_draws_in_a_graph_repeat_and_differ_by_seed_step_and_salt():
    draw = tf.function(
        lambda step, seed, salt: random.normal((64,), seed=seed, step=step, salt=salt),
        reduce_retracing=True,
    )
    first = draw(tf.constant(0), 0, 0).numpy()
    np.testing.assert_array_equal(draw(tf.constant(0), 0, 0).numpy(), first)
    np.testing.assert_array_equal(random.normal((64,), seed=0, step=0).numpy(), first)
    others = [
        draw(tf.constant(step), seed, salt).numpy()
        for step in (0, 1)
        for seed in (0, 1, 2**31, 2**63)
        for salt in (0, 1)
    ][1:]
    every = np.stack([first, *others])
    assert np.abs(np.corrcoef(every) - np.eye(len(every))).max() < 0.6


def test_moments_of_draws_in_a_graph():
    noise = random.normal((100, 200), seed=0, step=3).numpy()
    np.testing.assert_allclose([noise.mean(), noise.std()], (0, 1), atol=0.03)
    uniform = random.uniform((100, 200), seed=0, step=3).numpy()
    assert 0 <= uniform.min() and uniform.max() < 1
    np.testing.assert_allclose([uniform.mean(), uniform.var()], (1 / 2, 1 / 12), atol=0.01)


def test_global_random_state_stays_as_it_was():
    def touched(act) -> tuple:
        python_random.seed(0)
        np.random.seed(0)
        tf.random.set_seed(0)
        act()
        return python_random.random(), np.random.random(), tf.random.uniform(()).numpy()

    def act():
        random.uniform_rows(0, 0, 2, 3)
        random.normal_rows(0, 0, 2, (3,))
        random.normal((3,), seed=0, step=0)
        random.uniform((3,), seed=0, step=0)

    assert touched(act) == touched(lambda: None)


REPLICAS = """
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    from vgzoo import random

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])

    @tf.function
    def draw(step):
        return strategy.run(lambda: random.normal((100,), seed=0, step=step))

    a, b = (x.numpy() for x in strategy.experimental_local_results(draw(tf.constant(4))))
    assert abs((a * b).mean()) < 0.4, "the replicas drew the same noise"
    whole = random.normal((200,), seed=0, step=4).numpy()
    assert (tf.concat([a, b], 0).numpy() == whole).all(), "together they draw as one would"
    print("different")
"""


def test_replicas_draw_different_noise():
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(REPLICAS)], capture_output=True, text=True
    )
    assert run.stdout.strip() == "different", run.stderr[-2000:]
