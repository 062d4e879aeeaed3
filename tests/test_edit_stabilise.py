"""A shaken scene, whose shaking is known, becomes steady; tensors and streams alike."""

import cv2
import keras
import numpy as np
import pytest

from vgzoo import edit
from vgzoo.edit.stabilise import shifts
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(5)
PLANE = cv2.GaussianBlur(RNG.random((140, 150)).astype("float32"), (0, 0), 1.5)
PLANE = (PLANE - PLANE.min()) / np.ptp(PLANE)
SHAKE = np.array([(0, 0), (3, -2), (-1, 2), (2, 1), (-3, -1), (0, 3), (1, -2), (-2, 0)])


def scene(ways: np.ndarray, size: tuple[int, int] = (60, 70)) -> np.ndarray:
    """The plane seen through a window; its content moves by each way against the first."""
    frames = [PLANE[40 - y : 40 - y + size[0], 40 - x : 40 - x + size[1]] for x, y in ways]
    return (np.stack(frames)[..., None].repeat(3, -1) * 255).astype("uint8")


def numpy(x) -> np.ndarray:
    return keras.ops.convert_to_numpy(x)


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


def test_a_still_scene_stays_and_a_pan_goes_on():
    still = scene(np.zeros((4, 2), int))
    np.testing.assert_array_equal(numpy(edit.Stabilise(zoom=1)(still)), still)
    pan = scene(np.stack([2 * np.arange(9), np.zeros(9, int)], 1))
    steady = numpy(edit.Stabilise(radius=2, zoom=1)(pan)).astype(int)
    assert np.abs(steady[2:-2] - pan[2:-2]).mean() < 2  # an even motion is left alone
    with pytest.raises(VgzooError, match="radius=0"):
        edit.Stabilise(0)
