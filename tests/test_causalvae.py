"""The causal autoencoder: parts give what the whole gives, and nothing looks ahead."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from colour_banks import write_cifar10
from every import kept
from keras import ops
from scipy.fft import dctn
from tiny import TINY, clip_batch, scramble

import vgzoo
from vgzoo import bench, models
from vgzoo.errors import VgzooError
from vgzoo.layers.causal import DoubleTime, HalveTime, Past
from vgzoo.layers.linear_prior import LinearPrior
from vgzoo.layers.quantizer import FSQ
from vgzoo.metrics import PSNR
from vgzoo.samplers import parts

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return kept("causalvae")


def clips(count: int, frames: int, height: int = 16, width: int = 16) -> np.ndarray:
    return RNG.integers(0, 256, (count, frames, height, width, 3), "uint8")


# -- shapes --------------------------------------------------------------------------------


@pytest.mark.parametrize("frames, steps", [(1, 1), (2, 2), (5, 2), (6, 3), (17, 5), (40, 11)])
def test_four_frames_become_one_and_the_first_stays_alone(model, frames, steps):
    clip = clips(2, frames)
    latents = model.encode(clip)
    assert latents.shape == (2, steps, 4, 4, 2) and latents.dtype == np.float32
    assert model.decode(latents).shape == (2, 4 * steps - 3, 16, 16, 3)
    again = model.reconstruct(clip)
    assert again.shape == clip.shape and again.dtype == np.uint8
    np.testing.assert_array_equal(again, model.decode(latents)[:, :frames])


def test_clips_of_other_sizes_and_single_ones_go_through(model):
    clip = clips(1, 9, 8, 20)
    assert model.encode(clip[0]).shape == (3, 2, 5, 2)
    np.testing.assert_array_equal(model.reconstruct(clip[0]), model.reconstruct(clip)[0])
    unit = (clip / 255).astype("float32")
    np.testing.assert_array_equal(model.encode(unit), model.encode(clip))


@pytest.mark.parametrize(
    "clip, message",
    [
        (np.zeros((5, 18, 16, 3), "uint8"), "multiples of 4"),
        (np.zeros((5, 16, 16, 1), "uint8"), "3 channels"),
    ],
)
def test_frames_that_it_cannot_take_get_one_line(model, clip, message):
    with pytest.raises(VgzooError, match=message) as caught:
        model.reconstruct(clip)
    assert "\n" not in str(caught.value)
    with pytest.raises(VgzooError, match="decodes"):
        model.decode(np.zeros((2, 4, 4, 5), "float32"))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"height": 18}, "multiples of 4"),
        ({"widths": (4, 8)}, "three numbers"),
        ({"levels": (5, 5, 5)}, "as many levels"),
        ({"levels": (5, 1)}, "at least 2"),
    ],
)
def test_wrong_arguments_get_one_line(wrong, message):
    with pytest.raises(VgzooError, match=message):
        models.build("causalvae", **{**TINY["causalvae"], **wrong})


# -- causality and streaming ---------------------------------------------------------------


@pytest.mark.parametrize("levels", [None, (5, 4)])
def test_parts_give_what_the_whole_gives(levels):
    model = models.build("causalvae", **TINY["causalvae"], levels=levels)
    scramble(model)
    clip = clips(2, 41)
    unit = ops.cast(clip, "float32") / 127.5 - 1
    whole, _ = model._posterior(model.encoder(unit))
    np.testing.assert_allclose(model.encode(clip), whole, atol=2e-5)
    made = np.asarray(model.decoder(whole))
    shown = np.clip(np.round((made + 1) * 127.5), 0, 255)
    assert np.abs(model.decode(np.asarray(whole)) - shown).max() <= 1


@pytest.mark.parametrize("frames", [1, 4, 5, 19])
def test_a_stream_gives_what_the_clip_gives(model, frames):
    clip = clips(1, frames)[0]
    streamed = list(model.stream(iter(clip)))
    assert len(streamed) == frames
    whole = model.reconstruct(clip).astype(int)
    assert np.abs(np.stack(streamed) - whole).max() <= 1


def test_a_stream_runs_four_frames_late_and_keeps_no_more(model):
    taken = 0

    def frames():
        nonlocal taken
        while True:
            taken += 1
            yield np.full((16, 16, 3), taken % 256, "uint8")

    stream = model.stream(frames())
    for given in range(1, 200):
        next(stream)
        assert taken <= given + 4


def last_seen(network, x, step: int) -> int:
    """The last step of `x` that a step of what a network makes of it depends on."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = tf.reduce_sum(network(x)[:, step] ** 2)
    return np.flatnonzero(np.abs(tape.gradient(out, x)).max(axis=(0, 2, 3, 4)))[-1]


