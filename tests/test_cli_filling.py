"""Labels, gaps and holes on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import bundled, mistake, run  # noqa: F401  (fixtures)
from tiny import TINY

from vgzoo import hub, models, video

SIZES = TINY["rflow"] | {"steps": 2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    hub.save(models.build("rflow", **SIZES), root / "tiny", dataset="mnist", fps=8)
    hub.save(models.build("rflow", **SIZES | {"labels": 1}), root / "one", dataset="mnist", fps=8)
    return root


@pytest.fixture
def clip(bundled) -> np.ndarray:  # noqa: F811
    frames = np.random.default_rng(0).integers(0, 256, (7, 16, 16, 1), "uint8")
    video.write("in.webp", frames, fps=8)  # eight times as large, as small clips are written
    kept = video.with_channels(video.read("in.webp"), 1)[:, ::8, ::8]
    np.testing.assert_array_equal(kept, frames)
    return frames


def same_files() -> None:
    assert Path("a.webp").read_bytes() == Path("b.webp").read_bytes()


def test_labels_of_two_digits_a_clip(bundled, run):  # noqa: F811
    run(*"generate tiny -n 2 --labels 3+8,1+1 --seed 2 --steps 3 --out a.webp".split())
    made = hub.load("tiny").generate(2, labels=[[3, 8], [1, 1]], seed=2, steps=3)
    video.write("b.webp", made, fps=8)
    same_files()
    run(*"generate one -n 2 --labels 3,8 --out a.webp".split())
    video.write("b.webp", hub.load("one").generate(2, labels=[3, 8]), fps=8)
    same_files()


def test_interpolate_writes_what_the_api_makes(clip, run):  # noqa: F811
    text = run(*"interpolate tiny in.webp --factor 3 --seed 4 --labels 2+5 --out a.webp".split())
    assert "a.webp: 1 × 19 frames of 16×16" in text
    made = hub.load("tiny").interpolate(clip, 3, seed=4, labels=[2, 5])
    video.write("b.webp", made, fps=8)
    same_files()


def test_inpaint_takes_a_picture_or_a_video_for_a_mask(clip, run):  # noqa: F811
    hole = np.zeros((16, 16), bool)
    hole[4:9, 3:12] = True
    for mask in ("hole.png", "hole.bmp"):
        Image.fromarray(255 * hole.astype("uint8")).save(mask)
        run(*f"inpaint tiny in.webp --mask {mask} --seed 4 --out a.webp".split())
        video.write("b.webp", hub.load("tiny").inpaint(clip, hole, seed=4), fps=8)
        same_files()
    moving = np.stack([np.roll(hole, t, axis=1) for t in range(7)])
    video.write("hole.webp", 255 * moving[..., None].astype("uint8"), fps=8)
    run(*"inpaint tiny in.webp --mask hole.webp --seed 4 --out a.webp".split())
    video.write("b.webp", hub.load("tiny").inpaint(clip, moving, seed=4), fps=8)
    same_files()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("generate tiny --labels 3", "tiny knows 2 classes a clip, as in 3+8"),
        ("generate one --labels 3+8", "one knows 1 classes a clip, as in 3"),
        ("generate tiny --labels 3+x", "--labels is '3,x'; wanted whole numbers"),
        ("generate tiny --labels 3+11", "labels must lie between 0 and 9"),
        ("generate tiny --steps 0", "steps must be at least 1"),
        ("interpolate tiny no.webp", "no such file: no.webp"),
        ("interpolate tiny in.webp --factor 1", "factor must be a whole number of at least 2"),
        ("inpaint tiny in.webp", "Missing option '--mask'"),
        ("inpaint tiny in.webp --mask no.png", "no such file: no.png"),
        ("inpaint tiny in.webp --mask text.png", "text.png is not a video or picture"),
        ("inpaint tiny in.webp --mask small.png", "a mask of shape (8, 8) came"),
    ],
)
def test_a_mistake_is_one_line(clip, mistake, arguments, said):  # noqa: F811
    Path("text.png").write_text("no picture")
    Image.new("L", (8, 8)).save("small.png")
    assert said in mistake(*arguments.split())
