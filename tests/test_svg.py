"""Stochastic forecasting: where layers are, what the bound is, and what it may know."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from every import kept
from films import write_films
from scipy import integrate, ndimage, stats
from tiny import TINY, clip_batch

import vgzoo
from vgzoo import bench, models, optimizers
from vgzoo.errors import VgzooError
from vgzoo.layers.gaussians import component, divergence, sampled
from vgzoo.layers.placing import attention, coordinates, moments, place, set_back, waves
from vgzoo.layers.scene import Find, template

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return kept("svg")


def blob(y: float, x: float, sigma: float = 2.0, side: int = 32) -> np.ndarray:
    """A Gaussian spot `(1, side, side, 1)`."""
    rows, columns = np.mgrid[:side, :side]
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    return spot[None, :, :, None].astype("float32")


# -- places --------------------------------------------------------------------------------


@pytest.mark.parametrize("where", [(0.25, -0.5, 0.0), (-0.125, 0.0, 0.5), (0.3, 0.2, -0.4)])
def test_a_frame_is_set_back_to_where_its_layer_was(where):
    layer = blob(14.0, 17.0, 3.0)
    there = np.array([where], "float32")
    frame = np.asarray(place(layer, there[:, None], 32, 32))[:, 0]
    assert np.abs(frame - layer).max() > 0.2
    again = np.asarray(set_back(tf.constant(frame), tf.constant(there)))
    assert np.abs(again - layer).max() < 0.06  # two bilinear interpolations


def test_moments_and_attention_are_those_of_the_light():
    spot = blob(9.0, 20.0)
    found = np.asarray(moments(tf.constant(spot)))[0]
    centre = 2 * np.array(ndimage.center_of_mass(spot[0, :, :, 0])) / 31 - 1
    np.testing.assert_allclose(found[:2], centre, atol=0.01)
    np.testing.assert_allclose(found[2:], 2 * 2.0 / 31, rtol=0.05)
    weights = np.asarray(attention(tf.constant(spot), 4))[0]
    assert weights.sum() == pytest.approx(1, abs=1e-5) and weights.argmax() == 2 * 8 + 5
    dark = np.asarray(moments(tf.zeros((1, 32, 32, 1))))
    assert np.isfinite(dark).all()
    grid = np.asarray(coordinates(tf.zeros((2, 3, 5, 4))))
    np.testing.assert_allclose(grid[1, :, 2, 0], [-1, 0, 1])
    np.testing.assert_allclose(grid[1, 0, :, 1], [-1, -0.5, 0, 0.5, 1])


def test_waves_tell_near_places_apart():
    near = np.asarray(waves(tf.constant([[0.30], [0.33]])))
    assert near.shape == (2, 11)
    np.testing.assert_allclose(near[:, 5], np.sin(8 * np.pi * near[:, 0]), atol=1e-5)
    assert np.abs(near[0] - near[1]).max() > 0.5


@pytest.mark.parametrize("way", [(3, -2), (0, 0), (-6, 5)])
def test_a_layer_is_found_where_it_went(way):
    digit = np.zeros((1, 32, 32, 1), "float32")
    digit[0, 10:20, 14] = digit[0, 10, 10:18] = 1
    frame = np.roll(digit, way, (1, 2)) + np.roll(digit[:, ::-1], (9, 7), (1, 2))  # and another
    find = Find(8)
    y, x, well = np.asarray(find(tf.constant(frame), template(tf.constant(digit))))[0]
    np.testing.assert_allclose([16 * y, 16 * x], way, atol=0.3)
    assert well > 0.8
    dark = np.asarray(find(tf.zeros((1, 32, 32, 1)), tf.zeros((1, 32, 32, 1))))[0]
    np.testing.assert_allclose(dark, 0, atol=1e-6)


# -- the bound -----------------------------------------------------------------------------


def test_pixels_cost_the_cross_entropy_of_their_probabilities():
    twin = build_small()
    clip = clip_batch(TINY["svg"], 2)
    seen, truth = clip[:, :3], clip[:, 3:] / 255
    state = twin.initial_state(seen.astype("float32") / 127.5 - 1)
    made, _ = twin.rollout(state, tf.zeros((2, *twin.noise_shape(3))))
    chance = (np.asarray(made, "float64") + 1) / 2
    wanted = truth * np.log(chance) + (1 - truth) * np.log1p(-chance)
    np.testing.assert_allclose(twin.elbo(clip), wanted.sum(axis=(1, 2, 3, 4)), rtol=1e-4)


def build_small(deterministic: bool = True):
    """With weights so small that layers stay in the frame."""
    model = models.build("svg", **TINY["svg"] | {"deterministic": deterministic})
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(0, 0.05, variable.shape))
    return model


def test_latents_cost_the_divergence_of_gaussians(model, monkeypatch):
    """Of the posterior and the prior that the networks name, here set by hand."""
    prior = np.array([0.3, -1.0, 0.1, 0.4, -0.2, 0.0])
    posterior = np.array([0.7, -0.1, 0.2, -0.5, 0.3, -0.4])

    def says(values):
        return lambda x: tf.ones_like(x[:, :1]) * values.astype("float32")

    monkeypatch.setattr(model, "prior", says(prior))
    monkeypatch.setattr(model, "posterior", says(posterior + [0, 0, 0, 3, 3, 3]))
    # Nothing new is found: what is measured adds to what the posterior says.
    monkeypatch.setattr(model, "find", lambda frame, template: 0 * moments(frame)[:, :3])
    clip = tf.constant(clip_batch(TINY["svg"], 1).astype("float32") / 127.5 - 1)
    _, _, kl = model._bound(clip, tf.zeros((1, *model.noise_shape(3))))
    wanted = 0.0
    each = np.stack([*prior.reshape(2, 3), *posterior.reshape(2, 3)], axis=1)
    for mean, log_scale, shift, own_log_scale in each:
        p = stats.norm(mean, np.exp(log_scale))
        q = stats.norm(shift, np.exp(own_log_scale))

        def cost(z, p=p, q=q):
            return q.pdf(z) * (q.logpdf(z) - p.logpdf(z))

        wanted += integrate.quad(cost, *(q.mean() + q.std() * np.array([-12, 12])))[0]
    np.testing.assert_allclose(kl, np.full((1, 3), 2 * wanted), rtol=1e-4)  # of two layers


def test_a_mixture_costs_what_its_density_does_and_is_drawn_as_often(monkeypatch):
    """Of two Gaussians that do not overlap: the divergence by quadrature, the shares by count."""
    model = models.build("svg", **TINY["svg"] | {"components": 2})
    logits = np.log([0.2, 0.8])
    means = np.array([[-4.0, -4.0, -4.0], [4.0, 4.0, 4.0]])
    log_scales = np.array([[0.3, 0.1, -0.2], [-0.5, 0.4, 0.0]])
    # The scale of the first component begins at exp(-2).
    out = [logits, *np.concatenate([means, log_scales + [[2], [0]]], axis=1)]
    out = np.concatenate(out).astype("float32")
    monkeypatch.setattr(model, "prior", lambda x: tf.ones_like(x[:, :1]) * out)
    mixture = model._mixture(tf.zeros((20_000, 2)))
    noise = RNG.normal(size=(20_000, 4)).astype("float32")
    draws = np.asarray(sampled(*component(mixture, noise[:, 3:]), noise[:, :3]))
    first = draws[:, 0] < 0
    assert first.mean() == pytest.approx(0.2, abs=0.01)
    for part, mean, log_scale in zip((draws[first], draws[~first]), means, log_scales, strict=True):
        np.testing.assert_allclose(part.mean(axis=0), mean, atol=0.1)
        np.testing.assert_allclose(part.std(axis=0), np.exp(log_scale), rtol=0.05)
    # A posterior that is the second component: it alone explains it, at the price of its share.
    own = tf.constant(means[1:].astype("float32")), tf.constant(log_scales[1:].astype("float32"))
    latent = sampled(*own, noise[:, :3])
    nats = np.asarray(divergence(*own, latent, mixture))
    np.testing.assert_allclose(nats, -np.log(0.8), atol=1e-2)
    likeliest, _ = component(mixture, None)
    np.testing.assert_allclose(likeliest[:2], np.repeat(means[1:], 2, axis=0))


def test_the_loss_is_the_bound_per_value(model):
    clip = clip_batch(TINY["svg"], 4)
    twin = build_small()
    loss = float(twin.compute_loss({"clip": clip}))
    network = clip.astype("float32") / 127.5 - 1
    seen, _, _ = twin._bound(network, tf.zeros((4, *twin.noise_shape(3))))
    bound = np.asarray(seen).mean() - twin.elbo(clip).mean() / 3
    assert loss == pytest.approx(bound / clip[0, 0].size, rel=1e-4)
    _, nll, kl = model._bound(network, tf.zeros((4, *model.noise_shape(3))))
    assert nll.shape == kl.shape == (4, 3) and (np.asarray(kl) > 0).all()


def test_the_bound_of_a_clip_is_its_own(model):
    clips = clip_batch(TINY["svg"], 18)
    bounds = model.elbo(clips, seed=3)
    assert bounds.shape == (18,) and bounds.dtype == np.float64
    np.testing.assert_allclose(model.elbo(clips[:5], seed=3), bounds[:5], rtol=1e-5)
    np.testing.assert_allclose(model.elbo(clips[0], seed=3), bounds[:1], rtol=1e-5)
    assert (model.elbo(clips, seed=4) != bounds).any()


def test_a_frame_is_foretold_from_those_before_it():
    """Of later frames neither its latents nor its pixels know anything."""
    model = build_small(deterministic=False)
    clip = tf.constant(RNG.uniform(-1, 1, (1, 6, 16, 16, 1)).astype("float32"))
    for t in range(3):
        with tf.GradientTape() as tape:
            tape.watch(clip)
            _, nll, kl = model._bound(clip, tf.ones((1, *model.noise_shape(3))))
            cost = nll[:, t] + kl[:, t]
        reached = np.abs(tape.gradient(cost, clip)).max(axis=(0, 2, 3, 4))
        assert list(np.flatnonzero(reached)) == list(range(3 + t + 1))


def test_clips_without_a_future_get_one_line(model):
    clip = clip_batch(TINY["svg"], 2)[:, :3]
    with pytest.raises(VgzooError, match="comes after the first 3") as caught:
        model.compute_loss({"clip": clip})
    assert "\n" not in str(caught.value)
    with pytest.raises(VgzooError, match="4 or more of 16×16×1"):
        model.elbo(clip)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"height": 18}, "multiples of 4"),
        ({"context": 6}, "2 to 5"),
        ({"context": 1}, "2 to 5"),
        ({"latent": 2}, "at least 3"),
        ({"deterministic": True, "components": 2}, "must be 1"),
    ],
)
def test_wrong_arguments_get_one_line(wrong, message):
    with pytest.raises(VgzooError, match=message):
        models.build("svg", **{**TINY["svg"], **wrong})


# -- forecasts -----------------------------------------------------------------------------


def test_without_latents_a_past_has_one_future():
    twin = build_small()
    seen = clip_batch(TINY["svg"], 2)
    made = twin.forecast(seen, 4, n=3)
    assert np.abs(made[:, 1:].astype(int) - made[:, :-1]).max() <= 1
    assert np.ptp(made) > 10


def test_cost_grows_with_the_frames_and_no_faster(model):
    def cost(frames: int) -> int:
        def made(context, noise):
            return model.rollout(model.initial_state(context), noise)[0]

        context, noise = np.zeros((1, 3, 16, 16, 1), "float32"), model.noise_shape(frames)
        return bench.flops(made, context, np.zeros((1, *noise), "float32"))

    few, more, most = (cost(frames) for frames in (4, 8, 16))
    assert (most - more) / (more - few) == pytest.approx(2, rel=0.01)


def test_it_learns_which_way_a_thing_moves():
    """A square that goes on at its speed: after some steps it is foretold better than by a copy."""
    model = models.build("svg", **TINY["svg"] | {"objects": 1, "latent": 3, "filters": 16})
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    clips = np.zeros((256, 6, 16, 16, 1), "uint8")
    for clip in clips:
        y, x = rng.integers(3, 10, 2)
        dy, dx = rng.integers(-1, 2, 2)
        for t, frame in enumerate(clip):
            top, left = np.clip((y + dy * (t - 2), x + dx * (t - 2)), 0, 12)
            frame[top : top + 4, left : left + 4] = 255
    model.compile(optimizers.Muon(5e-3))
    model.fit(clips, batch_size=32, epochs=12, verbose=0)
    made = model.forecast(clips[:64, :3], 3)

    def error(forecast):
        return np.square(forecast.astype(float) - clips[:64, 3:]).mean()

    assert error(made) < 0.7 * error(np.repeat(clips[:64, 2:3], 3, axis=1))


# -- fine-tuning ---------------------------------------------------------------------------


def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(tmp_path):
    """The encoder frozen, which goes on taking clips apart as it did."""
    model = vgzoo.load("svg-mnist")
    known, unseen = (write_films(tmp_path / str(i), 24, seed=i) for i in (0, 1))
    options = {"frames": 9, "size": 64, "batch_size": 8, "channels": 1}
    clips = [np.asarray(batch["clip"]) for batch in vgzoo.data.clips(unseen, **options)]
    clips = np.concatenate(clips)
    context = clips[:, :5].astype("float32") / 127.5 - 1
    before, layers = model.elbo(clips).mean(), np.asarray(model.initial_state(context)["drawn"])
    model.encoder.trainable = False
    model.compile(optimizers.Muon(1e-3))
    model.fit(vgzoo.data.clips(known, count=320, **options), verbose=0)
    after = np.asarray(model.initial_state(context)["drawn"])
    np.testing.assert_array_equal(after, layers)
    assert model.elbo(clips).mean() > before + 0.02 * abs(before)
