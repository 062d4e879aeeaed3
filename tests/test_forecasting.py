"""A forecaster's way: trained by a recipe, looked at, judged against what came, used by command."""

import json

import numpy as np
import pytest
from keras import ops
from PIL import Image
from tiny import TINY, recipe, write_mnist

import vgzoo
from vgzoo import bench, cli, hub, models, registry
from vgzoo._tiles import EDGE_WIDTH
from vgzoo.data import clips
from vgzoo.errors import VgzooError
from vgzoo.metrics import PSNR, SSIM, FrameMSE, forecasting
from vgzoo.metrics.evaluate import evaluate
from vgzoo.train import train

SVG = TINY["svg"] | {"frames": 8, "height": 64, "width": 64, "context": 5}
RECIPE = recipe(
    "svg",
    SVG,
    "mnist-stochastic",
    stage={"steps": 2, "frames": 7, "size": 64, "batch_size": 4},
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights that a recipe made, and beside them its twin's."""
    root = tmp_path_factory.mktemp("weights")
    write_mnist(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGZOO_DATA", str(root))
        patch.setattr(registry, "weights_root", lambda: root)
        (root / "svg.json").write_text(json.dumps(RECIPE))
        assert train(root / "svg.json", out=root / "run", verbose=0)["finished"]
        twin = models.build("svg", **SVG | {"deterministic": True})
        hub.save(twin, root / forecasting.TWIN, dataset="mnist-stochastic")
        yield root / "run"


def test_training_leaves_a_golden_output_and_samples(trained):
    model = vgzoo.load(trained / "svg")
    real = np.asarray(
        next(iter(clips("mnist-stochastic", "validation", frames=8, batch_size=1, seed=1)))["clip"]
    )
    strip = np.asarray(Image.open(trained / "samples" / "0000002.png").convert("L"))
    pitch = 64 + EDGE_WIDTH
    assert strip.shape == (4 * pitch - EDGE_WIDTH, 8 * pitch - EDGE_WIDTH)
    row, last = (strip[i * pitch :][:64] for i in (0, 3))
    for t in range(8):
        there = slice(t * pitch, t * pitch + 64)
        np.testing.assert_array_equal(row[:, there], real[0, t, ..., 0])
        if t < 5:  # forecasts follow the context
            np.testing.assert_array_equal(last[:, there], real[0, t, ..., 0])
    gif = Image.open(trained / "svg" / "sample.gif")
    assert gif.n_frames == 8 and gif.size[0] > 4 * 64
    card = (trained / "svg" / "README.md").read_text()
    assert "model.forecast(clips, 3, n=4)" in card
    assert model.forecast(real, n=2).shape == (1, 2, 3, 64, 64, 1)


def test_a_forecaster_is_judged_by_the_best_of_its_forecasts(trained):
    report = evaluate(trained / "svg", n=2)
    assert report["protocol"] == "forecast-mnist-stochastic" and report["table"]["rows"]
    figures, floors = report["metrics"], report["floors"]
    copy, twin = floors["copy of the last frame"], floors["deterministic twin"]
    names = {"best_of_100_psnr", "best_of_100_ssim_skimage", "psnr", "ssim_skimage"}
    assert set(copy) == names and set(figures) == set(twin) == names | {"nats_per_frame"}
    assert figures["best_of_100_psnr"] >= figures["psnr"]
    assert twin["best_of_100_psnr"] == pytest.approx(twin["psnr"]), "a twin has one future"
    assert figures["nats_per_frame"] > floors["entropy of the truth"]["nats_per_frame"] > 0
    assert json.loads((trained / "svg" / "metrics.json").read_text())["values"] == figures
    own = evaluate(registry.weights_root() / forecasting.TWIN, n=2, write=False)
    assert "deterministic twin" not in own["floors"]
    assert own["metrics"]["psnr"] == pytest.approx(twin["psnr"])


class Oracle:
    """Forecasts the truth, from clips that it knows, or grey; of no weights, by one product."""

    name, context, frames, height, width, channels = "oracle", 5, 20, 64, 64, 1

    def __init__(self, knows: bool):
        self.knows = knows

    def forecast_noise_shape(self, frames: int) -> tuple[int, ...]:
        return (frames, 0)

    def count_params(self) -> int:
        return 3_000_000

    def initial_state(self, context):
        return context[:, 0, :, :, 0]

    def rollout(self, state, noise):
        return ops.matmul(state, state), state

    def forecast(self, seen, ahead, *, n, seed, batch_size):
        known = forecasting.generation.real_clips(
            "mnist", 4, frames=seen.shape[1] + ahead, size=64, seed=seed
        )
        made = known[: len(seen), seen.shape[1] :]
        return made[:, None] if self.knows else np.full_like(made, 128)[:, None]


def test_a_forecaster_without_a_likelihood_stands_in_the_table_of_openstl(trained):
    report = forecasting.run("mnist", Oracle(knows=True), 4, 0, clips_seen=25_000)
    header, (own, *published) = report["table"]["header"], report["table"]["rows"]
    macs = 64**3 / 1e9
    assert own == ["oracle", 2.5, 25_000, 3.0, pytest.approx(macs), 0, 0, pytest.approx(1), np.inf]
    assert {len(row) for row in (own, *published)} == {len(header)}
    tau = next(row for row in published if row[:2] == ["TAU", 200])
    assert tau[2] == 2_000_000 and tau[header.index("MSE")] == 24.60
    unknown = forecasting.run("mnist", Oracle(knows=True), 4, 0)["table"]["rows"][0]
    assert unknown[1:3] == ["–", "–"]


def test_the_truth_gets_the_best_figures_and_floors_are_what_they_say(trained):
    real = forecasting.generation.real_clips("mnist", 4, frames=20, size=64, seed=0)
    found = forecasting.run("mnist", Oracle(knows=True), 4, 0)
    assert found["metrics"]["frame_mse"] == found["metrics"]["frame_mae"] == 0
    assert found["metrics"]["ssim_openstl"] == pytest.approx(1)
    copy = np.repeat(real[:, 9:10], 10, axis=1)
    floor = found["floors"]["copy of the last frame"]
    assert floor["frame_mse"] == pytest.approx(FrameMSE()(real[:, 10:], copy))
    assert floor["psnr"] == pytest.approx(PSNR()(real[:, 10:], copy))
    assert floor["ssim_openstl"] == pytest.approx(SSIM("openstl")(real[:, 10:], copy))
    grey = forecasting.run("mnist", Oracle(knows=False), 4, 0)["metrics"]
    wanted = np.square(128 / 255 - real[:, 10:] / 255).sum(axis=(2, 3, 4)).mean()
    assert grey["frame_mse"] == pytest.approx(wanted)


def test_the_entropy_is_the_cross_entropy_of_the_truth_with_itself():
    levels = np.array([0, 51, 128, 255], "uint8").reshape(1, 1, 2, 2, 1)
    p = np.array([51, 128]) / 255
    wanted = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum()
    two = np.concatenate([levels, levels], axis=1)
    assert forecasting._entropy(two) == pytest.approx(wanted)


def test_a_model_that_must_see_more_gets_one_line(trained):
    patient = models.build("svg", **SVG | {"frames": 12, "context": 11})
    with pytest.raises(VgzooError, match="needs to see 11 frames, the protocol shows 10") as caught:
        forecasting.run("mnist", patient, 4, 0)
    assert "\n" not in str(caught.value)


def test_a_forecaster_is_benched():
    model = models.build("convlstm", **TINY["convlstm"])
    report = bench.bench(model, batch_sizes=(1, 2), train_batch=2, dtype="float32", seconds=0.01)
    assert report["frames_per_s"] > 0 and report["train_clips_per_s"] > 0
    assert report["rows"][0]["gflop_per_frame"] == pytest.approx(
        report["rows"][1]["gflop_per_frame"], rel=1e-3
    )
    judge = models.build("clip_encoder", **TINY["clip_encoder"])
    with pytest.raises(VgzooError, match="makes clips"):
        bench.bench(judge)


# -- on the command line -------------------------------------------------------------------


def test_forecast_writes_what_the_api_makes(trained, tmp_path, capsys):
    seen = np.asarray(next(iter(clips("mnist", "test", frames=6, batch_size=1)))["clip"])[0]
    vgzoo.write(tmp_path / "seen.gif", seen, scale=1)
    source, out = str(tmp_path / "seen.gif"), tmp_path / "more.webp"
    arguments = [
        "forecast",
        str(trained / "svg"),
        source,
        "--frames",
        "4",
        "-n",
        "2",
        "--seed",
        "3",
    ]
    assert cli.main([*arguments, "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["shape"] == [2, 4, 64, 64, 1] and report["fps"] == 8
    model = vgzoo.load(trained / "svg")
    wanted = model.forecast(vgzoo.read(source)[..., :1], 4, n=2, seed=3)
    vgzoo.write(tmp_path / "wanted.webp", wanted, fps=8)
    assert out.read_bytes() == (tmp_path / "wanted.webp").read_bytes()
    assert cli.main([*arguments, "--out", str(out), "--context"]) == 0
    assert "2 × 9 frames of 64×64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("no.gif", "no such file: no.gif"),
        ("seen.gif --frames 0", "frames must be"),
        ("seen.gif -n 0", "n must be"),
        ("seen.gif --out a.avi", "ends in '.avi'"),
        ("small.gif", "takes 5 or more of 64×64×1"),
        ("seen.gif --temperature -1", "temperature must be"),
    ],
)
def test_bad_forecasts_get_one_line(trained, tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    vgzoo.write("seen.gif", np.zeros((6, 64, 64, 1), "uint8"), scale=1)
    vgzoo.write("small.gif", np.zeros((6, 16, 16, 1), "uint8"), scale=1)
    assert cli.main(["forecast", str(trained / "svg"), *arguments.split()]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("Error: ") and said in error
