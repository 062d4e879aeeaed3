"""Filters and edges against OpenCV, and along time against NumPy."""

import cv2
import numpy as np
import pytest
from edit_helpers import close, luma, numpy

from vgzoo import edit
from vgzoo.errors import VgzooError

RNG = np.random.default_rng(3)
CLIP = RNG.integers(0, 256, (2, 20, 30, 3), "uint8")
CLIP[1] = cv2.GaussianBlur(CLIP[1], (0, 0), 2)


@pytest.mark.parametrize(
    "layer, by_opencv",
    [
        (edit.Blur(1.5), lambda f: cv2.GaussianBlur(f.astype("float32"), (11, 11), 1.5)),
        (edit.BoxBlur(2), lambda f: cv2.blur(f, (5, 5))),
        (edit.Median(1), lambda f: cv2.medianBlur(f, 3)),
        (edit.Median(2), lambda f: cv2.medianBlur(f, 5)),
        (edit.Bilateral(2.0, 0.2, 3), lambda f: cv2.bilateralFilter(f, 7, 51, 2.0)),
        (edit.MotionBlur(5), lambda f: edit.MotionBlur(5).host(f[None])[0]),
        (edit.Edges(1, "laplacian"), lambda f: np.abs(cv2.Laplacian(luma(f), cv2.CV_32F))),
        (edit.Edges(0.5), lambda f: 0.5 * np.hypot(*(cv2.Sobel(luma(f), 5, *d) for d in XY))),
    ],
    ids=lambda layer: getattr(layer, "name", ""),
)
def test_filters_are_those_of_opencv(layer, by_opencv):
    wanted = np.stack([by_opencv(frame) for frame in CLIP]).clip(0, 255)
    wanted = wanted if wanted.ndim == 4 else wanted[..., None].repeat(3, -1)
    close(layer(CLIP), np.rint(wanted))
    close(layer.host(CLIP), np.rint(wanted))


XY = ((1, 0), (0, 1))


@pytest.mark.parametrize("sigma", [0, 1.5])
def test_contours_are_those_of_opencv_to_the_pixel(sigma):
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.2) for frame in CLIP])
    layer = edit.Canny(0.04, 0.12, sigma)
    for clip in (CLIP, smooth):
        grey = luma(clip)
        if sigma:
            grey = np.stack([cv2.GaussianBlur(frame, (11, 11), sigma) for frame in grey])
        grey = np.floor(grey + 0.5).astype("uint8")
        wanted = np.stack([cv2.Canny(frame, 10.2, 30.6, L2gradient=True) for frame in grey])
        for got in (numpy(layer(clip)), layer.host(clip)):
            assert (got == wanted[..., None]).mean() > 0.998  # the blur may round otherwise
        assert 0 < (wanted > 0).mean() < 0.5


@pytest.mark.parametrize(
    "same",
    [
        edit.Blur(0),
        edit.BoxBlur(0),
        edit.Median(0),
        edit.MotionBlur(1),
        edit.Sharpen(0),
        edit.Pixelate(1),
        edit.Bloom(0),
        edit.ChromaticAberration(0),
        edit.RadialBlur(0),
        edit.Deflicker(0),
        edit.Echo(0),
    ],
    ids=lambda layer: layer.edit_name,
)
def test_some_parameters_change_nothing(same):
    np.testing.assert_array_equal(numpy(same(CLIP)), CLIP)
    np.testing.assert_array_equal(same.host(CLIP), CLIP)


def test_blurs_keep_the_light_and_even_areas():
    even = np.full((1, 16, 16, 1), 90, "uint8")
    for layer in (
        edit.Blur(2),
        edit.BoxBlur(2),
        edit.MotionBlur(7, 30),
        edit.RadialBlur(0.3),
        edit.Bilateral(),
        edit.Sharpen(2),
        edit.Pixelate(5),
        edit.Denoise(),
    ):
        close(layer(even), even, 0)
    spot = np.zeros((1, 31, 31, 1), "float32")
    spot[0, 15, 15] = 1
    for layer in (edit.Blur(2), edit.MotionBlur(9, 45)):
        assert numpy(layer(spot)).sum() == pytest.approx(1, abs=1e-3)
    line = numpy(edit.MotionBlur(9, 90)(spot))[0, ..., 0]
    assert line[:, 15].sum() == pytest.approx(1, abs=1e-3)  # straight up and down


