"""One clip after another."""

import numpy as np
import pytest
from edit_helpers import numpy

from vgzoo import edit, video
from vgzoo.errors import VgzooError

DARK = np.full((5, 6, 8, 3), 20, "uint8")
LIGHT = np.full((4, 6, 8, 3), 220, "uint8")


def test_a_cross_fade_goes_evenly_from_one_to_the_other():
    faded = numpy(edit.CrossFade(LIGHT, 3)(DARK))
    assert faded[:, 0, 0, 0].tolist() == [20, 20, 70, 120, 170, 220]
    cut = numpy(edit.CrossFade(LIGHT, 0)(DARK))
    np.testing.assert_array_equal(cut, np.concatenate([DARK, LIGHT]))


@pytest.mark.parametrize("side", ["left", "right", "up", "down"])
def test_a_wipe_moves_a_border(side):
    layer = edit.Wipe(LIGHT, 1, side=side)
    middle = numpy(layer(DARK))[4]
    new = {
        "right": middle[:, :4],
        "left": middle[:, 4:],
        "down": middle[:3],
        "up": middle[3:],
    }[side]
    assert (new == 220).all() and (middle == 220).mean() == 0.5 and (middle == 20).mean() == 0.5


def test_a_file_may_follow(tmp_path):
    path = video.write(tmp_path / "light.webp", LIGHT, scale=1)
    layer = edit.CrossFade(str(path), 2)
    wanted = numpy(edit.CrossFade(LIGHT, 2)(DARK))
    np.testing.assert_array_equal(layer.host(DARK), wanted)
    np.testing.assert_array_equal(numpy(layer(DARK)), wanted)


@pytest.mark.parametrize(
    "wrong, line",
    [
        (lambda: edit.CrossFade(LIGHT, 5)(DARK), "no more than either has"),
        (lambda: edit.CrossFade(LIGHT[:, :4], 1)(DARK), "resize one of them"),
        (lambda: edit.Wipe(LIGHT, 1, "across"), "wanted left"),
        (lambda: edit.CrossFade("none.mp4"), "no such file"),
    ],
)
def test_mistakes_are_one_line(wrong, line):
    with pytest.raises(VgzooError, match=line) as error:
        wrong()
    assert "\n" not in str(error.value)
