"""Edits of a clip along a rectified flow: what is exact, what is kept, what is refused."""

import numpy as np
import pytest
from every import kept
from keras import ops
from test_cli import bundled, mistake, run  # noqa: F401  (fixtures)
from test_cli_filling import clip, same_files, saved  # noqa: F401  (fixtures)
from tiny import TINY

from vgzoo import hub, models, video
from vgzoo.errors import VgzooError
from vgzoo.models.base import VideoModel

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return kept("rflow")


@pytest.fixture(scope="module")
def clips(model):
    return RNG.integers(0, 256, (3, *model.clip_spec.values()), "uint8")


def shown_by_class(model: VideoModel, shown: np.ndarray) -> VideoModel:
    """A model that knows one clip for each class, `(classes + 1, T, H, W, C)` in [-1, 1]."""

    def parts(x, time, classes, given, known, *told, leap):
        first = ops.argmax(classes[:, 0], axis=-1)
        whole = ops.take(shown.astype("float32"), first, axis=0)
        return known * given + (1 - known) * whole, None, None

    model._parts = parts
    return model


@pytest.mark.parametrize("steps, strength", [(1, 1.0), (4, 1.0), (4, 0.5), (5, 0.2)])
def test_a_clip_becomes_what_the_other_class_would_have_been(steps, strength):
    """Of who knows the clip of each class, lines of FlowEdit end where the other class's clip is,
    whatever the noise."""
    knowing = models.build("rflow", **TINY["rflow"] | {"shift": 2.0})
    shown = RNG.integers(0, 256, (11, *knowing.clip_spec.values()), "uint8")
    knowing = shown_by_class(knowing, shown / 127.5 - 1)
    options = {"steps": steps, "strength": strength, "guidance": 1.0}
    made = knowing.edit(shown[[3, 5]], source_labels=[[3, 3], [5, 5]], labels=[8, 8], **options)
    assert np.abs(made.astype(int) - shown[8]).max() <= 1
    made = knowing.edit(shown[3], source_labels=[3, 3], labels=[3, 3], **options)
    np.testing.assert_array_equal(made, shown[3])


def test_all_noise_makes_a_clip_anew_and_little_noise_keeps_it(clips, monkeypatch):
    model = models.build("rflow", **TINY["rflow"] | {"sprite": 0})  # which would keep their paths
    everything = np.ones(clips.shape[2:4], bool)
    anew = model.edit(clips, labels=[3, 8], method="sdedit", strength=1.0, guidance=1.0, seed=5)
    made = model.inpaint(clips, everything, labels=[3, 8], seed=5)
    assert np.abs(anew.astype(int) - made).mean() < 0.1
    # Where nothing moves, what is left is the clip under so much noise.
    monkeypatch.setattr(model, "velocities", lambda *_: lambda x, time: ops.zeros_like(x))
    monkeypatch.setattr(model, "_coders", {})
    away = [
        np.abs(model.edit(clips, method="sdedit", strength=s, steps=20).astype(int) - clips).mean()
        for s in (0.05, 0.4, 1.0)
    ]
    assert away[0] < away[1] < away[2]


@pytest.mark.parametrize("method", ["flowedit", "sdedit"])
def test_edits_do_not_depend_on_the_batch_and_leave_the_rest(model, method):
    seen = RNG.integers(0, 256, (3, 7, *list(model.clip_spec.values())[1:]), "uint8")
    mask = np.zeros(seen.shape[2:4], bool)
    mask[: len(mask) // 2] = True
    options = {"labels": [3, 8], "source_labels": [1, 2], "method": method, "mask": mask}
    made = model.edit(seen, **options)
    assert made.shape == seen.shape and (made[:, :, ~mask] == seen[:, :, ~mask]).all()
    assert np.abs(made.astype(int) - seen)[:, :, mask].max() > 0
    for other in (
        model.edit(seen, **options, batch_size=2),
        [model.edit(seen[0], **options), *made[1:]],
    ):
        assert np.abs(made.astype(int) - np.stack(other)).mean() < 0.1
    assert (model.edit(seen, **options, seed=1) != made).any()


def test_guidance_pushes_away_from_no_class(model, clips):
    options = {"labels": [3, 8], "method": "sdedit", "steps": 1, "strength": 1.0}
    none, plain, more = (
        model.edit(clips, **options | change).astype(float)
        for change in ({"labels": None}, {"guidance": 1.0}, {"guidance": 2.0})
    )
    inside = np.all([(0 < made) & (made < 255) for made in (none, plain, more)], axis=0)
    assert inside.any() and np.abs(plain - none).max() > 1
    assert np.abs(more - (2 * plain - none))[inside].max() <= 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "magic"}, "method must be flowedit or sdedit, not 'magic'"),
        ({"strength": 0}, "strength must be above 0 and at most 1, not 0"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"labels": [3, 11]}, "labels must lie between 0 and 9"),
        ({"mask": np.ones((3, 3))}, r"a mask of shape \(3, 3\) came"),
    ],
)
def test_bad_edits_get_one_line(model, clips, arguments, message):
    with pytest.raises(VgzooError, match=message):
        model.edit(clips, **arguments)


def test_models_that_do_not_edit_say_so():
    gan = kept("r3gan")
    with pytest.raises(VgzooError, match="does not edit"):
        gan.edit(np.zeros((4, 16, 16, 1), "uint8"))


def test_edit_writes_what_the_api_makes(clip, run):  # noqa: F811
    text = run(
        *"edit in.webp a.webp --model tiny --labels 8+1 --source-labels 3+1 --seed 4".split(),
        *"--strength 0.5 --steps 4".split(),
    )
    assert "a.webp: 1 × 7 frames of 16×16" in text
    made = hub.load("tiny").edit(
        clip, labels=[8, 1], source_labels=[3, 1], strength=0.5, seed=4, steps=4
    )
    video.write("b.webp", made, fps=8)
    same_files()


def test_one_way_to_edit_at_a_time(clip, mistake):  # noqa: F811
    said = mistake(*"edit in.webp a.webp --model tiny --do exposure=1".split())
    assert "either --edits" in said and "or --model" in said
