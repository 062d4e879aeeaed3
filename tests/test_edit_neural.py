"""Edits by a network: on files of any length, in tiles, and on the command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_cli import mistake, run  # noqa: F401  (fixtures)
from tiny import TINY

from vgzoo import edit, hub, models, video
from vgzoo.edit import neural
from vgzoo.errors import VgzooError

CLIP = np.random.default_rng(0).integers(0, 256, (11, 16, 24, 3), "uint8")


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> str:
    """A folder of an untrained restorer."""
    model = models.build("restorer", **TINY["restorer"])
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    hub.save(model, folder, dataset="imagenette", fps=8)
    return str(folder)


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("cuts", [[1, 2, 3], [5], [], [3, 6, 9]])
def test_frames_between_are_the_same_in_chunks(saved, factor, cuts):
    layer = edit.Interpolate(factor, model=saved)
    whole = layer.host(CLIP)
    result = layer.stream(edit.Footage(11, 25, lambda: iter(np.split(CLIP, cuts))))
    assert result.frames == 10 * factor + 1 and result.fps == 25 * factor and result.sound
    made = np.concatenate(list(result.chunks()))
    assert made.shape == whole.shape
    assert np.abs(made.astype(int) - whole).max() <= 1
    np.testing.assert_array_equal(made[::factor], CLIP)


def test_two_frames_are_enough(saved):
    layer = edit.Interpolate(2, model=saved)
    made = list(layer.stream(edit.Footage(2, 25, lambda: iter([CLIP[:1], CLIP[1:2]]))).chunks())
    np.testing.assert_array_equal(np.concatenate(made), layer.host(CLIP[:2]))
    with pytest.raises(VgzooError, match="two frames or more"):
        layer.stream(edit.Footage(1, 25, lambda: iter([CLIP[:1]])))


def test_files_are_enlarged_and_completed(saved, run, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setattr(neural, "MODEL", saved)
    monkeypatch.chdir(tmp_path)
    video.write("in.mp4", CLIP, fps=25, scale=4)
    hole = np.zeros((64, 96), "uint8")
    hole[8:24, 16:40] = 255
    Image.fromarray(hole).save("hole.png")
    run("edit", "in.mp4", "out.mp4", "--do", f"superresolve=2,model:{saved}", "--tile", "96")
    assert video.probe("out.mp4")["height"] == 128
    run("edit", "in.mp4", "out.mp4", "--do", f"inpaint=hole.png,model:{saved} flip")
    assert video.probe("out.mp4")["frames"] == 11
    run("edit", "in.mp4", "out.mp4", "--do", f"interpolate=2,model:{saved}")
    assert video.probe("out.mp4")["frames"] == 21 and video.probe("out.mp4")["fps"] == 50


def test_mistakes_get_one_line(saved, mistake, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    video.write("in.mp4", CLIP, fps=25, scale=4)
    before = sorted(Path().iterdir())
    Image.fromarray(np.zeros((10, 10), "uint8")).save("small.png")
    for words, wrong in (
        (["--do", "superresolve=3"], "superresolve: factor=3 came; wanted 2 or 4"),
        (["--do", "restore=tile:50"], "restore: tile=50 came"),
        (["--do", "flip", "--tile", "96"], "tile is for edits by a network"),
        (["--do", f"inpaint=small.png,model:{saved}"], "the mask small.png is 10×10"),
        (["--do", "inpaint=nowhere.png"], "nowhere.png"),
        (["--do", "restore=r3gan-mnist"], "edits no frames; its family is gan"),
        (["--model", saved], "asked for by the names of its edits"),
    ):
        assert wrong in mistake("edit", "in.mp4", "out.mp4", *words)
    assert sorted(Path().iterdir()) == sorted([*before, Path("small.png")])


def test_masks_move_along(saved):
    masks = np.zeros((11, 16, 24, 1), "uint8")
    for t in range(11):
        masks[t, 2:6, t : t + 6] = 255
    folder = Path(saved).parent
    video.write(folder / "masks.gif", masks, fps=8, scale=1)
    layer = edit.Inpaint(folder / "masks.gif", model=saved)
    made = np.concatenate(
        list(layer.stream(edit.Footage(11, 25, lambda: iter(np.split(CLIP, [4, 8])))).chunks())
    )
    inside = masks[..., 0] > 0
    np.testing.assert_array_equal(made[~inside], CLIP[~inside])
    assert (made[inside] != CLIP[inside]).mean() > 0.5
    assert np.abs(made.astype(int) - np.asarray(layer(CLIP))).max() <= 1
    with pytest.raises(VgzooError, match="has 11 frames, the clip has more"):
        layer(np.concatenate([CLIP, CLIP]))
