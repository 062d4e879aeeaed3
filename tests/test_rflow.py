"""What a rectified flow alone keeps: lines, masks, classes, paths."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from every import assert_same_clips, build, fine_tune, kept, run_plainly
from films import write_films
from keras import ops
from tiny import TINY, clip_batch, scramble, training_batch

import vgzoo
from vgzoo import models, video
from vgzoo.errors import VgzooError
from vgzoo.layers import masks
from vgzoo.models import _leaps, rflow
from vgzoo.samplers import ode


def knowing(clip: np.ndarray, **options):
    """A model that knows the one clip that there is, `(T, H, W, C)` in [-1, 1]."""
    model = models.build("rflow", **TINY["rflow"], **options)

    def parts(x, time, classes, given, known, *told, leap=0.0):
        whole = known * given + (1 - known) * ops.broadcast_to(clip[None], ops.shape(x))
        return whole, None, None

    model._parts = parts
    return model


# -- the flow ------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@pytest.mark.parametrize("sampler", ode.SAMPLERS)
def test_who_knows_the_clip_makes_it(steps, sampler):
    clip = clip_batch(TINY["rflow"], 1)[0]
    model = knowing((clip / 127.5 - 1).astype("float32"))
    model.sampler = sampler
    assert_same_clips(model.generate(2, steps=steps), np.stack([clip, clip]))


def test_the_loss_of_who_knows_the_clip_is_nothing():
    clip = clip_batch(TINY["rflow"], 1)
    batch = {"clip": np.repeat(clip, 4, axis=0), "label": np.zeros((4, 2), "int32")}
    model = knowing((clip[0] / 127.5 - 1).astype("float32"))
    loss = model.compute_loss({k: ops.convert_to_tensor(v) for k, v in batch.items()})
    assert float(loss) < 1e-6
    wrong = knowing((0.9 * (clip[0] / 127.5 - 1)).astype("float32"))
    assert float(wrong.compute_loss(batch)) > 1e-3


def test_every_parameter_learns():
    model = build("rflow")
    before = {v.path: v.numpy() for v in model.trainable_variables}
    run_plainly(model, "sgd")
    model.fit(training_batch("rflow", TINY["rflow"], 8), batch_size=8, verbose=0)
    same = [v.path for v in model.trainable_variables if np.array_equal(before[v.path], v)]
    assert not same


def test_times_are_told_apart():
    model = kept("rflow")
    style = np.asarray(model._style(np.array([0.1, 0.12], "float32"), model._classes(None, 2)))
    assert np.abs(style[0] - style[1]).max() > 1e-3


# -- leaps ---------------------------------------------------------------------------------


def test_few_evaluations_are_leaps_and_unguided():
    model = models.build("rflow", **TINY["rflow"], guidance=3.0)
    asked, parts = [], model._parts

    def watched(x, time, *told, leap):
        asked.append(float(leap))
        return parts(x, time, *told, leap=leap)

    model._parts = watched
    noise = ops.zeros((1, 6, 16, 16, 1))
    for steps, wanted in ((1, [1]), (2, [1] * 2), (3, [0] * 6)):  # with classes, and without
        asked.clear()
        model.fill(noise, noise, noise[..., :1], ops.convert_to_tensor([[1, 2]]), steps)
        assert asked == wanted


def test_guidance_ends_at_a_time_and_is_what_was_set_last():
    """Steps that begin before it are guided, and clips are made anew with another one."""
    options = {"guidance": 3.0, "sampler": "euler", "shift": 1.0, "leaps": 0}
    model = models.build("rflow", **TINY["rflow"] | options, guided=0.5)
    scramble(model)
    sure, asked = model.velocities, []
    noise = np.random.default_rng(0).normal(size=(2, 6, 16, 16, 1)).astype("float32")
    labels = ops.convert_to_tensor([[1, 2]] * 2)
    nothing = noise, np.zeros_like(noise), np.zeros_like(noise[..., :1])
    made = np.asarray(model.fill(*nothing, labels, steps=4))

    def by_hand(clip, known, labels, guidance, kept, **_):
        full, plain = (sure(clip, known, labels, g, kept) for g in (guidance, 1))

        def velocity(x, time):
            asked.append(float(time))
            return full(x, time) if time < 0.5 else plain(x, time)

        return velocity

    model.velocities = by_hand
    np.testing.assert_allclose(np.asarray(model.fill(*nothing, labels, steps=4)), made, atol=1e-5)
    assert asked == [0, 0.25, 0.5, 0.75]
    model = models.build("rflow", **TINY["rflow"] | options)
    scramble(model)
    clips = []
    for model.guidance, model.guided in ((3.0, 1.0), (1.0, 1.0), (3.0, 0.0), (3.0, 1.0)):
        clips.append(model.generate(2, labels=[1, 2], steps=2, seed=1))
    assert (clips[0] != clips[1]).any()
    np.testing.assert_array_equal(clips[1], clips[2])
    np.testing.assert_array_equal(clips[0], clips[3])


def test_leaps_are_taught_where_guided_steps_lead():
    """And teach these nothing: what says where steps lead is a constant to the loss."""
    model = models.build("rflow", **TINY["rflow"] | {"sprite": 0}, guidance=2.0)
    goals = {leap: keras.Variable(0.5 - leap / 10) for leap in (0.0, 1.0)}
    seen = []

    def parts(x, time, classes, given, known, *told, leap):
        seen.append((leap, np.asarray(time).tolist(), len(x)))
        # Of no class it is nothing: guidance of 2 leads twice as far.
        share = ops.cast(classes[:, 0, :1] + classes[:, 0, 3:4], "float32")[:, None, None, None]
        return ops.ones_like(x) * goals[leap] * share, None, None

    model._parts = parts
    classes = model._classes(ops.convert_to_tensor([[3, 3]] * 5), 5)
    noise = np.random.default_rng(0).normal(size=(5, 6, 16, 16, 1)).astype("float32")
    clips = [ops.convert_to_tensor(noise)] * 2
    with tf.GradientTape(persistent=True) as tape:
        error = model._leapt(clips[0], classes, *clips)
    first, second = (each for each in seen if each[0])
    # Every second clip, from noise and from the middle of the way: a quarter, by the shift.
    assert first == (1.0, [0, 0, 0], 3) and second == (1.0, [0.25] * 3, 3)
    assert sum(not leap for leap, *_ in seen) == 8  # four steps, each with classes and without
    away = 2 * 0.5 - 0.4
    assert float(error) == pytest.approx(np.hypot(away, _leaps._SMALL) - _leaps._SMALL, rel=1e-4)
    assert tape.gradient(error, goals[0.0].value) is None
    assert float(tape.gradient(error, goals[1.0].value)) < -0.9


def test_leaps_are_learned_where_that_is_asked_for():
    batch = training_batch("rflow", TINY["rflow"], 4)
    losses, model = {}, build("rflow")
    for model.leap_stride in (0, 1, 4):
        model.noise_step.assign(0)
        model.reset_metrics()
        loss = model.compute_loss({k: ops.convert_to_tensor(v) for k, v in batch.items()})
        losses[model.leap_stride] = (
            float(loss),
            {m.name: float(m.result()) for m in model.trackers}["leapt"],
        )
    assert losses[0][1] == 0 < min(losses[1][1], losses[4][1])
    for stride in (1, 4):
        wanted = losses[0][0] + rflow._LEAPT * losses[stride][1]
        assert losses[stride][0] == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(VgzooError, match="leaps must be 0, 1, 2 or 4, not 3"):
        models.build("rflow", **TINY["rflow"] | {"leaps": 3})


# -- classes -------------------------------------------------------------------------------


def test_classes_have_no_order_and_make_a_difference():
    model = build("rflow")
    made = model.generate(2, labels=[[3, 8], [1, 1]])
    assert_same_clips(model.generate(2, labels=[[8, 3], [1, 1]]), made)
    assert_same_clips(model.generate(2, labels=[3, 8])[:1], made[:1])
    other = model.generate(2, labels=[[3, 9], [1, 2]])
    assert (np.abs(other.astype(int) - made).max(axis=(1, 2, 3, 4)) > 3).all()
    plain = build("rflow")
    plain.guidance = 3.0
    guided, free = (m.generate(1, labels=[3, 8]) for m in (plain, model))
    assert np.abs(guided.astype(int) - free).max() > 3


def test_classes_that_are_not_asked_for_are_drawn():
    model = kept("rflow")
    drawn = model.checked_labels(None, 500, 7)
    assert drawn.shape == (500, 2) and set(drawn.ravel()) == set(range(10))
    np.testing.assert_array_equal(model.checked_labels(None, 3, 7), drawn[:3])
    assert_same_clips(model.generate(3, seed=7, labels=drawn[:3]), model.generate(3, seed=7))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3, 10], "between 0 and 9"),
        ([-1, 3], "between 0 and 9"),
        ([3, 4, 5], r"whole numbers \(2, 2\), or \(2,\) for all"),
        ([[3, 4]], r"whole numbers \(2, 2\)"),
        ([0.5, 1.0], "float64"),
    ],
)
def test_bad_classes_get_one_line(labels, message):
    with pytest.raises(VgzooError, match=message) as caught:
        kept("rflow").generate(2, labels=labels)
    assert "\n" not in str(caught.value)


def test_clips_of_no_class_are_labelled_below_zero():
    model = kept("rflow")
    classes = np.asarray(model._classes(np.array([[-1, 3], [-1, -1]]), 2))
    np.testing.assert_array_equal(classes.argmax(axis=-1), [[10, 3], [10, 10]])
    np.testing.assert_array_equal(classes[1:], model._classes(None, 1))


def test_one_class_a_clip_and_none():
    kwargs = TINY["rflow"] | {"labels": 1, "classes": 4}
    one = models.build("rflow", **kwargs)
    assert one.generate(3, labels=[0, 1, 3]).shape == one.generate(3, labels=2).shape
    run_plainly(one)
    batch = training_batch("rflow", kwargs)
    one.fit(batch | {"label": batch["label"][:, 0] % 4}, verbose=0)
    with pytest.raises(VgzooError, match="knows 1 labels a clip"):
        models.build("rflow", **kwargs).compute_loss(batch)
    none = models.build("rflow", **TINY["rflow"] | {"classes": 0})
    with pytest.raises(VgzooError, match="labels"):
        none.generate(1, labels=1)
    run_plainly(none)
    none.fit(batch["clip"], verbose=0)


# -- what is known -------------------------------------------------------------------------


def test_masks_are_of_three_kinds():
    known = np.asarray(masks.draw(2000, 9, 16, 12, share=0.6, seed=1, step=3, salt=0))
    assert known.shape == (2000, 9, 16, 12, 1) and set(np.unique(known)) == {0, 1}
    known = known[..., 0].astype(bool)
    whole = known.reshape(2000, 9, -1)
    in_time = (whole.all(axis=2) | ~whole.any(axis=2)).all(axis=1)
    boxes = ~in_time
    nothing = ~known.any(axis=(1, 2, 3))
    frames = whole.all(axis=2)
    first = in_time & ~nothing & (np.diff(frames.astype(int), axis=1) <= 0).all(axis=1)
    first &= frames.sum(axis=1) > 0
    rest = in_time & ~nothing & ~first
    assert abs(nothing.mean() - 0.4) < 0.04
    for kind in (boxes, first, rest):
        assert abs(kind.mean() - 0.2) < 0.04
    assert set(frames[first].sum(axis=1)) == set(range(1, 9))
    gaps = [np.diff(np.flatnonzero(row)) for row in frames[rest]]
    assert all(len(set(gap)) <= 1 and set(gap) <= {2, 3, 4} for gap in gaps)
    for hidden in ~known[boxes]:
        assert (hidden == hidden[0]).all()  # the same in all frames
        rows, columns = hidden[0].any(axis=1), hidden[0].any(axis=0)
        np.testing.assert_array_equal(hidden[0], np.outer(rows, columns))
        assert 4 <= rows.sum() <= 12 and 3 <= columns.sum() <= 9


def test_a_picture_is_known_but_for_a_box_or_not_at_all():
    known = np.asarray(masks.draw(300, 1, 16, 16, share=0.5, seed=1, step=3, salt=0))
    share = known.mean(axis=(1, 2, 3, 4))
    assert abs((share == 0).mean() - 0.5) < 0.1 and share.max() < 1
    none = np.asarray(masks.draw(300, 5, 16, 16, share=0.0, seed=1, step=3, salt=0))
    assert not none.any()


@pytest.mark.parametrize("length", [1, 4, 6, 13])
def test_known_pixels_stay_and_missing_ones_do_not_count(length):
    model = kept("rflow")
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (3, length, 16, 16, 1), "uint8")
    mask = np.zeros((length, 16, 16), bool)
    mask[length // 2 :, 3:9, 2:12] = True
    made = model.inpaint(clips, mask, seed=2)
    np.testing.assert_array_equal(made[:, ~mask], clips[:, ~mask])
    assert np.abs(made[:, mask].astype(int) - clips[:, mask]).mean() > 10
    hidden = np.where(mask[None, ..., None], 255 - clips, clips)
    assert_same_clips(model.inpaint(hidden, mask, seed=2), made)
    assert_same_clips(model.inpaint(clips, mask.astype(int), seed=2, batch_size=2), made)
    assert_same_clips(model.inpaint(clips[0], mask, seed=2), made[0])
    assert np.abs(model.inpaint(clips, mask, seed=3).astype(int) - made).max() > 10
    other = model.inpaint(clips, mask, seed=2, labels=[1, 7], steps=2)
    assert np.abs(other.astype(int) - made).max() > 3


def test_interpolation_keeps_what_came():
    model = kept("rflow")
    clips = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 1), "uint8")
    for factor in (2, 3):
        made = model.interpolate(clips, factor, seed=1)
        assert made.shape == (2, factor * 4 + 1, 16, 16, 1)
        np.testing.assert_array_equal(made[:, ::factor], clips)
        assert np.abs(made[:, 1::factor].astype(int) - clips[:, :-1]).mean() > 3
    assert_same_clips(model.interpolate(clips[0], 3, seed=1), made[0])


def test_a_longer_clip_begins_as_a_shorter_one():
    model = kept("rflow")
    whole = model.generate(2, frames=11)
    assert whole.shape[1] == 11
    assert_same_clips(model.generate(2, frames=6), whole[:, :6])
    assert_same_clips(model.generate(2, frames=2), whole[:, :2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": np.ones((5, 16))}, "a mask of shape"),
        ({"mask": np.full((16, 16), 0.5)}, "bool, or 0 where to keep"),
        ({"mask": np.ones((16, 16)), "steps": 0}, "steps must be at least 1"),
        ({"mask": np.ones((16, 16)), "seed": -1}, "seed must be"),
        ({"mask": np.ones((16, 16)), "labels": [1, 12]}, "labels must lie between"),
    ],
)
def test_bad_inpainting_gets_one_line(arguments, message):
    clip = clip_batch(TINY["rflow"], 1)[0]
    with pytest.raises(VgzooError, match=message) as caught:
        kept("rflow").inpaint(clip, **arguments)
    assert "\n" not in str(caught.value)


def test_bad_interpolation_gets_one_line():
    clip = clip_batch(TINY["rflow"], 1)[0]
    with pytest.raises(VgzooError, match="factor must be"):
        kept("rflow").interpolate(clip, 1)
    with pytest.raises(VgzooError, match="takes 2 or more"):
        kept("rflow").interpolate(clip[:1])
    with pytest.raises(video.VideoError):
        kept("rflow").interpolate(clip[0])
    with pytest.raises(VgzooError, match="does not inpaint"):
        kept("svg").inpaint(clip, np.ones((16, 16)))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"height": 12}, "multiples of 8"),
        ({"context": 6}, "context must be 1 … 5"),
        ({"sampler": "ddim"}, "sampler must be"),
    ],
)
def test_bad_arguments_get_one_line(kwargs, message):
    with pytest.raises(VgzooError, match=message):
        models.build("rflow", **TINY["rflow"] | kwargs)


# -- fine-tuning ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "side", "channels"), [("rflow-mnist", 64, 1), ("rflow-cifar10", 32, 3)]
)
def test_bundled_weights_are_fine_tuned_to_a_folder_of_videos(name, side, channels, tmp_path):
    """The transformer in the middle frozen, which stays as it is."""
    model = vgzoo.load(name)
    known, unseen = (write_films(tmp_path / str(i), 16, seed=i) for i in (0, 1))
    options = {"frames": 4, "size": side, "batch_size": 8, "channels": channels}
    held = [np.asarray(batch["clip"]) for batch in vgzoo.data.clips(unseen, **options)]
    held = np.concatenate(held)[:16]

    def error() -> float:
        model.noise_step.assign(0)  # the same noise, times and masks each time
        return float(model.compute_loss(held))

    before = error()
    films = vgzoo.data.clips(known, count=96, **options).map(lambda batch: batch["clip"])
    fine_tune(model, model.network.layers_, films)
    assert error() < 0.9 * before
