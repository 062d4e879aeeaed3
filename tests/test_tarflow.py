"""Normalizing flows over patches: exact both ways, and a density that is one."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from every import fine_tune, kept
from films import write_films
from tiny import TINY, scramble

import vgzoo
from vgzoo import bench, models
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return kept("tarflow")


def pixels(count: int, frames: int = 3) -> tf.Tensor:
    """Of something that moves, with noise as `dequantise` adds it: inside each level."""
    still = RNG.integers(0, 256, (count, 8, 8, 1))
    clips = np.stack([np.roll(still, (t, -t), axis=(1, 2)) for t in range(frames)], axis=1)
    inside = clips + RNG.uniform(0.01, 0.99, clips.shape)
    return tf.constant((inside / 128 - 1).astype("float32"))


# -- exactness -----------------------------------------------------------------------------


@pytest.mark.parametrize("block", [2, 4])
def test_what_goes_in_comes_out_by_blocks(model, block, monkeypatch):
    monkeypatch.setattr(model, "block", block)
    x = pixels(2, 6)
    noise, _ = model._forward(x)
    assert np.abs(noise - model._tokens(x)).max() > 0.1
    again = model.compiled_function(model._backward)(noise)
    assert np.abs(again - x).max() < 1e-4


def test_no_frame_knows_a_later_one(model):
    """Nor one of too long ago: the window has two frames of tokens, each of which has read the one
    before it, and their pixels know four frames before."""
    x = pixels(1, 9)
    noise, _ = model._forward(x)
    for t in range(9):
        changed, _ = model._forward(tf.tensor_scatter_nd_update(x, [[0, t]], -x[:, t]))
        differ = np.flatnonzero(np.abs(changed - noise).max(axis=(0, 2, 3)))
        assert list(differ) == list(range(t, min(t + 7, 9)))


def test_a_tiny_flow_has_a_probability_of_one():
    """Two pixels of one value each: the density summed over a fine grid."""
    sizes = {"frames": 2, "height": 1, "width": 1, "patch": 1, "features": 4, "heads": 1}
    tiny = models.build("tarflow", **sizes, shallow=(1,), deep=1, recall=1, reach=1)
    scramble(tiny, scale=0.2)
    for variable in tiny.trainable_variables:  # so that all noise is of some pixel
        variable.assign(0.25 * variable)
    n = 1024  # four points to each level
    centres = (np.arange(n) + 0.5) * 2 / n - 1
    grid = np.array(list(itertools.product(centres, centres)), "float32")
    parts = np.array_split(grid.reshape(-1, 2, 1, 1, 1), 16)
    density = [tiny._log_density(tf.constant(part))[1] for part in parts]
    total = np.exp(np.concatenate(density).astype("float64")).sum() * (2 / n) ** 2
    assert total == pytest.approx(1, abs=0.02)


# -- cost ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["sample", "log_density"])
def test_cost_grows_with_the_frames_and_no_faster(model, way):
    def cost(frames: int) -> int:
        if way == "log_density":
            return bench.flops(model._log_density, np.asarray(pixels(1, frames)))
        noise = np.zeros((1, *model.noise_shape(frames)), "float32")
        return bench.flops(lambda n: model.sample(n, labels=None, frames=frames, steps=None), noise)

    least, more, most = (cost(frames) for frames in (16, 64, 256))
    assert (most - more) / (more - least) == pytest.approx(4, rel=0.01)


# -- for people ----------------------------------------------------------------------------


def test_small_steps_are_compiled_to_the_same_samples(model, monkeypatch):
    plain = model.generate(2, seed=4)
    noise = model.invert(plain, seed=1)
    monkeypatch.setattr(model, "small_steps", True)
    monkeypatch.setattr(model, "_samplers", {})
    monkeypatch.setattr(model, "_coders", {})
    assert (model.generate(2, seed=4) == plain).mean() > 0.99
    assert (model.decode(noise) == plain).mean() > 0.99


def test_blocks_make_the_same_samples(model, monkeypatch):
    one = model.generate(2)
    monkeypatch.setattr(model, "block", 4)
    monkeypatch.setattr(model, "_samplers", {})
    assert (model.generate(2) == one).mean() > 0.99
    long = model.generate(2, frames=6)
    assert (long[:, :3] == one).mean() > 0.99, "a longer clip begins as a shorter one"


def test_frames_after_the_first_may_be_less_noisy(model, monkeypatch):
    noise = RNG.normal(size=(2, *model.noise_shape(3))).astype("float32")
    monkeypatch.setattr(model, "motion_temperature", 0.5)
    sample = model.compiled_function(lambda noise: model.sample(noise, frames=3, steps=None))
    made = sample(tf.constant(noise))
    noise[:, 1:] *= 0.5
    clips = np.asarray(127.5 * (made + 1)).round().astype("uint8")
    assert (clips == model.decode(noise)).mean() > 0.99


def test_noise_is_taken_away_along_the_score():
    """Of a flow that is the identity but for the marginals, density and score are known."""
    flow = models.build("tarflow", **TINY["tarflow"] | {"noise": 0.1})
    noise = tf.constant(RNG.normal(size=(1, *flow.noise_shape(3))).astype("float32"))
    plain = flow._backward(noise)
    shown = np.asarray(flow._shown(noise))
    # At first every level is as likely as every other: the score is 0.
    assert np.abs(shown - (np.floor((np.asarray(plain) + 1) * 128) / 127.5 - 1)).max() < 1e-5
    share = np.exp(-0.5 * ((np.arange(256) - 128) / 30) ** 2)
    flow.levels.logits.assign(np.log(share) / 30)
    with tf.GradientTape() as tape:
        tape.watch(plain)
        _, density = flow._log_density(plain)
    assert np.isfinite(tape.gradient(density, plain)).all()


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"height": 10}, "multiples of patch=4"),
        ({"heads": 3}, "multiple of 2 · heads=3"),
        ({"block": 3}, "divide the 4"),
        ({"motion_temperature": -1}, "must be 0 … 1, not -1"),
    ],
)
def test_wrong_arguments_get_one_line(wrong, message):
    with pytest.raises(VgzooError, match=message):
        models.build("tarflow", **{**TINY["tarflow"], **wrong})


# -- fine-tuning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, options, count",
    [
        ("tarflow-mnist-stills", {"frames": 1, "size": 28, "batch_size": 8}, 160),
        ("tarflow-mnist", {"frames": 3, "size": 64, "batch_size": 2}, 24),
    ],
)
def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(tmp_path, name, options, count):
    """The flows on the side of the noise frozen, which stay as they are."""
    model = vgzoo.load(name)
    known, unseen = (write_films(tmp_path / str(i), 16, seed=i) for i in (0, 1))
    options = options | {"channels": 1}
    held = [np.asarray(each["clip"]) for each in vgzoo.data.clips(unseen, **options)]
    held = np.concatenate(held)[:64]
    before = model.bits_per_dim(held).mean()
    fine_tune(model, model.flows[2:], vgzoo.data.clips(known, count=count, **options))
    assert model.bits_per_dim(held).mean() < 0.9 * before