def test_no_latent_sees_a_later_frame_and_no_frame_a_later_latent(model):
    clip = tf.constant(RNG.normal(size=(1, 13, 16, 16, 3)).astype("float32"))
    latent = tf.constant(RNG.normal(size=(1, 4, 4, 4, 2)).astype("float32"))
    assert [last_seen(model.encoder, clip, t) for t in range(4)] == [0, 4, 8, 12]
    assert [last_seen(model.decoder, latent, t) for t in range(13)] == [0, *np.repeat([1, 2, 3], 4)]


def test_time_is_halved_and_doubled_in_pairs_after_the_first_frame():
    x = RNG.normal(size=(5, 2, 2, 3)).astype("float32")
    halve, double = HalveTime(4), DoubleTime(3)
    y = halve(x, frames=5)
    assert y.shape == (3, 2, 2, 4)
    moved = x.copy()
    moved[1] += 1
    changed = np.abs(halve(moved, frames=5) - y).max(axis=(1, 2, 3))
    assert list(np.flatnonzero(changed > 1e-6)) == [1]
    past = Past()
    assert double(y, frames=3, past=past).shape == (5, 2, 2, 3)
    assert double(y, frames=3, past=Past({"some": x})).shape == (6, 2, 2, 3)


def test_cost_grows_with_the_frames_and_no_faster(model):
    def cost(frames: int) -> int:
        noise = np.zeros((1, *model.noise_shape(frames)), "float32")
        return bench.flops(lambda n: model.sample(n, labels=None, frames=frames, steps=None), noise)

    least, more, most = (cost(frames) for frames in (17, 65, 257))
    assert (most - more) / (more - least) == pytest.approx(4, rel=0.01)


def test_large_frames_go_through_in_smaller_parts(model):
    clip = clips(1, 6, 8, 2**16)[0]  # a part is one latent frame
    frames = [part.shape[1] for part in parts.of_clips(clip[None], 4)]
    assert frames == [1, 4, 4]
    latents = np.zeros((1, 4, 2, 2**14, 2), "float32")
    assert [part.shape[1] for part in parts.of_latents(latents, 4)] == [1, 1, 1, 1]
    assert model.encode(clips(20, 2)).shape == (20, 2, 4, 4, 2)


# -- objective -----------------------------------------------------------------------------


def test_the_last_frames_that_fill_a_clip_up_count_for_nothing(model):
    clip = clip_batch(TINY["causalvae"])[:, :6]
    model.noise_step.assign(0)
    loss = float(model.compute_loss({"clip": clip}))
    latent, _ = model._posterior(
        model.encoder(
            ops.cast(np.concatenate([clip, *[clip[:, -1:]] * 3], 1), "float32") / 127.5 - 1
        ),
        0,
    )
    made = np.asarray(model.decoder(latent))[:, :6]
    error = made - (clip / 127.5 - 1)
    model.gradient_weight, before = 0.0, model.gradient_weight
    model.noise_step.assign(0)
    pixels = float(model.compute_loss({"clip": clip}))
    model.gradient_weight = before
    assert loss > pixels
    np.testing.assert_allclose(pixels, np.abs(error).mean(), rtol=1e-3)


def test_a_picture_trains_too(model):
    assert np.isfinite(float(model.compute_loss({"clip": clips(2, 1)})))


def test_the_pull_to_the_prior_is_the_divergence_of_gaussians(model):
    from scipy import integrate, stats

    mean, log_variance = 0.7, -1.3
    out = np.tile(np.array([mean, mean, log_variance, log_variance], "float32"), (1, 1, 1, 1, 1))
    _, kl = model._posterior(out, 0)
    q = stats.norm(mean, np.exp(log_variance / 2))
    wanted, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), -10, 10)
    np.testing.assert_allclose(float(kl), wanted, rtol=1e-4)


