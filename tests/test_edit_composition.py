"""Layers over the frame, against Pillow's compositing and the formulas of blend modes."""

import numpy as np
import pytest
from edit_helpers import close, numpy
from PIL import Image, ImageChops

from vgzoo import edit
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(4)
CLIP = RNG.integers(0, 256, (3, 20, 30, 3), "uint8")
LAYER = RNG.integers(0, 256, (1, 8, 10, 4), "uint8")
FULL = RNG.integers(0, 256, (1, 20, 30, 3), "uint8")


@pytest.mark.parametrize("x, y, left, top", [(0, 0, 0, 0), (1, 1, 20, 12), (0.5, 0.25, 10, 3)])
def test_an_overlay_is_composed_as_pillow_does(x, y, left, top, tmp_path):
    path = tmp_path / "layer.png"
    Image.fromarray(LAYER[0]).save(path)
    for source in (LAYER, str(path)):
        layer = edit.Overlay(source, x=x, y=y)
        for frame, got in zip(CLIP, numpy(layer(CLIP)), strict=True):
            wanted = Image.fromarray(frame).convert("RGBA")
            wanted.alpha_composite(Image.fromarray(LAYER[0]), (left, top))
            close(got, wanted.convert("RGB"))


@pytest.mark.parametrize(
    "mode, by_pillow",
    [
        ("multiply", ImageChops.multiply),
        ("screen", ImageChops.screen),
        ("darken", ImageChops.darker),
        ("lighten", ImageChops.lighter),
        ("difference", ImageChops.difference),
        ("overlay", ImageChops.overlay),
        ("hard_light", ImageChops.hard_light),
        ("add", ImageChops.add),
        ("subtract", ImageChops.subtract),
        ("soft_light", ImageChops.soft_light),
    ],
)
def test_blend_modes_are_those_of_pillow(mode, by_pillow):
    wanted = [by_pillow(Image.fromarray(frame), Image.fromarray(FULL[0])) for frame in CLIP]
    close(edit.Overlay(FULL, mode=mode)(CLIP), wanted, 2)  # Pillow counts in whole levels


@pytest.mark.parametrize("corner", ["top-left", "top-right", "bottom-left", "bottom-right"])
def test_a_watermark_lies_faint_in_its_corner(corner):
    mark = np.full((1, 4, 6, 1), 255, "uint8")
    grey = np.full((2, 20, 30, 3), 100, "uint8")
    layer = edit.Watermark(mark, size=0.2, opacity=0.4, corner=corner, margin=0.1)
    marked = grey.copy()
    top = 2 if corner.startswith("top") else 14
    left = 2 if corner.endswith("left") else 22
    marked[:, top : top + 4, left : left + 6] = 162  # 100 + 0.4 · (255 - 100)
    close(layer(grey), marked, 0)
    close(layer.host(grey), marked, 0)


def test_opacity_and_place_move_and_a_clip_begins_again():
    fade = edit.Overlay(FULL, edit.Keyframes({0: 0, 2: 1}))
    close(fade(CLIP)[0], CLIP[0], 0)
    close(fade(CLIP)[2], FULL[0], 0)
    two = np.stack([FULL[0], 255 - FULL[0]])
    np.testing.assert_array_equal(numpy(edit.Overlay(two)(CLIP)), two[[0, 1, 0]])
    slide = numpy(edit.Overlay(LAYER[..., :3], x=edit.Keyframes({0: 0, 2: 1}), y=0.0)(CLIP))
    for t, left in enumerate((0, 10, 20)):
        np.testing.assert_array_equal(slide[t, :8, left : left + 10], LAYER[0, ..., :3])


