"""A shaken scene, whose shaking is known, becomes steady; tensors and streams alike."""

import cv2
import keras
import numpy as np
import pytest
from edit_helpers import numpy

from vgzoo import edit
from vgzoo.edit.stabilise import motions, shifts
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(5)
PLANE = cv2.GaussianBlur(RNG.random((140, 150)).astype("float32"), (0, 0), 1.5)
PLANE = (PLANE - PLANE.min()) / np.ptp(PLANE)
SHAKE = np.array([(0, 0), (3, -2), (-1, 2), (2, 1), (-3, -1), (0, 3), (1, -2), (-2, 0)])


def scene(ways: np.ndarray, size: tuple[int, int] = (60, 70)) -> np.ndarray:
    """The plane seen through a window; its content moves by each way against the first."""
    frames = [PLANE[40 - y : 40 - y + size[0], 40 - x : 40 - x + size[1]] for x, y in ways]
    return (np.stack(frames)[..., None].repeat(3, -1) * 255).astype("uint8")


def test_shifts_are_found_to_a_part_of_a_pixel():
    clip = scene(SHAKE)[..., :1].astype("float32")[None] / 255
    found = numpy(shifts(keras.ops.convert_to_tensor(clip)))[0]
    np.testing.assert_allclose(found, np.diff(SHAKE, axis=0), atol=0.3)


def test_a_shaken_scene_becomes_steady():
    clip = scene(SHAKE)
    layer = edit.Stabilise(radius=8, zoom=1)
    steady, host = numpy(layer(clip)).astype(int), layer.host(clip).astype(int)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    before = np.abs(np.diff(clip[inner].astype(int), axis=0)).mean()
    after = np.abs(np.diff(steady[inner], axis=0)).mean()
    assert after < before / 4
    assert np.abs(steady - host).mean() < 1
    footage = edit.Footage(8, 25, lambda: iter([clip[:3], clip[3:4], clip[4:]]))
    short = edit.Stabilise(radius=2)
    streamed = np.concatenate(list(short.stream(footage).chunks()))
    assert np.abs(streamed.astype(int) - short.host(clip)).max() <= 1


TURNS = np.array([0, 2.0, -1.5, 1.0, -2.0, 1.5, 0, -1.0])  # degrees
ZOOMS = np.array([1, 1.03, 0.98, 1.02, 1.0, 0.97, 1.02, 1])


def unsteady(size: tuple[int, int] = (96, 110)) -> np.ndarray:
    """The plane before a camera that is shaken, turned and zoomed, by known amounts."""
    plane = cv2.resize(PLANE, None, fx=1.6, fy=1.6, interpolation=cv2.INTER_CUBIC)
    frames = []
    for shift, turn, zoom in zip(SHAKE, TURNS, ZOOMS, strict=True):
        middle = ((plane.shape[1] - 1) / 2, (plane.shape[0] - 1) / 2)
        matrix = cv2.getRotationMatrix2D(middle, -turn, zoom)  # OpenCV turns the other way
        matrix[:, 2] += shift + np.subtract([(size[1] - 1) / 2, (size[0] - 1) / 2], middle)
        frames.append(cv2.warpAffine(plane, matrix, size[::-1], flags=cv2.INTER_CUBIC))
    return (np.stack(frames)[..., None].repeat(3, -1).clip(0, 1) * 255).astype("uint8")


def test_turns_and_zooms_are_found_too():
    clip = unsteady()[..., :1].astype("float32")[None] / 255
    found = numpy(motions(keras.ops.convert_to_tensor(clip)))[0]
    np.testing.assert_allclose(np.rad2deg(found[:, 2]), np.diff(TURNS), atol=0.15)
    np.testing.assert_allclose(found[:, 3], np.diff(np.log(ZOOMS)), atol=0.003)


def test_a_camera_that_was_turned_and_zoomed_becomes_steady():
    clip = unsteady()
    layer = edit.Stabilise(radius=8, zoom=1)
    inner = (slice(None), slice(14, -14), slice(14, -14), 0)
    before = np.abs(np.diff(clip[inner].astype(int), axis=0)).mean()
    for steady in (numpy(layer(clip)), layer.host(clip)):
        assert np.abs(np.diff(steady[inner].astype(int), axis=0)).mean() < before / 4


def test_a_still_scene_stays_and_a_pan_goes_on():
    still = scene(np.zeros((4, 2), int))
    np.testing.assert_array_equal(numpy(edit.Stabilise(zoom=1)(still)), still)
    pan = scene(np.stack([2 * np.arange(9), np.zeros(9, int)], 1))
    steady = numpy(edit.Stabilise(radius=2, zoom=1)(pan)).astype(int)
    assert np.abs(steady[2:-2] - pan[2:-2]).mean() < 2  # an even motion is left alone
    with pytest.raises(VgzooError, match="radius=0"):
        edit.Stabilise(0)
