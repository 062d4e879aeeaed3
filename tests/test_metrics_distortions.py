"""What breaks clips does so by the amount asked, and always in the same way."""

import numpy as np
import pytest

from vgzoo.errors import VgzooError
from vgzoo.metrics import distortions
from vgzoo.metrics.distortions import LEVELS, distort, independent_pixels

FRAMES = 16


@pytest.fixture(scope="module")
def clips() -> np.ndarray:
    """Smooth random clips, longer than what is made of them."""
    rng = np.random.default_rng(0)
    shape = (6, distortions.frames_needed(FRAMES), 24, 24, 3)
    return distortions.blurred(rng.integers(0, 256, shape, "uint8"), 1.0)


@pytest.mark.parametrize("kind", LEVELS)
def test_a_clip_depends_on_its_seed_and_number_alone(clips, kind):
    level = LEVELS[kind][1]
    whole = distort(clips, kind, level, frames=FRAMES, seed=3)
    assert whole.shape == (6, FRAMES, 24, 24, 3) and whole.dtype == np.uint8
    part = distort(clips[2:4], kind, level, frames=FRAMES, seed=3, start=2)
    np.testing.assert_array_equal(part, whole[2:4])
    assert (whole != clips[:, :FRAMES]).any()
    if kind in ("noise", "shuffle", "jitter"):
        assert (distort(clips, kind, level, frames=FRAMES, seed=4) != whole).any()


@pytest.mark.parametrize("kind", LEVELS)
def test_a_higher_level_is_further_from_the_clip(clips, kind):
    right = clips[:, :FRAMES].astype(float)
    off = [np.abs(distort(clips, kind, v, frames=FRAMES) - right).mean() for v in LEVELS[kind]]
    # Frames of these clips have nothing in common: a wrong one is wrong at any speed or distance.
    off = off[:1] if kind == "speed" else off
    assert off[0] > 0 and (np.diff(off) > 0).all()


def test_blur_is_a_gaussian_of_that_width():
    point = np.zeros((1, 1, 41, 41, 1), "uint8")
    point[0, 0, 20, 20] = 255
    spread = distortions.blurred(point, 1.0)[0, 0, ..., 0]
    at = np.exp(-0.5 * np.arange(3) ** 2)
    np.testing.assert_allclose(spread[20, 20:23] / spread[20, 20], at, atol=0.03)
    flat = np.full((1, 2, 9, 9, 1), 90, "uint8")
    np.testing.assert_array_equal(distortions.blurred(flat, 2.0), flat)


def test_shuffling_keeps_every_frame_and_moves_the_share_asked(clips):
    for share in LEVELS["shuffle"]:
        made = distort(clips, "shuffle", share, frames=FRAMES)
        for got, had in zip(made, clips[:, :FRAMES], strict=True):
            assert {f.tobytes() for f in got} == {f.tobytes() for f in had}
            moved = sum((g != h).any() for g, h in zip(got, had, strict=True))
            assert moved == share * FRAMES


def test_freezing_holds_the_end(clips):
    made = distort(clips, "freeze", 0.5, frames=FRAMES)
    np.testing.assert_array_equal(made[:, :8], clips[:, :8])
    assert (made[:, 8:] == made[:, 7:8]).all()
    assert (distort(clips, "freeze", 1, frames=FRAMES) == clips[:, :1]).all()


def test_speed_takes_every_so_manieth_frame(clips):
    made = distort(clips, "speed", 2, frames=FRAMES)
    np.testing.assert_array_equal(made, clips[:, : 2 * FRAMES : 2])


def test_independent_pixels_keep_what_each_place_shows(clips):
    made = independent_pixels(clips[:, :2], seed=1)
    np.testing.assert_array_equal(np.sort(made, axis=0), np.sort(clips[:, :2], axis=0))
    assert (made != clips[:, :2]).mean() > 0.5


def test_what_cannot_be_broken_so_gets_one_line(clips):
    with pytest.raises(VgzooError, match="no distortion 'rain'; there are: blur"):
        distort(clips, "rain", 1, frames=FRAMES)
    with pytest.raises(VgzooError, match="speed 3 of 16 needs 46"):
        distort(clips[:, :20], "speed", 3, frames=FRAMES)
