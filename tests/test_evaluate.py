"""`evaluate`: what is judged, what is written, what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vgzoo import card, cli, hub, models, registry, video
from vgzoo.errors import VgzooError
from vgzoo.metrics import generation
from vgzoo.metrics.evaluate import PROTOCOLS, evaluate

GAN = dict(widths=[4], features=2, discriminator_widths=[4, 4, 4, 4], waves=4, objects=1)
GAN |= dict(frames=4, height=64, width=64)
N = 16
FLOORS = ["real", "real, blurred", "real, shuffled", "independent pixels"]
FIGURES = ["fcd", "kernel_distance", "precision", "recall"]
TRUTHS = ["pair_coverage", "confidence", "trajectory_validity"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A generator, and judges that have learnt nothing."""
    root = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "weights_root", lambda: root)
        hub.save(models.build("r3gan", **GAN), root / "tiny", dataset="mnist", fps=8)
        reader = models.build("digit_reader", frames=4, stem=4, filters=4, blocks=1)
        hub.save(reader, root / "digit-reader", dataset="mnist")
        encoder = models.build("clip_encoder", frames=4, stem=4, widths=(4, 4, 4), head=8)
        hub.save(encoder, root / "clip-encoder", dataset="mnist+cifar10+imagenette")
    return root


@pytest.fixture
def root(saved, tmp_path, monkeypatch, mnist_folder) -> Path:
    copy = Path(shutil.copytree(saved, tmp_path / "weights"))
    monkeypatch.setattr(registry, "weights_root", lambda: copy)
    monkeypatch.chdir(tmp_path)
    return copy


def test_a_generator_is_judged_and_its_folder_says_so(root):
    report = evaluate("tiny", n=N, seed=3)
    assert list(report) == ["name", "protocol", "n", "seed", "metrics", "floors"]
    assert list(report.values())[:4] == ["tiny", "generation-mnist", N, 3]
    assert list(report["metrics"]) == FIGURES + TRUTHS
    assert list(report["floors"]) == FLOORS
    for figures in (report["metrics"], *report["floors"].values()):
        assert list(figures) == FIGURES + TRUTHS and np.isfinite(list(figures.values())).all()
    written = json.loads((root / "tiny" / "metrics.json").read_text())
    assert written["values"] == report["metrics"] and written["floors"] == report["floors"]
    assert (written["protocol"], written["n"], written["seed"]) == ("generation-mnist", N, 3)
    text = (root / "tiny" / "README.md").read_text()
    assert text == card.of(root / "tiny", "tiny")
    assert "| Metric | Value | real | real, blurred |" in text and f"N: {N}, seed: 3" in text
    assert registry.info("tiny")["metrics"]["values"] == report["metrics"]


def test_figures_say_what_they_were_computed_in(root, monkeypatch):
    made = []
    monkeypatch.setattr(generation, "distances", lambda real, found: made.append(found) or {})
    monkeypatch.setattr(generation.MovingDigits, "result", lambda self: {"pair_coverage": 0.5})
    evaluate("tiny", n=8, write=False)
    report = evaluate("tiny", n=8, dtype="mixed_bfloat16")
    assert report["dtype"] == "mixed_bfloat16" and np.abs(made[0] - made[5]).max() > 0
    assert json.loads((root / "tiny" / "metrics.json").read_text())["dtype"] == report["dtype"]
    assert "computed in: mixed_bfloat16" in (root / "tiny" / "README.md").read_text()


def test_a_seed_gives_the_same_figures_and_another_does_not(root):
    first, again = (evaluate("tiny", n=N, seed=3, write=False) for _ in range(2))
    assert not (root / "tiny" / "metrics.json").exists()
    for key, value in first["metrics"].items():
        assert value == pytest.approx(again["metrics"][key], rel=1e-6, abs=1e-9), key
    other = evaluate("tiny", n=N, seed=4, write=False)
    assert other["floors"]["real"]["fcd"] != first["floors"]["real"]["fcd"]


def test_test_clips_are_real_and_of_two_sets(root):
    clips = generation.real_clips("mnist", 40, frames=4, seed=1)
    more = generation.real_clips("mnist", 20, start=32, frames=4, seed=1)
    np.testing.assert_array_equal(clips[32:], more[:8])
    assert clips.shape == (40, 4, 64, 64, 1)


