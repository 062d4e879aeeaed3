"""FCD: the Fréchet distance of an encoder's features, by one rule for clips of any size."""

import keras
import numpy as np
import pytest

from vgzoo import hub, models
from vgzoo.errors import VgzooError
from vgzoo.metrics import FCD, FrechetDistance
from vgzoo.models import clip_encoder


@pytest.fixture(scope="module")
def encoder():
    return models.build("clip_encoder", frames=4, stem=4, widths=(4, 4, 4), head=8)


def clips(seed: int, n: int = 24, side: int = 32, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 4, side, side, channels), "uint8")


def test_it_is_the_frechet_distance_of_the_features(encoder):
    real, made = clips(0), clips(1) // 2
    metric = FCD(encoder)
    for part in (slice(0, 10), slice(10, 24)):
        metric.update_state(real[part], made[part])
    plain = FrechetDistance()
    plain.update_state(encoder.features(real), encoder.features(made))
    assert metric.result() == pytest.approx(plain.result(), rel=1e-4)
    assert metric.counts == (24, 24) and metric.result() > 0
    metric.reset_state()
    metric.update_state(real, real)
    assert metric.result() == pytest.approx(0, abs=1e-9)


def test_grey_is_rgb_of_one_colour(encoder):
    grey = clips(2, channels=1)
    np.testing.assert_allclose(
        encoder.features(grey), encoder.features(grey.repeat(3, axis=-1)), atol=1e-5
    )


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_frames_of_any_size_become_64_pixels(side):
    flat = np.full((1, 2, side, side, 3), 51, "uint8")
    seen = keras.ops.convert_to_numpy(clip_encoder.network_input(flat, 64))
    assert seen.shape == (1, 2, 64, 64, 3)
    np.testing.assert_allclose(seen, 51 / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize("frames", [2, 3, 5, 8, 10])
def test_thirds_are_means_over_all_frames(frames):
    parts = clip_encoder._thirds(frames)
    np.testing.assert_allclose(parts.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(parts.sum(axis=0), clip_encoder.GAPS / frames, rtol=1e-6)


def test_large_features_fit_half_precision_when_training_ends(tmp_path):
    model = models.build("clip_encoder", frames=4, stem=4, widths=(4, 4, 4), head=8)
    trunk = model.network
    trunk.clip.kernel.assign(trunk.clip.kernel * 3e4)
    trunk.even.moving_variance.assign([1.0] * 8 + [1e9] * 8)
    trunk.even.moving_mean.assign([0.5] * 8 + [2e4] * 8)
    before = model.features(clips(4))
    with pytest.raises(VgzooError, match="float16"):
        hub.save(model, tmp_path / "large", half=True)
    model.end_burn_in()
    np.testing.assert_allclose(model.features(clips(4)), before, atol=1e-3)
    hub.save(model, tmp_path / "even", half=True)


def test_an_odd_number_of_frames_is_refused(encoder):
    with pytest.raises(VgzooError, match="clips of 3 frames came; clip_encoder takes an even"):
        FCD(encoder).update_state(real=clips(0)[:, :3])
    with pytest.raises(VgzooError, match="an even number of square RGB frames"):
        models.build("clip_encoder", frames=5)
