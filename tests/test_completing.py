"""Holes filled with what other frames show of them, and colours that follow the motion."""

import numpy as np
import pytest
from keras import ops
from scipy import ndimage
from test_restorer import smooth, with_known
from tiny import TINY

from vgzoo import models
from vgzoo.layers import damage
from vgzoo.layers.aligning import Aligner, _misfit
from vgzoo.layers.carrying import carried
from vgzoo.layers.registering import registered
from vgzoo.layers.steadying import steadied
from vgzoo.layers.surroundings import completed, planar
from vgzoo.models._completing import _windows

RNG = np.random.default_rng(0)


def panned(frames: int, size: tuple[int, int], move: tuple[float, float]) -> np.ndarray:
    """A camera over a smooth picture, `(frames, H, W, 3)` in [0, 1]; by so much down and right."""
    whole = smooth(1, 1, *(n + 40 for n in size), 3)[0, 0]
    shifts = [(-move[0] * t, -move[1] * t, 0) for t in range(frames)]
    shown = [ndimage.shift(whole, shift, order=3, mode="nearest") for shift in shifts]
    return np.stack([x[20:-20, 20:-20] for x in shown]).astype("float32").clip(0, 1)


def test_large_frames_are_aligned_at_half_their_size_first():
    """By networks that have learned nothing: motion that is too much for the last step is found."""
    clip = with_known(panned(2, (136, 152), (2.5, -1.5)))
    frame, near = clip[:1], clip[None, 1:]
    offsets, style = np.ones((1, 1), "float32"), np.zeros((1, 3), "float32")
    layer = Aligner(1, (4, 4, 4), (1, 1, 1))
    found = ops.convert_to_numpy(layer(frame, near, offsets, style)[1])
    alone = ops.convert_to_numpy(registered(frame, near[0], np.zeros_like(found), offsets))
    inner = np.s_[:, 12:-12, 12:-12]
    found, alone = (np.abs(x - np.array([1.5, -2.5]))[inner].mean() for x in (found, alone))
    assert found < 0.1 < alone


@pytest.mark.parametrize("known", [1, 0])
def test_motion_that_is_right_fits_best(known):
    """Whether the frame is there or not; of neighbours that are not known none does."""
    seen = with_known(panned(3, (40, 48), (1.5, -2.5)))
    frame, near = known * seen[None, 1], seen[[0, 2]]
    offsets = np.array([[-1, 1]], "float32")
    right = np.array([-2.5, 1.5, 2.5, -1.5], "float32") + np.zeros((1, 40, 48, 1), "float32")
    off = {
        share: ops.convert_to_numpy(_misfit(frame, near, share * right, offsets))
        for share in (0.5, 1, 1.5)
    }
    inside = np.s_[:, 12:-12, 12:-12]
    assert (off[1] < np.minimum(off[0.5], off[1.5]) / 2)[inside].all()
    assert off[1][inside].mean() < 0.02
    unknown = ops.convert_to_numpy(_misfit(frame, 0 * near, right, offsets))
    np.testing.assert_allclose(unknown, 0.2, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 48), (21, 35)])
def test_values_in_a_hole_go_on_from_around_it(size):
    """Those of a plane are met almost; what is known stays."""
    y, x = np.mgrid[: size[0], : size[1]].astype("float32")
    plane = np.stack([0.1 * x - 0.05 * y, 1 + 0 * x], axis=-1)[None]
    known = np.ones((1, *size, 1), "float32")
    known[:, 6:15, 9:20] = 0
    found = ops.convert_to_numpy(completed(plane * known, known))
    np.testing.assert_allclose(found * known, plane * known, atol=1e-6)
    assert np.abs(found - plane).max() < 0.25 < np.ptp(plane[0, 6:15, 9:20, 0]) / 4
    np.testing.assert_allclose(found[..., 1], 1, atol=1e-5)


def test_a_membrane_is_smoother_than_what_is_only_pulled_and_pushed():
    """Nearly a plane where a plane surrounds the hole."""
    y, x = np.mgrid[:40, :40].astype("float32")
    plane = (0.05 * x + 0.02 * y)[None, ..., None]
    known = np.ones_like(plane)
    known[:, 10:30, 12:28] = 0
    rough, smooth = (
        np.abs(ops.convert_to_numpy(completed(plane * known, known, n)) - plane) for n in (0, 8)
    )
    assert smooth.max() < rough.max() / 2 and smooth.mean() < rough.mean() / 2


def test_motion_in_a_hole_is_that_of_most_around_it():
    """A camera that turns, and a thing beside the hole that goes another way."""
    y, x = np.mgrid[:40, :48].astype("float32")
    camera = np.stack([0.02 * (y - 20) + 1, -0.02 * (x - 24) - 0.5], axis=-1)[None]
    moving, known = camera.copy(), np.ones((1, 40, 48, 1), "float32")
    moving[:, 5:20, 30:40] = (-3, 4)
    known[:, 12:30, 12:30] = 0
    found = ops.convert_to_numpy(planar(moving * known, known))
    np.testing.assert_allclose(found * known, moving * known, atol=1e-5)
    assert np.abs(found - camera)[known[..., 0] == 0].max() < 0.1


