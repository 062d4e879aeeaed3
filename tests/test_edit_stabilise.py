"""A shaken scene, whose shaking is known, becomes steady; tensors and streams alike."""

import cv2
import numpy as np
import pytest
from edit_helpers import numpy
from keras import ops

from vgzoo import edit
from vgzoo.edit.motion import followed_corners, motions, shifts
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(5)
PLANE = cv2.GaussianBlur(RNG.random((240, 280)).astype("float32"), (0, 0), 2)
PLANE = (PLANE - PLANE.min()) / np.ptp(PLANE)
SIZE = 96, 120
FRAMES = 24


def camera(count: int, seed: int = 0) -> np.ndarray:
    """float64 (count, 4): a shaking way: pixels right and down, a turn in radians, log growth."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, 4)) * [3, 3, np.radians(1.5), 0.015]


def matrix(motion: np.ndarray) -> np.ndarray:
    """2×3, about the frame's middle."""
    right, down, turn, growth = motion
    middle = (np.array(SIZE[::-1]) - 1) / 2
    cos, sin = np.exp(growth) * np.cos(turn), np.exp(growth) * np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, middle - linear @ middle + [right, down]])


def scene(ways: np.ndarray) -> np.ndarray:
    """The plane as it is seen when its content has moved by each way, about the middle."""
    top, left = (np.array(PLANE.shape) - SIZE) // 2
    into = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])  # the plane's pixels to the frame's
    frames = [
        cv2.warpAffine(PLANE, matrix(way) @ into, SIZE[::-1], flags=cv2.INTER_CUBIC) for way in ways
    ]
    return (np.stack(frames)[..., None].repeat(3, -1).clip(0, 1) * 255).round().astype("uint8")


def shake(clip: np.ndarray) -> float:
    """By how many pixels nine patches move from a frame to the next one, on average."""
    moved = []
    for first, then in zip(clip[..., 0], clip[1:, ..., 0], strict=False):
        for y in (24, 48, 72):
            for x in (30, 60, 90):
                near, far = (
                    cv2.resize(frame[y - r : y + r, x - r : x + r], None, fx=4, fy=4)
                    for frame, r in ((first, 8), (then, 20))
                )
                score = cv2.matchTemplate(far, near, cv2.TM_CCOEFF_NORMED)
                place = np.unravel_index(score.argmax(), score.shape)
                moved.append(np.hypot(*(np.array(place) / 4 - 12)))
    return float(np.mean(moved))


def by_both(layer: edit.Edit, clip: np.ndarray) -> list[np.ndarray]:
    return [numpy(layer(clip)), layer.host(clip)]


def found_in(clip: np.ndarray) -> list[np.ndarray]:
    """The motions between its frames, by tensors and by OpenCV."""
    grey = clip[..., :1]
    tensor = ops.convert_to_tensor(grey[None].astype("float32") / 255)
    pairs = zip(grey[..., 0], grey[1:, ..., 0], strict=False)
    return [numpy(motions(tensor))[0], np.stack([followed_corners(*pair) for pair in pairs])]


def test_shifts_are_found_to_a_part_of_a_pixel():
    ways = camera(8) * [1, 1, 0, 0]
    clip = ops.convert_to_tensor(scene(ways)[None, ..., :1].astype("float32") / 255)
    np.testing.assert_allclose(numpy(shifts(clip))[0], np.diff(ways[:, :2], axis=0), atol=0.3)


def test_motions_are_found_and_their_inverses():
    ways = np.stack([np.zeros(4), camera(1)[0], np.zeros(4)])
    for found in found_in(scene(ways)):
        np.testing.assert_allclose(found[0, :2], ways[1, :2], atol=0.15)
        np.testing.assert_allclose(found[0, 2:], ways[1, 2:], atol=0.002)
        np.testing.assert_allclose(found[1, 2:], -ways[1, 2:], atol=0.002)


def test_on_files_what_moves_by_itself_does_not_count():
    ways = np.stack([np.zeros(4), camera(1)[0]])
    clip = scene(ways)
    for frame, left in zip(clip, (20, 32), strict=True):
        frame[30:62, left : left + 32] = scene(np.full((1, 4), 0.3))[0, 30:62, 30:62]
    found = followed_corners(*clip[..., 0])
    np.testing.assert_allclose(found[:2], ways[1, :2], atol=0.15)
    np.testing.assert_allclose(found[2:], ways[1, 2:], atol=0.002)


def test_across_a_cut_and_in_an_even_picture_the_camera_stands_still():
    other = scene(np.zeros((1, 4)))[:, ::-1, ::-1]
    cut = np.concatenate([scene(np.zeros((1, 4))), other, np.full_like(other, 90), other * 0])
    for found in found_in(cut):
        assert (found == 0).all()


def test_of_the_shake_a_quarter_is_left_at_most():
    clip = scene(camera(FRAMES))
    before = shake(clip)
    assert before > 2
    layer = edit.Stabilise(radius=FRAMES, zoom=1)
    for steady in by_both(layer, clip):
        assert shake(steady) < before / 4
    tensor, host = by_both(edit.Stabilise(radius=4, zoom=1.1), clip)
    assert np.abs(tensor.astype(int) - host).mean() < 2


def test_a_stream_is_the_clip_at_once():
    clip = scene(camera(8))
    footage = edit.Footage(8, 25, lambda: iter([clip[:3], clip[3:4], clip[4:]]))
    layer = edit.Stabilise(radius=2, zoom=edit.Keyframes({0: 1, 7: 1.2}))
    np.testing.assert_array_equal(
        np.concatenate([*layer.stream(footage).chunks()]), layer.host(clip)
    )


def test_a_still_scene_stays_and_an_even_move_goes_on():
    still = scene(np.zeros((4, 4)))
    for steady in by_both(edit.Stabilise(zoom=1), still):
        np.testing.assert_array_equal(steady, still)
    move = scene(np.arange(9)[:, None] * np.array([1.5, 1, 0.01, 0.005]))
    for steady in by_both(edit.Stabilise(radius=2, zoom=1), move):
        assert np.abs(steady[2:-2].astype(int) - move[2:-2]).mean() < 2
    with pytest.raises(VgzooError, match="radius=0"):
        edit.Stabilise(0)