def test_the_command_prints_json(root, capsys):
    assert cli.main(["evaluate", "tiny", "--n", str(N), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert {"name", "protocol", "n", "seed", "metrics", "floors"} == report.keys()
    assert cli.main(["evaluate", "./weights/tiny", "-n", "8"]) == 0
    out = capsys.readouterr().out
    assert "blurred" in out and "protocol generation-mnist, N 8, seed 0" in out
    assert 'vgzoo.load("tiny")' in (root / "tiny" / "README.md").read_text()


def test_a_reader_is_judged_on_broken_clips(root):
    report = evaluate("digit-reader", n=8)
    assert report["protocol"] == "judge-digits"
    assert set(TRUTHS) < report["metrics"].keys() and len(report["table"]["rows"]) == 14
    text = (root / "digit-reader" / "README.md").read_text()
    assert "| shuffle | 0.5 |" in text and "| other digits half way |" in text


def test_videos_are_judged_as_if_they_were_generated(root, tmp_path):
    clips = generation.real_clips("mnist", N, frames=16, seed=5)
    (tmp_path / "made").mkdir()
    for i, clip in enumerate(clips):
        video.write(tmp_path / "made" / f"{i:02d}.gif", clip, scale=1)
    report = evaluate(tmp_path / "made", protocol="generation-mnist", seed=5)
    assert (report["name"], report["n"]) == ("made", N)
    # They are the very clips they are compared with, but for the loss of a gif's colours.
    assert report["metrics"]["fcd"] < 0.1 * report["floors"]["real"]["fcd"]
    assert not list((tmp_path / "made").glob("*.json"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"what": "tinny"}, "did you mean 'tiny'"),
        ({"what": "tiny", "protocol": "taste"}, "no protocol 'taste'; there are: density"),
        ({"what": "tiny", "protocol": "judge-digits"}, "does not judge tiny: its tasks are"),
        ({"what": "tiny", "protocol": "generation-cifar10"}, "clips of cifar10 are square with 3"),
        ({"what": "tiny", "n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"what": "tiny", "dtype": "half"}, "dtype 'half' is no Keras dtype policy"),
        ({"what": "tiny", "n": 4}, "n must be at least 8, not 4"),
        ({"what": "tiny", "seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"what": "videos"}, "clips of videos need --protocol, one of generation-mnist"),
        ({"what": "videos", "protocol": "generation-mnist"}, "has 0 clips of 16 frames"),
        ({"what": "."}, "holds neither a config.json nor videos"),
    ],
)
def test_mistakes_get_one_line(root, tmp_path, arguments, said):
    (tmp_path / "videos").mkdir()
    video.write(tmp_path / "videos" / "a.gif", np.zeros((4, 64, 64, 1), "uint8"), scale=1)
    with pytest.raises(VgzooError) as caught:
        evaluate(**arguments)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_model_that_no_protocol_fits_is_named(root):
    config = json.loads((root / "tiny" / "config.json").read_text()) | {"dataset": "sand"}
    (root / "tiny" / "config.json").write_text(json.dumps(config))
    with pytest.raises(VgzooError, match="no protocol fits tiny: .* its dataset is sand"):
        evaluate("tiny")


def test_generators_are_judged_on_2048_clips_unless_told_otherwise():
    assert all(rule.n >= 2048 for rule in PROTOCOLS.values() if rule.takes_clips)


@pytest.mark.parametrize("name", registry.list_models(family="judge"))
def test_bundled_judges_say_how_good_they_are(name):
    metrics = registry.info(name)["metrics"]
    assert metrics["protocol"] in PROTOCOLS and metrics["n"] >= 128
    assert metrics["table"]["rows"]


@pytest.mark.parametrize("name", registry.list_models("digit-reader"))
def test_the_bundled_reader_is_near_the_truth(name):
    values = registry.info(name)["metrics"]["values"]
    assert values["pair_coverage"] == 55 and values["pair_accuracy"] > 0.95
    assert values["trajectory_validity"] > 0.9


@pytest.mark.parametrize("name", registry.list_models("clip-encoder"))
def test_the_bundled_encoder_ranks_what_it_says_it_ranks(name):
    metrics = registry.info(name)["metrics"]
    rows = metrics["table"]["rows"]
    in_order = []
    for row in rows:
        figures = [float(cell.split()[0]) for cell in row[2:-1]]
        in_order.append(all(a < b for a, b in zip(figures, figures[1:], strict=False)))
        assert in_order[-1] == (row[-1] == "yes"), row
    assert metrics["values"]["ranked"] == pytest.approx(sum(in_order) / len(rows))
