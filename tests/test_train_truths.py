"""The truth beside the clips: it says what is in them, and how it moves."""

import keras
import numpy as np
import pytest

from vgzoo import data
from vgzoo.data import camera, motion
from vgzoo.errors import DataError
from vgzoo.train import recipes, truths


def test_digits_lie_where_their_path_says(mnist_folder):
    batch = next(iter(truths.clips("mnist", frames=3, size=64, batch_size=4, count=8, seed=2)))
    batch = {k: keras.ops.convert_to_numpy(v) for k, v in batch.items()}
    plain = next(iter(data.clips("mnist", frames=3, batch_size=4, seed=2)))
    np.testing.assert_array_equal(batch["clip"], keras.ops.convert_to_numpy(plain["clip"]))
    np.testing.assert_array_equal(batch["label"], keras.ops.convert_to_numpy(plain["label"]))
    outside = batch["clip"].copy()
    for b in range(4):
        for t in range(3):
            for top, left in batch["path"][b, :, t]:
                outside[b, t, top : top + 28, left : left + 28] = 0
    assert not outside.any() and batch["clip"].any()


def test_clips_go_on_where_they_are_told_to(mnist_folder):
    options = dict(frames=2, size=64, batch_size=4, seed=2)
    second = list(truths.clips("mnist", count=8, **options))[1]
    again = next(iter(truths.clips("mnist", start=4, count=4, **options)))
    for key, value in second.items():
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (value, again[key])))


def test_hosts_together_see_each_clip_once(mnist_folder):
    options = dict(frames=2, size=64, count=8, start=4, seed=2)
    whole = list(truths.clips("mnist", batch_size=4, **options))
    parts = [list(truths.clips("mnist", batch_size=2, shard=(i, 2), **options)) for i in (0, 1)]
    assert len(parts[0]) == len(parts[1]) == len(whole) == 2
    for one, first, second in zip(whole, *parts, strict=True):
        for key, value in one.items():
            together = keras.ops.concatenate([first[key], second[key]])
            np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (together, value)))


def test_two_digits_are_told_whichever_comes_first():
    rng = np.random.default_rng(0)
    start, turn = rng.random((5, 2, 2)), rng.random((5, 2)) * 6
    path = motion.trajectory(start, turn, 16)
    moved, known = truths._digit_truth(path)
    np.testing.assert_allclose(truths._digit_truth(path[:, ::-1])[0], moved, atol=1e-6)
    assert moved.shape == known.shape == (5, truths.GAPS, truths.MOTIONS)
    assert known[..., :10].all() and not known[..., 10:].any() and not moved[..., 10:].any()
    still, _ = truths._digit_truth(np.repeat(path[:, :, :1], 16, axis=2))
    assert not still[..., 5:10].any() and np.abs(moved[..., 5:10]).max() > 0.5


def test_a_camera_is_told_as_the_flow_it_makes():
    rng = np.random.default_rng(0)
    side = 33  # a pixel lies in the middle
    views = camera.path(rng.random((6, camera.DRAWS - 1)), 16, 96, side)
    moved, known = truths._camera_truth(views, side)
    flow = keras.ops.convert_to_numpy(camera.flow(views, side)[0])
    middle = flow[:, :, side // 2, side // 2] / side
    across = flow[:, :, side // 2, -1] - flow[:, :, side // 2, 0]
    down = flow[:, :, -1, side // 2] - flow[:, :, 0, side // 2]
    wanted = np.stack([middle[..., 0], middle[..., 1], across[..., 0], down[..., 0]], axis=-1)
    wanted[..., 2:] /= side - 1
    wanted = np.stack([p.mean(axis=1) for p in np.array_split(wanted, truths.GAPS, axis=1)], 1)
    told = (moved[..., 10:] * truths.CAMERA_SCALE)[..., :4]
    np.testing.assert_allclose(told, wanted, atol=1e-4)
    assert known[..., 10:].all() and not known[..., :10].any()


def test_what_cannot_be_told_gets_one_line(mnist_folder):
    options = dict(frames=2, batch_size=4, count=4)
    for name, size, said in (
        ("sand", 64, "no dataset 'sand' with its truth; there are: mnist"),
        ("mnist", 32, "digits are told at 64 pixels a side, not 32"),
        ("mnist+mnist+mnist", 64, "batch_size=4 is no multiple of the 3"),
    ):
        with pytest.raises(DataError, match=said):
            truths.clips(name, size=size, **options)


def test_patterns_are_of_the_size_asked_and_move():
    spec = dict(frames=3, height=10, width=14, channels=3)
    clips = truths.patterns(2, seed=1, **spec)
    assert clips.shape == (2, 3, 10, 14, 3) and clips.dtype == np.uint8
    assert (clips[0] != clips[1]).any() and (clips[:, 0] != clips[:, 1]).any()
    np.testing.assert_array_equal(truths.patterns(1, seed=1, **spec), clips[:1])


@pytest.mark.parametrize(
    ("name", "told"), [("rflow-mnist", True), ("predformer-mnist", True), ("convlstm-mnist", False)]
)
def test_models_with_sprites_are_trained_on_paths(name, told, mnist_folder):
    """Recipes of others get clips and labels alone."""
    _, recipe = recipes.read(name)
    stage = recipe["stages"][-1] | {"batch_size": 2}
    batch = next(iter(recipes.clips(recipe, stage, start=0, steps=1)))
    assert ("path" in batch) == told
    if told:
        assert batch["path"].shape == (2, 2, stage["frames"], 2)