def test_a_small_picture_and_one_beside():
    small = numpy(edit.PictureInPicture(FULL, size=0.5, x=1, y=1)(CLIP))
    close(small[:, :10], CLIP[:, :10], 0)
    close(small[0, 10:, 15:], numpy(edit.Resize(10, 15)(FULL))[0])
    beside = numpy(edit.SideBySide(FULL)(CLIP))
    np.testing.assert_array_equal(beside, np.concatenate([CLIP, FULL.repeat(3, 0)], 2))
    below = numpy(edit.SideBySide(FULL[:, :10, :15], below=True)(CLIP))
    assert below.shape == (3, 40, 30, 3)


def test_sizes_move():
    """A white square as large as wanted in each frame, wherever it is held."""
    black, white = np.zeros((5, 40, 60, 3), "uint8"), np.full((1, 30, 30, 3), 255, "uint8")
    sizes = [0.2, 0.3, 0.41, 0.5, 1.0]
    for layer in (
        edit.PictureInPicture(white, sizes, x=edit.Keyframes({0: 0, 4: 1}), y=0.5),
        edit.Watermark(white, sizes, opacity=1, margin=edit.Keyframes({0: 0.1, 4: 0})),
        edit.Watermark(white, edit.Keyframes(dict(enumerate(sizes))), opacity=1, corner="top-left"),
    ):
        seen = numpy(layer(black)).astype(float) / 255
        areas = seen[..., 0].sum((1, 2))
        np.testing.assert_allclose(areas, (np.array(sizes) * 40) ** 2, rtol=0.01)
        close(layer.host(black), seen * 255)
    wide = numpy(edit.PictureInPicture(white.repeat(4, 2), sizes, x=0, y=0)(black))
    assert (wide[4, :15] == 255).all() and wide[4, 15:].max() == 0  # no wider than the frame
    draws = numpy(edit.Random("picture_in_picture", source=white, size=(0.2, 0.8))(black, step=1))
    assert (draws.max((1, 2, 3)) == 255).all() and len(np.unique(draws.sum((1, 2, 3)))) == 1


def test_letters_grow():
    black = np.zeros((3, 40, 120, 3), "uint8")
    grown = numpy(edit.Text("Hello", edit.Keyframes({0: 10, 2: 30}))(black)).astype(float)
    alone = [numpy(edit.Text("Hello", size)(black[:1])).sum() for size in (10, 20, 30)]
    np.testing.assert_allclose(grown.sum((1, 2, 3)), alone, rtol=0.15)
    with pytest.raises(VgzooError, match="make it smaller"):
        edit.Text("Hello", edit.Keyframes({0: 10, 2: 200}))(black)


def test_words_are_drawn_where_they_are_wanted():
    black = np.zeros((2, 40, 120, 3), "uint8")
    seen = numpy(edit.Text("Hello", 16, "#ff0000", x=0, y=0)(black))
    assert seen[..., 0].max() > 200 and seen[..., 1:].max() == 0
    assert seen[:, 25:].max() == 0 and seen[:, :, 80:].max() == 0
    faint = numpy(edit.Text("Hello", 16, opacity=0.3)(black))
    assert 0 < faint.max() <= 77


@pytest.mark.parametrize(
    "wrong, line",
    [
        (lambda: edit.Overlay("none.png"), "no such file"),
        (lambda: edit.Overlay(FULL, mode="multipli"), "did you mean 'multiply'"),
        (lambda: edit.Overlay(FULL)(CLIP[:, :10]), "make it smaller"),
        (lambda: edit.Overlay(CLIP[None]), "wanted one clip"),
        (lambda: edit.Text("Hello", 90)(CLIP), "make it smaller"),
        (lambda: edit.Text(" "), "wanted words"),
        (lambda: edit.Text("x", font="none.ttf"), "cannot read the font"),
        (lambda: edit.PictureInPicture(FULL, 2), "wanted 0.01 to 1"),
        (lambda: edit.Watermark(FULL, corner="left"), "bottom-left"),
        (lambda: edit.Watermark(FULL, margin=1), "wanted 0 to 0.4"),
    ],
)
def test_mistakes_are_one_line(wrong, line):
    with pytest.raises(VgzooError, match=line) as error:
        wrong()
    assert "\n" not in str(error.value)