# -- quantiser -----------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3), (4,)])
def test_every_code_is_reached_and_has_a_number(levels):
    fsq = FSQ(levels)
    x = RNG.normal(0, 3, (200_000, len(levels))).astype("float32")
    codes = np.asarray(fsq(x))
    assert [len(np.unique(codes[:, i])) for i in range(len(levels))] == list(levels)
    tokens = fsq.tokens(codes)
    assert tokens.min() == 0 and tokens.max() == fsq.codes - 1 == np.prod(levels) - 1
    np.testing.assert_array_equal(fsq.of_tokens(tokens), codes)
    np.testing.assert_array_equal(fsq.nearest(codes), codes)
    shifted = codes + RNG.uniform(-0.4, 0.4, codes.shape) / (np.array(levels) // 2)
    np.testing.assert_array_equal(fsq.nearest(shifted.astype("float32")), codes)


def test_gradients_pass_the_rounding():
    x = tf.constant(RNG.normal(size=(50, 4)).astype("float32"))
    fsq = FSQ((8, 5, 5, 5))
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = tf.reduce_sum(fsq(x))
    assert (tape.gradient(out, x).numpy() > 0).all()


# -- prior ---------------------------------------------------------------------------------


def test_the_prior_is_the_gaussian_that_it_was_fitted_to():
    """Means and covariances of what it draws are those of the latents, whatever they are."""
    rng = np.random.default_rng(3)
    n, steps, side, channels = 4000, 4, 4, 2
    mix = rng.normal(size=(channels, channels))
    x = rng.normal(size=(n, steps, side, side, channels)) @ mix + [1.0, -2.0]
    for t in range(
        1, steps
    ):  # each step follows from the last; colours of a clip from place to place
        x[:, t] = 0.8 * x[:, t - 1] + 0.3 * x[:, t]
    x += rng.normal(size=(n, 1, 1, 1, channels))
    prior = LinearPrior(side, side, channels)
    prior.fit(x)
    noise = rng.normal(size=(n, steps, side, side, channels)).astype("float32")
    made = np.asarray(prior(noise))
    np.testing.assert_allclose(made.mean(axis=(0, 2, 3)), x.mean(axis=(0, 2, 3)), atol=0.15)

    def flat(a):
        spectrum = dctn(a, axes=(2, 3), norm="ortho")
        return spectrum[:, :, [0, 1], [0, 2]].reshape(n, -1)  # two frequencies, all steps, channels

    ours, theirs = np.corrcoef(flat(made).T), np.corrcoef(flat(x).T)
    # Of neighbouring steps the correlations are the rule; of others they follow from it.
    np.testing.assert_allclose(ours, theirs, atol=0.12)


def test_the_prior_stays_bounded_however_long_the_clip():
    rng = np.random.default_rng(0)
    walk = (
        np.cumsum(rng.normal(size=(200, 6, 2, 2, 2)), axis=1)
        * 1.5 ** np.arange(6)[:, None, None, None]
    )
    prior = LinearPrior(2, 2, 2)
    prior.fit(walk)
    noise = rng.normal(size=(8, 400, 2, 2, 2)).astype("float32")
    made = np.asarray(prior(noise))
    assert np.abs(made[:, 300:]).max() < 1e3 * np.abs(made[:, :10]).max()


def test_what_is_generated_follows_the_fit(model):
    real = RNG.integers(0, 60, (40, 9, 16, 16, 3), "uint8")
    model.fit_to([real[:20], real[20:]])
    latents = model.encode(real)
    noise = RNG.normal(size=(400, 3, 4, 4, 2)).astype("float32")
    made = np.asarray(model.prior(noise))
    np.testing.assert_allclose(
        made.mean(axis=(0, 2, 3)), latents.mean(axis=(0, 2, 3)), atol=0.3 * latents.std()
    )
    assert model.generate(2, frames=9).shape == (2, 9, 16, 16, 3)
    short, long = model.generate(1, frames=5), model.generate(1, frames=9)
    assert np.abs(long[:, :5].astype(int) - short).max() <= 1  # a longer clip begins as a short one


# -- fine-tuning ---------------------------------------------------------------------------


def test_the_bundled_decoder_is_fine_tuned_to_other_clips(tmp_path, monkeypatch):
    """The encoder frozen, so that latents stay what they were, on clips of another size."""
    write_cifar10(tmp_path)
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    model = vgzoo.load("causalvae-imagenette")
    seen = next(iter(vgzoo.data.clips("cifar10", "test", frames=9, batch_size=8, count=8)))
    clip = np.asarray(seen["clip"])
    before, latents = PSNR()(clip, model.reconstruct(clip)), model.encode(clip)
    model.encoder.trainable = False
    model.compile(keras.optimizers.Adam(2e-4))
    model.fit(vgzoo.data.clips("cifar10", frames=9, batch_size=8, count=160), verbose=0)
    np.testing.assert_array_equal(model.encode(clip), latents)
    assert PSNR()(clip, model.reconstruct(clip)) > before + 0.3
