"""bench data:NAME: what a dataset gives, beside what a training step takes."""

import json

import numpy as np
import pytest
from test_train import RECIPE
from tiny import write_mnist

from vgzoo import cli, video
from vgzoo.bench_data import bench_data
from vgzoo.errors import DataError, VgzooError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VGZOO_DATA", str(write_mnist(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def recipe(tmp_path) -> str:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(RECIPE))
    return str(path)


def test_figures_of_a_report_fit_each_other(folder, recipe):
    report = bench_data("mnist", model=recipe, batch_size=4, seconds=0.05)
    assert json.loads(json.dumps(report)) == report
    frames = RECIPE["kwargs"]["frames"]
    assert report["clip"] == {"frames": frames, "height": 64, "width": 64, "channels": 1}
    assert report["model"] == "tiny" and report["train_frames"] == frames
    assert report["train_batch"] == RECIPE["stages"][-1]["batch_size"]
    assert report["train_dtype"] == RECIPE["dtype"]
    np.testing.assert_allclose(report["frames_per_s"], frames * report["clips_per_s"])
    taken = report["train_clips_per_s"] * report["train_frames"]
    np.testing.assert_allclose(report["times_enough"], report["frames_per_s"] / taken)


def test_longer_clips_come_more_slowly(folder, recipe):
    """The rate is that of rendered clips: it falls as they grow."""
    short, long = (
        bench_data("mnist-stochastic", model=recipe, frames=f, seconds=0.3)["clips_per_s"]
        for f in (4, 160)
    )
    assert long < short / 4


def test_what_no_recipe_trains_on_has_no_model(folder):
    films = folder / "nobodys"
    films.mkdir()
    video.write(films / "a.webp", np.zeros((8, 16, 16, 3), "uint8"), scale=1)
    report = bench_data(str(films), frames=2, batch_size=4, seconds=0.05)
    assert report["model"] is None and report["times_enough"] is None
    assert report["clips_per_s"] > 0


def test_the_command_measures_videos_too(folder, capsys):
    clip = np.zeros((8, 16, 16, 3), "uint8")
    (folder / "films").mkdir()
    video.write(folder / "films" / "a.webp", clip, scale=1)
    command = ["bench", "data:films", "--frames", "4", "--seconds", "0.05"]
    assert cli.main(command) == 0
    assert "4×64×64 RGB" in capsys.readouterr().out
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clip"]["channels"] == 3


@pytest.mark.parametrize("bad", [
    {"name": "nothing"}, {"model": "nothing"}, {"model": "digit-reader"}, {"seconds": 0},
    {"frames": 0}, {"batch_size": 0},
])  # fmt: skip
def test_mistakes_get_one_line(folder, recipe, bad):
    with pytest.raises(VgzooError) as caught:
        bench_data(**{"name": "mnist-stochastic", "model": recipe, "seconds": 0.01, **bad})
    assert "\n" not in str(caught.value)


def test_options_of_data_are_refused_for_a_model(capsys):
    assert cli.main(["bench", "some-model", "--frames", "4"]) == 2
    assert "--frames are for data:NAME" in capsys.readouterr().err
    with pytest.raises(DataError, match="no dataset 'some-model'"):
        bench_data("some-model")
