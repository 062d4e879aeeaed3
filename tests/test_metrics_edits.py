"""What judges edits of moving digits: cases that are what they say, figures of known answers."""

import json

import numpy as np
import pytest

from vgzoo import hub, models
from vgzoo.metrics import edits
from vgzoo.metrics.evaluate import evaluate

N, FRAMES = 40, 4


@pytest.fixture(scope="module")
def cases():
    return edits.cases("mnist", N, FRAMES, 3)


def test_one_digit_is_to_become_a_third_one(cases):
    clips, labels, wanted, paths = cases
    assert clips.shape == (N, FRAMES, 64, 64, 1) and clips.dtype == np.uint8
    assert paths.shape == (N, 2, FRAMES, 2) and 0 <= paths.min() <= paths.max() <= 36
    assert (labels[:, 0] != labels[:, 1]).all() and (labels[:, 1] == wanted[:, 1]).all()
    assert (wanted[:, :1] != labels).all() and len(set(wanted[:, 0])) == 10
    again = edits.cases("mnist", N, FRAMES, 3)
    np.testing.assert_array_equal(again[0], clips)
    assert (edits.cases("mnist", N, FRAMES, 4)[0] != clips).any()


def test_the_reader_finds_what_cases_say(cases):
    """Real digits, so that it reads nearly all of them, on their paths."""
    clips, labels, wanted, paths = cases
    reader = hub.load("digit-reader")
    figures = edits.score(edits.read_clips(reader, clips), labels, paths)
    assert figures["label_accuracy"] > 0.8 and figures["near"] > 0.85
    others = edits.cases("mnist", N, FRAMES, 3, start=N, labels=wanted)
    assert (others[1] == wanted).all() and (others[3] != paths).any()
    figures = edits.score(edits.read_clips(reader, others[0]), wanted, others[3])
    assert figures["label_accuracy"] > 0.8


def test_figures_of_known_answers(cases):
    _, _, wanted, paths = cases
    order = np.argsort(wanted, axis=1)
    found = {
        "pair": np.sort(wanted, axis=1),
        "track": np.take_along_axis(paths, order[..., None, None], axis=1).astype("float32"),
        "seen": np.ones((N, 2, FRAMES), bool),
    }
    assert edits.score(found, wanted, paths) == {"label_accuracy": 1, "near": 1, "path_kept": 1}
    found["pair"][: N // 2, 0] = -1
    found["track"][0, 1, :, 0] += 2.5  # a digit that is elsewhere, in one clip
    found["track"][1, 0, :, 1] -= 1.5  # near enough
    found["seen"][2, 0, 0] = False  # lost in one frame of four: a path that is not kept
    figures = edits.score(found, wanted, paths)
    assert figures["label_accuracy"] == 0.5 and figures["path_kept"] == 1 - 2 / N
    assert figures["near"] == pytest.approx(1 - 5 / (N * 2 * FRAMES))
    found["pair"][:, 0] = -1  # where none is what it should be, it may be either
    found["track"] = found["track"][:, ::-1]
    assert edits.score(found, wanted, paths)["near"] >= figures["near"]


def test_an_editor_has_two_protocols_and_a_card_for_both(tmp_path, monkeypatch):
    sizes = {"frames": FRAMES, "patch": 8, "widths": (8,), "blocks": (1,), "features": 8}
    model = models.build("rflow", **sizes, heads=2, depth=1, context=2, steps=2)
    hub.save(model, tmp_path / "tiny", dataset="mnist", fps=8)
    monkeypatch.chdir(tmp_path)
    report = evaluate("./tiny", protocol="edit-mnist", n=8)
    assert list(report["metrics"]) == ["label_accuracy", "near", "path_kept"]
    assert report["floors"]["as they were"]["near"] > 0.7 > report["floors"]["other clips"]["near"]
    assert report["floors"]["as they were"]["label_accuracy"] < 0.3
    assert [row[:2] for row in report["table"]["rows"]] == [
        [method, s] for method in ("flowedit", "sdedit") for s in edits.STRENGTHS
    ]
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert "### By edit-mnist" in card and "| flowedit | 0.5 |" in card and "| fcd |" not in card
    judged = evaluate("./tiny", n=8)
    steps = {row[0]: row[1:] for row in judged["table"]["rows"]}
    assert list(steps) == [1, 2, 4, 8, 16, 32] and steps[2] == [*judged["metrics"].values()]
    written = json.loads((tmp_path / "tiny" / "metrics.json").read_text())
    assert written["protocol"] == "generation-mnist" and "fcd" in written["values"]
    assert written["also"]["edit-mnist"]["values"] == report["metrics"]
    card = (tmp_path / "tiny" / "README.md").read_text()
    assert card.index("| fcd |") < card.index("### By edit-mnist") < card.index("| flowedit | 0.5")
