"""The camera: what it shows, where it may look, and the motion that it says it makes."""

import numpy as np
import pytest

from vgzoo import random
from vgzoo.data import camera
from vgzoo.layers.warp import warp

SIDE, IMAGE = 24, 36


def landscapes(count: int, side: int) -> np.ndarray:
    """Smooth colour images, uint8 `(count, side, side, 3)`: a few waves each."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 2), -1)
    waves = rng.uniform(-0.35, 0.35, (count, 3, 4, 2))
    height = np.sin(np.einsum("yxd,ncwd->nyxcw", grid, waves) + np.arange(4)).sum(-1)
    return np.round(127.5 + 30 * height).clip(0, 255).astype("uint8")


def drawn(count: int = 8, frames: int = 12, seed: int = 0, start: int = 0, side: int = SIDE):
    bank = landscapes(5, IMAGE), np.arange(5, dtype="int32")
    return camera.draw(bank, seed=seed, start=start, count=count, frames=frames, side=side)


def still(x: float, y: float, scale: float = 1.0) -> list:
    """A view without rotation, its first pixel at (x, y) of the image."""
    return [[scale, 0, x], [0, scale, y]]


def as_views(*views) -> np.ndarray:
    return np.array([views], "float32")


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """One pixel, by the definition."""
    left, top = int(x), int(y)
    right, down = min(left + 1, len(image) - 1), min(top + 1, len(image) - 1)
    a, b = x - left, y - top
    upper = image[top, left] * (1 - a) + image[top, right] * a
    return upper * (1 - b) + (image[down, left] * (1 - a) + image[down, right] * a) * b


# -- frames --------------------------------------------------------------------------------


def test_a_frame_shows_the_image_where_its_view_looks():
    d = drawn(2, 3)
    clip = np.asarray(camera.render(d["image"], d["views"], SIDE))
    assert clip.shape == (2, 3, SIDE, SIDE, 3) and clip.dtype == np.uint8
    for b, t, y, x in np.ndindex(2, 3, 4, 4):
        y, x = 7 * y + 1, 7 * x
        wanted = bilinear(d["image"][b].astype(float), *(d["views"][b, t] @ (x, y, 1)))
        np.testing.assert_allclose(clip[b, t, y, x], wanted, atol=0.51)


def test_a_view_on_whole_pixels_is_a_crop():
    image = np.random.default_rng(0).integers(0, 256, (1, IMAGE, IMAGE, 3), "uint8")
    clip = np.asarray(camera.render(image, as_views(still(0, 0), still(12, 5)), SIDE))
    np.testing.assert_array_equal(clip[0, 0], image[0, :SIDE, :SIDE])
    np.testing.assert_array_equal(clip[0, 1], image[0, 5 : 5 + SIDE, 12 : 12 + SIDE])


def test_the_renderer_of_every_backend_shows_the_same():
    d = drawn(6, 5)
    here = np.asarray(camera.render(d["image"], d["views"], SIDE)).astype(int)
    image = d["image"].astype("float32") + np.float32(0.5)
    there = np.asarray(camera.sample_anywhere(image, d["views"], SIDE)).astype(int)
    assert np.abs(here - there).max() <= 1
    assert (here != there).mean() < 1e-3  # a rounding error at a half


# -- paths ---------------------------------------------------------------------------------


def test_the_camera_never_looks_beyond_the_image():
    views = drawn(500, 60)["views"]
    for x in (0, SIDE - 1):
        for y in (0, SIDE - 1):
            place = views @ np.array([x, y, 1], "float32")
            assert -1e-3 <= place.min() and place.max() <= IMAGE - 1 + 1e-3


def test_the_camera_pans_zooms_turns_and_shears():
    views = drawn(400, 40)["views"]
    linear = views[..., :2]
    zoom = np.sqrt(np.linalg.det(linear))
    assert np.ptp(zoom, axis=1).mean() > 0.1
    angle = np.arctan2(linear[..., 1, 0], linear[..., 0, 0])
    assert np.median(np.ptp(angle, axis=1)) > np.radians(2) and np.abs(angle).max() < np.radians(21)
    shear = (linear[..., 0] * linear[..., 1]).sum(-1) / np.linalg.det(linear)
    assert np.median(np.ptp(shear, axis=1)) > 0.01
    centre = views @ np.array([(SIDE - 1) / 2, (SIDE - 1) / 2, 1], "float32")
    assert np.median(np.ptp(centre, axis=1)) > 4


def test_the_camera_moves_smoothly():
    """From frame to frame a corner's speed changes by much less than its greatest."""
    corner = drawn(300, 60)["views"][..., 2]
    speed = np.diff(corner, axis=1)
    change = np.diff(speed, axis=1)
    assert np.abs(change).max() < 0.5 * np.abs(speed).max()