@pytest.mark.parametrize("wrong", [0, 0.6])
def test_a_hole_is_filled_with_what_other_frames_show(wrong):
    """Where the motion is known, or is known but for some of a pixel in each frame."""
    clip = panned(9, (48, 48), (0.5, 1.5))
    seen = with_known(clip)
    seen[4, 16:32, 18:30] = 0
    seen[:, 2:6, 2:6] = 0  # for all frames the same: some is never seen
    sure = np.ones((1, 48, 48, 1), "float32")
    lead = sure * np.array([-1.5 + wrong, -0.5], "float32")
    ways = {step: np.concatenate([lead * step, sure], axis=-1) for step in (1, -1)}
    sides = [[(ways[step], seen[None, 4 + step * k]) for k in range(1, 5)] for step in (1, -1)]
    made = ops.convert_to_numpy(carried(seen[None, 4], sides))[0]
    known = seen[4, ..., 3:] > 0
    np.testing.assert_array_equal(made * known, seen[4] * known)
    inside = np.s_[17:31, 19:29]
    assert (made[inside][..., 3] == 1).all() and made[16, 18, 3] == 0  # the rim is left
    apart = np.abs((made[inside][..., :3] + 1) / 2 - clip[4][inside])
    assert apart.mean() < 0.01 < np.abs(clip[4][inside] - clip[3][inside]).mean() / 3


def test_what_no_frame_shows_stays_a_hole():
    seen = with_known(np.repeat(panned(1, (32, 32), (0, 0)), 5, axis=0))
    seen[:, 10:20, 10:20] = 0
    still = np.zeros((1, 32, 32, 3), "float32")
    sides = [[(still, seen[None, 2 + step * k]) for k in (1, 2)] for step in (1, -1)]
    made = ops.convert_to_numpy(carried(seen[None, 2], sides))
    np.testing.assert_array_equal(made[0], seen[2])


def test_a_network_that_has_learned_nothing_follows_a_slow_camera_behind_a_hole():
    """What moves in front is removed, in frames larger than the windows that are looked through."""
    model = models.build("restorer", **TINY["restorer"])
    clip = (255 * panned(7, (160, 136), (0.4, -0.8))).round().astype("uint8")
    hole = np.zeros(clip.shape[:3], bool)
    for t in range(7):
        hole[t, 60:72, 20 + 12 * t : 30 + 12 * t] = True
    gone = np.where(hole[..., None], 0, clip).astype("uint8")
    made = model.inpaint(gone, hole)
    np.testing.assert_array_equal(made[~hole], clip[~hole])
    inside = ndimage.binary_erosion(hole, np.ones((1, 3, 3)))
    assert np.abs(made.astype(int) - clip)[inside].mean() < 4
    windows = _windows(hole, list(range(7)))
    for t, (rows, columns) in windows.items():
        assert rows.stop - rows.start == 96 and columns.stop - columns.start == 96
        assert hole[t, rows, columns].sum() == hole[t].sum() and columns.start >= 0


def test_colours_are_steadied_along_the_motion():
    """What differs from frame to frame is drawn together; what is bright stays as bright."""
    still = np.repeat(smooth(1, 1, 24, 32, 3), 5, axis=1)[0]
    grey = still @ damage.LUMA
    noisy = np.repeat(grey[..., None], 3, axis=-1) + RNG.normal(scale=0.05, size=still.shape)
    noisy += (grey - noisy @ damage.LUMA)[..., None]
    seen = np.concatenate([noisy, np.ones_like(grey[..., None])], axis=-1).astype("float32")
    near = np.stack([seen[t] for t in (0, 1, 3, 4)])
    nowhere = np.zeros((24, 32, 8), "float32")
    frame = np.concatenate([seen[2], nowhere], axis=-1)[None]
    made = ops.convert_to_numpy(steadied(frame, near[None]))[0]
    np.testing.assert_allclose(made @ damage.LUMA, grey[2], atol=1e-5)
    before, after = (np.std(x - grey[2][..., None]) for x in (noisy[2], made))
    assert after < before / np.sqrt(5) / 2  # of five frames, and of what is side by side


def test_steadied_colours_stay_on_their_side_of_an_edge():
    """And are in proportion to how bright a thing is."""
    left, right = np.array([0.3, 0.2, 0.1]), np.array([0.5, 0.8, 0.9])
    x = np.arange(32)[:, None]
    frame = np.where(x < 16, left, right) * np.ones((24, 1, 1))
    seen = np.concatenate([frame, np.ones((24, 32, 1))], axis=-1).astype("float32")
    near = np.repeat(0.9 * seen[None], 4, axis=0)  # darker, so that differences would be less
    near[..., 3] = 1
    moved = np.concatenate([seen, np.zeros((24, 32, 8), "float32")], axis=-1)
    made = ops.convert_to_numpy(steadied(moved[None], near[None]))[0]
    assert np.abs(made - frame).max() < 0.004
