"""The mathematics of mocogan: who learns from which loss, and what its latents can do."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from every import assert_same_gradients, build, fine_tune
from films import write_films
from tiny import TINY, clip_batch

import vgzoo
from vgzoo import models, random
from vgzoo.errors import VgzooError
from vgzoo.metrics.kernel_distance import KernelDistance

FRAMES = TINY["mocogan"]["frames"]


def latents(model, count: int = 3, seed: int = 0) -> np.ndarray:
    return random.normal_rows(seed, 0, count, model.noise_shape(FRAMES))


def judged_frames(first: int) -> range:
    """Numbers of the frames that are judged in training: one in four, the same number for all."""
    return range(first, first + 4 * (FRAMES // 4), 4)


def test_each_player_learns_from_its_own_loss_alone(monkeypatch):
    model = build("mocogan")
    monkeypatch.setattr(model, "next_noise_step", lambda: 0)
    batch = clip_batch(TINY["mocogan"], 4)
    generator = model.generator.trainable_variables
    discriminator = model.discriminator.trainable_variables
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    together = tape.gradient(loss, generator + discriminator)

    real = tf.constant(batch / 127.5 - 1, "float32")
    noise = random.normal((4, *model.noise_shape(FRAMES)), seed=model.seed, step=0)
    first = int(random.uniform((), seed=model.seed, step=0, salt=1) * 4)
    fake = tf.constant(model.generator(noise, training=True).numpy())

    def scores(clip) -> tuple[tf.Tensor, tf.Tensor]:
        """Of the clip's parts, and of the parts of one frame in four."""
        frames = [model.discriminator.image(clip[:, i]) for i in judged_frames(first)]
        frames = tf.concat(frames, axis=1)
        return model.discriminator.video(clip), frames

    def pairing(better, worse) -> tf.Tensor:
        """Cross-entropy of telling which is which, the clip's parts and the frames' alike."""
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        pairs = zip(scores(better), scores(worse), strict=True)
        return sum(loss(tf.ones_like(b), b - w) for b, w in pairs)

    with tf.GradientTape() as tape:
        g_loss = pairing(model.generator(noise, training=True), real)
    g_alone = tape.gradient(g_loss, generator)
    with tf.GradientTape() as tape:
        d_loss = pairing(real, fake)
        for clip in (real, fake):
            penalty = model._penalty(clip[:: model.penalty_stride], first=first)
            d_loss += 0.5 * model.gamma * penalty
    d_alone = tape.gradient(d_loss, discriminator)

    np.testing.assert_allclose(loss, g_loss + d_loss, rtol=1e-4)
    assert_same_gradients(generator + discriminator, together, g_alone + d_alone, 1e-3)


def test_the_penalty_is_of_the_gradient_of_both_mean_scores():
    model = build("mocogan")
    clip = tf.constant(clip_batch(TINY["mocogan"], 3) / 127.5 - 1, "float32")
    with tf.GradientTape() as tape:
        tape.watch(clip)
        of_clip = tf.reduce_mean(model.discriminator.video(clip), axis=1)
        frames = [model.discriminator.image(clip[:, i]) for i in judged_frames(1)]
        total = of_clip + tf.reduce_mean(tf.concat(frames, axis=1), axis=1)
    squares = tf.reduce_sum(tape.gradient(total, clip) ** 2, axis=(1, 2, 3, 4))
    np.testing.assert_allclose(model._penalty(clip, first=1), tf.reduce_mean(squares), rtol=1e-4)


def test_what_comes_later_makes_no_difference_to_what_came_before():
    model = build("mocogan")
    noise = latents(model)
    changed = noise.copy()
    changed[:, -2 * model.motion :] += 1  # the noise of the last two frames
    clip, other = model.generator(noise), model.generator(changed)
    np.testing.assert_allclose(other[:, :-2], clip[:, :-2], atol=1e-5)
    assert np.abs(other[:, -2:] - clip[:, -2:]).max() > 1e-2
    shorter = model.generator(noise[:, : -2 * model.motion])
    np.testing.assert_allclose(shorter, clip[:, :-2], atol=1e-5)


def test_the_content_latent_is_one_for_all_frames():
    model = build("mocogan")
    noise = latents(model)
    changed = noise.copy()
    changed[:, : model.content] *= -1
    difference = np.abs(model.generator(changed) - model.generator(noise)).max(axis=(2, 3, 4))
    assert (difference > 1e-2).all()
    # Without noise and with a state that rests, nothing moves.
    model.generator.cell.set_weights([0 * w for w in model.generator.cell.get_weights()])
    still = noise.copy()
    still[:, model.content :] = 0
    clip = np.asarray(model.generator(still))
    np.testing.assert_allclose(clip, np.repeat(clip[:, :1], FRAMES, axis=1), atol=1e-5)


def test_scores_are_of_the_clips_parts_and_of_the_frames_parts():
    model = build("mocogan")
    clip = clip_batch(TINY["mocogan"], 3) / 127.5 - 1
    each, few = model.discriminator(clip), model.discriminator(clip, first=2)
    parts = model.discriminator.parts
    assert each.dtype == few.dtype == "float32"
    assert parts == (FRAMES - 9) * 2 * 2
    chosen = judged_frames(2)
    assert each.shape == (3, parts + 4 * FRAMES) and few.shape == (3, parts + 4 * len(chosen))
    np.testing.assert_allclose(few[:, :parts], each[:, :parts], rtol=1e-5)
    of_frames = np.asarray(each[:, parts:]).reshape(3, FRAMES, 4)
    np.testing.assert_allclose(
        few[:, parts:], of_frames[:, chosen].reshape(3, -1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 32}, "draw square frames of 16 pixels a side, not 32×16"),
        ({"frames": 9}, "judge clips of more than 9 frames, not 9"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(VgzooError, match=message):
        models.build("mocogan", **TINY["mocogan"] | changes)


def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(tmp_path):
    """What turns noise into motion frozen, and it stays as it is: how things move is kept."""
    model = vgzoo.load("mocogan-mnist")
    films = write_films(tmp_path / "films", 16, seed=0, frames=20)
    options = {"frames": 16, "size": 64, "channels": 1, "batch_size": 8}
    known, unseen = (
        np.concatenate([b["clip"] for b in vgzoo.data.clips(films, **options, seed=seed, count=n)])
        for seed, n in ((0, 160), (1, 32))
    )
    encoder = vgzoo.load("clip-encoder")

    def far() -> float:
        metric = KernelDistance()
        metric.update_state(encoder.features(unseen), encoder.features(model.generate(32, seed=0)))
        return metric.result()

    before = far()
    fine_tune(model, [model.generator.cell], tf.data.Dataset.from_tensor_slices(known).batch(8))
    assert far() < 0.7 * before