def test_longer_clips_begin_as_shorter_ones_and_numbers_do_not_depend_on_the_batch():
    whole = drawn(8, 40, seed=3)
    for part, begin in ((drawn(8, 7, seed=3), 0), (drawn(2, 7, seed=3, start=5), 5)):
        stop = begin + len(part["views"])
        np.testing.assert_array_equal(part["views"], whole["views"][begin:stop, :7])
        np.testing.assert_array_equal(part["image"], whole["image"][begin:stop])
        np.testing.assert_array_equal(part["label"], whole["label"][begin:stop])
    assert not np.array_equal(drawn(8, 40, seed=4)["views"], whole["views"])


# -- motion --------------------------------------------------------------------------------


def test_the_flow_of_a_pan_is_the_same_everywhere():
    views = as_views(still(2, 5), still(5.5, 4), still(5.5, 4))
    flow, visible = (np.asarray(a) for a in camera.flow(views, SIDE))
    assert flow.shape == (1, 2, SIDE, SIDE, 2) and visible.shape == (1, 2, SIDE, SIDE)
    # The camera goes right and up, so the scene goes left and down.
    np.testing.assert_allclose(flow[0, 0], np.broadcast_to([-3.5, 1], (SIDE, SIDE, 2)), atol=1e-5)
    wanted = np.zeros((SIDE, SIDE), "uint8")
    wanted[: SIDE - 1, 4:] = 1
    np.testing.assert_array_equal(visible[0, 0], wanted)
    assert not flow[0, 1].any() and visible[0, 1].all()


def test_the_flow_of_a_zoom_points_away_from_its_centre():
    middle = (SIDE - 1) / 2
    centre = 17.5
    views = as_views(*(still(centre - s * middle, centre - s * middle, s) for s in (1.2, 0.8)))
    flow, visible = (np.asarray(a) for a in camera.flow(views, SIDE))
    away = np.arange(SIDE) - middle
    np.testing.assert_allclose(flow[0, 0, ..., 0], np.tile(away / 2, (SIDE, 1)), atol=1e-4)
    np.testing.assert_allclose(flow[0, 0, ..., 1].T, np.tile(away / 2, (SIDE, 1)), atol=1e-4)
    inside = np.abs(away) * 1.5 <= middle
    np.testing.assert_array_equal(visible[0, 0], np.outer(inside, inside))


def test_the_next_frame_fetched_along_the_flow_is_this_frame_where_it_is_visible():
    d = drawn(16, 10)
    clip = np.asarray(camera.render(d["image"], d["views"], SIDE)).astype("float32")
    flow, visible = (np.asarray(a) for a in camera.flow(d["views"], SIDE))
    assert np.abs(flow).max() > 0.8 and 0.6 < visible.mean() < 1
    pairs = (-1, SIDE, SIDE)
    fetched, inside = warp(clip[:, 1:].reshape(*pairs, 3), flow.reshape(*pairs, 2))
    error = np.abs(np.asarray(fetched) - clip[:, :-1].reshape(*pairs, 3)).mean(-1)
    seen = visible.reshape(pairs) == 1
    still_error = np.abs(clip[:, 1:] - clip[:, :-1]).mean()
    assert error[seen].mean() < 0.6 < 2 < still_error
    np.testing.assert_array_equal(seen, np.asarray(inside))


@pytest.mark.parametrize("factor", [2, 4])
def test_flow_and_frames_agree_at_a_smaller_size_too(factor):
    d = drawn(6, 6)
    views = np.asarray(camera.coarser(d["views"], factor))
    full, _ = camera.flow(d["views"], SIDE)
    small, _ = camera.flow(views, SIDE // factor)
    mean = np.asarray(full).reshape(6, 5, SIDE // factor, factor, SIDE // factor, factor, 2)
    np.testing.assert_allclose(np.asarray(small), mean.mean((3, 5)) / factor, atol=1e-4)


def test_every_uniform_number_gives_a_path():
    """The ends of [0, 1) too."""
    for value in (0.0, np.nextafter(1, 0)):
        path = camera.path(np.full((1, camera.DRAWS - 1), value), 50, IMAGE, SIDE)
        assert np.isfinite(path).all()
    table = random.uniform_rows(0, 0, 3, camera.DRAWS - 1)
    assert camera.path(table, 1, IMAGE, SIDE).shape == (3, 1, 2, 3)
