"""Geometry against SciPy's look-up, OpenCV's matrices and resizing, and plain trigonometry."""

import cv2
import keras
import numpy as np
import pytest
from edit_helpers import close, numpy
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from vgzoo import edit
from vgzoo.edit.sampling import sample
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(2)
NOISE = RNG.integers(0, 256, (2, 20, 30, 3), "uint8")
SMOOTH = np.stack([cv2.GaussianBlur(frame, (0, 0), 3) for frame in NOISE])


@pytest.mark.parametrize(
    "border, mode",
    [("edge", "nearest"), ("black", "grid-constant"), ("reflect", "mirror"), ("wrap", "grid-wrap")],
)
def test_looking_up_is_that_of_scipy(border, mode):
    x, y = RNG.uniform(-25, 50, (2, 2, 9, 11)).astype("float32")
    clip = (NOISE / 255).astype("float32")
    found = numpy(sample(keras.ops.convert_to_tensor(clip[None]), x[None], y[None], border))[0]
    for t in range(2):
        for c in range(3):
            wanted = map_coordinates(clip[t, ..., c], [y[t], x[t]], order=1, mode=mode)
            np.testing.assert_allclose(found[t, ..., c], wanted, atol=1e-4)


def test_rotation_and_affine_have_the_matrices_of_opencv():
    for degrees, zoom in [(30, 1.0), (-70, 1.6)]:
        matrix = cv2.getRotationMatrix2D((14.5, 9.5), degrees, zoom)
        wanted = [cv2.warpAffine(frame, matrix, (30, 20)) for frame in SMOOTH]
        for layer in (edit.Rotate(degrees, zoom), edit.Affine(degrees, zoom)):
            close(layer(SMOOTH), wanted, 3)
            close(layer.host(SMOOTH), wanted, 3)
    turned = numpy(edit.Rotate(90, border="edge")(NOISE[:, :, 5:25]))
    np.testing.assert_array_equal(turned, np.rot90(NOISE[:, :, 5:25], axes=(1, 2)))
    moved = numpy(edit.Affine(x=0.1, y=-0.2)(NOISE))
    np.testing.assert_array_equal(moved[:, :16, 3:], NOISE[:, 4:, :27])
    matrix = np.float32([[1, -np.tan(0.35), 9.5 * np.tan(0.35)], [0, 1, 0]])
    wanted = [cv2.warpAffine(frame, matrix, (30, 20)) for frame in SMOOTH]
    close(edit.Affine(shear=np.degrees(0.35))(SMOOTH), wanted, 3)


def test_perspective_has_the_matrix_of_opencv():
    goal = [[0.1, 0.05], [0.9, 0.2], [0.8, 0.95], [0.0, 0.7]]
    size = np.array([29, 19])
    square = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
    matrix = cv2.getPerspectiveTransform(np.float32(square * size), np.float32(goal * size))
    wanted = [cv2.warpPerspective(frame, matrix, (30, 20)) for frame in SMOOTH]
    layer = edit.Perspective(goal)
    close(layer(SMOOTH), wanted, 3)
    close(layer.host(SMOOTH), wanted, 3)
    close(edit.Perspective(goal, amount=0)(NOISE), NOISE)
    for wrong in ([[0, 0]] * 4, [1, 2], [[0, 0], [1, 1], [1, 0], [0, 1]]):
        with pytest.raises(VgzooError, match="perspective: corners"):
            edit.Perspective(wrong)


@pytest.mark.parametrize(
    "same",
    [
        edit.Rotate(0),
        edit.Affine(),
        edit.Lens(),
        edit.Elastic(0),
        edit.ZoomPan(),
        edit.Crop(),
        edit.Pad(),
        edit.Resize(height=20, width=30),
        edit.Letterbox(height=20, width=30),
    ],
    ids=lambda layer: layer.edit_name,
)
def test_some_parameters_change_nothing(same):
    np.testing.assert_array_equal(numpy(same(NOISE)), NOISE)
    np.testing.assert_array_equal(same.host(NOISE), NOISE)


def test_turns_and_mirrors_undo_each_other():
    for axis, array_axis in (("horizontal", 2), ("vertical", 1)):
        flip = edit.Flip(axis)
        np.testing.assert_array_equal(numpy(flip(NOISE)), np.flip(NOISE, array_axis))
        np.testing.assert_array_equal(flip.host(flip.host(NOISE)), NOISE)
    inner = (slice(None), slice(6, 14), slice(9, 21))
    back = numpy(edit.Rotate(-20)(edit.Rotate(20)(SMOOTH)))
    close(back[inner], SMOOTH[inner], 8)
    bent = numpy(edit.Lens(-0.1)(SMOOTH)).astype(int)
    assert np.abs(bent - SMOOTH).max() > 4
    for t in range(2):  # in the middle nothing moves, and what lies at r comes to r (1 + k r²)
        row = bent[t, 9:11].mean(0)
        assert np.abs(row[14:16] - SMOOTH[t, 9:11, 14:16].mean(0)).max() < 3


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic", "area"])
@pytest.mark.parametrize("size", [(10, 15), (8, 13), (40, 60), (33, 47)])
def test_resizing_is_that_of_opencv(method, size):
    if method == "area" and size[0] > 20:
        return
    flag = getattr(cv2, f"INTER_{method.upper()}")
    wanted = [cv2.resize(frame, size[::-1], interpolation=flag) for frame in NOISE]
    close(edit.Resize(*size, method=method)(NOISE), wanted)


