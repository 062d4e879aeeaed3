"""A density's way: trained by a recipe on stills, judged by bits beside codecs."""

import json

import numpy as np
import pytest
from tiny import TINY, recipe, write_mnist

import vgzoo
from vgzoo import models, registry
from vgzoo.metrics import density
from vgzoo.metrics.evaluate import evaluate
from vgzoo.train import train

FLOW = TINY["tarflow"] | {"frames": 1, "height": 28, "width": 28, "deep": 0}
RECIPE = recipe(
    "tarflow",
    FLOW,
    "mnist-stills",
    stage={"steps": 20, "frames": 1, "size": 28, "batch_size": 8},
    peak=1e-2,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    root = tmp_path_factory.mktemp("weights")
    write_mnist(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGZOO_DATA", str(root))
        patch.setattr(registry, "weights_root", lambda: root)
        (root / "flow.json").write_text(json.dumps(RECIPE))
        assert train(root / "flow.json", out=root / "run", verbose=0)["finished"]
        yield root / "run" / "flow"


def test_a_density_is_judged_by_its_bits_beside_codecs(trained):
    report = evaluate(trained, n=1000)
    assert report["protocol"] == "density-mnist-stills"
    assert report["n"] == 60, "the test split has no more stills"
    bits = {name: floor["bits_per_dim"] for name, floor in report["floors"].items()}
    assert set(bits) == {"pixels alone", "FFV1", "x264, lossless"}
    assert 0 < report["metrics"]["bits_per_dim"] < 8 and all(0 < b < 8 for b in bits.values())
    model = vgzoo.load(trained)
    clips = density._test_clips("mnist-stills", 60, model.clip_spec, 0)
    assert clips.shape == (60, 1, 28, 28, 1) and len(np.unique(clips, axis=0)) > 50
    wanted = model.bits_per_dim(clips).mean()
    assert report["metrics"]["bits_per_dim"] == pytest.approx(wanted)
    # Twenty steps teach it at least that most pixels are black.
    assert wanted < models.build("tarflow", **FLOW).bits_per_dim(clips).mean() - 1
    rows = dict(report["table"]["rows"])
    assert rows["Residual Flow (arXiv 1906.02735)"] == 0.97


def test_pixels_alone_need_the_entropy_of_their_places(monkeypatch):
    rng = np.random.default_rng(0)
    share = np.array([0.5, 0.25, 0.25])

    def made(dataset, n, spec, seed, split="test"):
        draw = rng.choice(3, (n, 1, 2, 2, 1), p=share)
        return (100 * draw).astype("uint8")

    monkeypatch.setattr(density, "_test_clips", made)
    clips = made("", 4000, {}, 0)
    assert density._entropy_of_pixels("", clips, {}, 0) == pytest.approx(1.5, abs=0.02)