def test_a_blur_may_grow_along_the_clip():
    layer = edit.Blur(edit.Keyframes({0: 0, 1: 1.5}))
    close(layer(CLIP)[0], CLIP[0], 0)
    close(layer(CLIP)[1], edit.Blur(1.5)(CLIP)[1], 0)
    close(layer.host(CLIP), layer(CLIP))
    drawn = edit.Random("blur", sigma=(0.1, 3.0), seed=1)(CLIP, step=0)
    assert numpy(drawn).std() < CLIP.std()


def test_looks_do_what_they_say():
    assert (numpy(edit.Sharpen(1)(CLIP)).std((1, 2, 3)) > CLIP.std((1, 2, 3))).all()
    squares = numpy(edit.Pixelate(10)(CLIP))
    assert len(np.unique(squares[0].reshape(-1, 3), axis=0)) == 6
    close(squares[0, 0, 0], CLIP[0, :10, :10].reshape(-1, 3).mean(0))
    glow = numpy(edit.Bloom(1, 0.5, 2.0)(CLIP))
    assert (glow >= CLIP).all() and (glow > CLIP).any()
    fringe = numpy(edit.ChromaticAberration(0.05)(CLIP))
    assert (fringe[..., 1] == CLIP[..., 1]).all() and (fringe[..., 0] != CLIP[..., 0]).any()
    close(edit.Emboss()(np.full((1, 9, 9, 3), 77, "uint8")), np.full((1, 9, 9, 3), 128), 0)


def test_along_time():
    still = np.repeat(CLIP[:1], 7, 0)
    noisy = still.copy()
    noisy[3] = 255 - noisy[3]
    close(edit.TemporalMedian(1)(noisy), still, 0)
    noise = RNG.normal(0, 6, (7, 20, 30, 3))
    grain = (100 + noise).round().astype("uint8")
    assert numpy(edit.Denoise(0.1, 2)(grain))[3].std() < 0.6 * grain[3].std()
    jump = np.concatenate([np.full((3, 8, 8, 1), 20), np.full((3, 8, 8, 1), 220)]).astype("uint8")
    close(edit.Denoise(0.05, 2)(jump), jump, 0)
    flicker = (100 * (1 + 0.2 * (-1.0) ** np.arange(12))).reshape(-1, 1, 1, 1)
    flicker = np.broadcast_to(flicker, (12, 8, 8, 3)).astype("uint8")
    levels = numpy(edit.Deflicker()(flicker)).mean((1, 2, 3))
    assert np.abs(np.diff(levels)).max() < 6  # where it jumped by 40
    flash = np.zeros((6, 2, 2, 1), "uint8")
    flash[1] = 200
    trail = numpy(edit.Echo(0.5, 3, "lighten")(flash))[:, 0, 0, 0].tolist()
    assert trail == [0, 200, 100, 50, 25, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: edit.Blur(20)(CLIP),
        lambda: edit.Blur(-1),
        lambda: edit.BoxBlur(101),
        lambda: edit.Median(4),
        lambda: edit.BoxBlur(40)(CLIP),
        lambda: edit.Edges(kind="canny"),
        lambda: edit.Canny(0.5, 0.2),
        lambda: edit.Echo(kind="sum"),
        lambda: edit.TemporalMedian(0),
        lambda: edit.Pixelate(0),
    ],
)
def test_mistakes_are_one_line(wrong):
    with pytest.raises(VgzooError) as error:
        wrong()
    assert "\n" not in str(error.value)