def test_sizes_follow_the_aspect():
    assert numpy(edit.Resize(width=15)(NOISE)).shape == (2, 10, 15, 3)
    boxed = numpy(edit.Letterbox(40, 40, "#ff0000")(NOISE))
    assert boxed.shape == (2, 40, 40, 3) and (boxed[:, :6] == (255, 0, 0)).all()
    assert (boxed[:, 7:33, :, 1] > 0).any()
    np.testing.assert_array_equal(
        numpy(edit.Crop(2, 3, 10, 12)(edit.Pad(top=2, left=3)(NOISE[:, :10, :12]))),
        NOISE[:, :10, :12],
    )
    for wrong in (
        lambda: edit.Crop(0, 0, 99)(NOISE),
        lambda: edit.Crop(-1),
        lambda: edit.Resize(),
        lambda: edit.Resize(0),
        lambda: edit.Resize(8, method="best"),
        lambda: edit.Pad(1.5),
        lambda: edit.Flip("both"),
        lambda: edit.Rotate(border="none"),
        lambda: edit.Elastic(cells=0),
    ):
        with pytest.raises(VgzooError, match="came"):
            wrong()


def test_zoom_and_pan_look_at_a_part():
    part = numpy(edit.ZoomPan(2, x=0.25, y=0.75)(SMOOTH))
    wanted = [cv2.resize(f[10:, :15], (30, 20), interpolation=cv2.INTER_LINEAR) for f in SMOOTH]
    close(part[:, 1:, :-1], np.stack(wanted)[:, 1:, :-1])
    corner = numpy(edit.ZoomPan(2, x=0, y=1)(SMOOTH))  # it stays inside the frame
    np.testing.assert_array_equal(corner, part)
    keys = edit.Keyframes({0: 1.0, 1: 2.0})
    path = edit.ZoomPan(keys, x=0.25, y=0.75)
    close(path(SMOOTH)[0], SMOOTH[0])
    close(path(SMOOTH)[1], part[1], 0)
    close(path.host(SMOOTH), path(SMOOTH), 2)


@pytest.mark.parametrize("yaw, pitch, roll", [(0, 0, 0), (170, 0, 0), (30, 50, 0), (-80, -20, 25)])
def test_a_view_out_of_a_panorama_shows_what_lies_there(yaw, pitch, roll):
    """The panorama's colours are the directions (right, down, ahead) themselves."""
    latitude = (np.arange(180) + 0.5) / 180 * np.pi - np.pi / 2
    longitude = (np.arange(360) + 0.5) / 360 * 2 * np.pi - np.pi
    down = np.broadcast_to(np.sin(latitude)[:, None], (180, 360))
    flat = np.cos(latitude)[:, None]
    sphere = np.stack([flat * np.sin(longitude), down, flat * np.cos(longitude)], -1)
    view = edit.EquirectView(yaw, pitch, roll, fov=80, height=24, width=32)
    seen = numpy(view((sphere[None] / 2 + 0.5).clip(0, 1).astype("float32")))[0] * 2 - 1
    reach = np.tan(np.radians(40)) / 16
    x, y = np.meshgrid((np.arange(32) - 15.5) * reach, (np.arange(24) - 11.5) * reach)
    rays = np.stack([x, y, np.ones_like(x)], -1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    turn = Rotation.from_euler("Y", yaw, True) * Rotation.from_euler("X", pitch, True)
    turn = turn * Rotation.from_euler("Z", roll, True)
    wanted = turn.apply(rays.reshape(-1, 3)).reshape(rays.shape)
    np.testing.assert_allclose(seen, wanted, atol=0.01)


def test_elastic_bends_all_frames_alike_and_by_its_seed():
    clip = np.stack([SMOOTH[0]] * 2)
    bent = numpy(edit.Elastic(0.05, seed=1)(clip))
    np.testing.assert_array_equal(bent[0], bent[1])
    assert np.abs(bent.astype(int) - clip).max() > 4
    assert (bent != numpy(edit.Elastic(0.05, seed=2)(clip))).any()
    close(edit.Elastic(0.05, seed=1).host(clip), bent, 3)
