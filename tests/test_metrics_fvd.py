"""FVD as a streaming metric; with the published weights, its published figure.

That figure is checked where `VGZOO_I3D` names the weights.
"""

import os

import keras
import numpy as np
import pytest
from i3d_weights import random_state
from safetensors.numpy import save_file

from vgzoo.errors import VgzooError, VideoError
from vgzoo.metrics.frechet import FrechetDistance, frechet_distance
from vgzoo.metrics.fvd import FVD, network_input


@pytest.fixture(scope="module")
def judge():
    """A small network in I3D's place: 5 numbers from the colours of 4×4 regions."""
    keras.utils.set_random_seed(0)
    clip = keras.Input((9, 224, 224, 3))
    x = keras.layers.AveragePooling3D((9, 56, 56))(clip)
    return keras.Model(clip, keras.layers.Dense(5)(keras.layers.Flatten()(x)))


def _clips(count, seed, high=256):
    return np.random.default_rng(seed).integers(0, high, (count, 9, 8, 10, 3), "uint8")


def test_without_weights_it_says_what_to_get(monkeypatch):
    monkeypatch.delenv("VGZOO_I3D", raising=False)
    with pytest.raises(VgzooError) as error:
        FVD()
    for part in ("i3d_torchscript.pt", "deepmind/i3d-kinetics-400", "convert", "VGZOO_I3D"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


def test_a_real_clip_gives_400_logits(tmp_path, monkeypatch):
    save_file(random_state(), tmp_path / "i3d.safetensors")
    monkeypatch.setenv("VGZOO_I3D", str(tmp_path / "i3d.safetensors"))
    clip = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 1), "uint8")
    features = FVD().features(clip)
    assert features.shape == (1, 400)
    assert np.all(np.isfinite(features)) and features.std() > 0


def test_frames_are_resized_with_half_pixel_centres_and_no_antialiasing():
    def weights(length):
        place = np.clip((np.arange(224) + 0.5) * length / 224 - 0.5, 0, length - 1)
        matrix = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(length)))
        np.testing.assert_allclose(matrix.sum(axis=1), 1)
        return matrix

    clip = np.random.default_rng(0).integers(0, 256, (1, 2, 300, 40, 3), "uint8")
    tall = np.einsum("ih,bthwc->btiwc", weights(300), clip / 127.5 - 1)
    wanted = np.einsum("jw,btiwc->btijc", weights(40), tall)
    np.testing.assert_allclose(network_input(clip), wanted, atol=1e-4)


def test_piece_by_piece_gives_the_distance_of_the_whole(judge):
    real, generated = _clips(11, 0), _clips(8, 1, high=180)
    whole, pieces = FVD(judge, frames=9), FVD(judge, frames=9, batch_size=3)
    whole.update_state(real, generated)
    pieces.update_state(real[:4], generated[:1])
    pieces.update_state(real=real[4:])
    pieces.update_state(generated=generated[1:] / 255)  # float in [0, 1] is the same clips
    assert pieces.counts == (11, 8)
    x, y = whole.features(real), whole.features(generated)
    wanted = frechet_distance(
        x.mean(axis=0), np.cov(x, rowvar=False), y.mean(axis=0), np.cov(y, rowvar=False)
    )
    assert wanted > 0.1
    assert whole.result() == pytest.approx(wanted, rel=1e-6)
    assert pieces.result() == pytest.approx(wanted, rel=1e-4)


def test_equal_clips_are_at_no_distance_and_a_reset_forgets(judge):
    metric = FVD(judge, frames=9)
    metric.update_state(_clips(9, 0), _clips(9, 1, high=100))
    far = metric.result()
    metric.reset_state()
    assert metric.counts == (0, 0)
    metric.update_state(_clips(9, 0), _clips(9, 0))
    assert abs(metric.result()) < 1e-6 * far


def test_a_metric_made_from_a_config_judges_alike(judge):
    metric = FVD(judge, frames=9, batch_size=2, name="distance")
    again = FVD.from_config({**metric.get_config(), "weights": judge})
    assert (again.frames, again.batch_size, again.name) == (9, 2, "distance")
    np.testing.assert_array_equal(again.features(_clips(2, 0)), metric.features(_clips(2, 0)))


def test_grey_clips_are_judged_as_rgb_of_equal_channels(judge):
    metric, grey = FVD(judge, frames=9), _clips(2, 0)[..., :1]
    np.testing.assert_allclose(
        metric.features(grey), metric.features(np.repeat(grey, 3, axis=-1)), rtol=1e-6
    )


def test_what_cannot_be_judged_is_refused(judge):
    metric = FVD(judge, frames=9)
    with pytest.raises(VgzooError, match="clips of 8 frames came, FVD is set to 9"):
        metric.update_state(_clips(2, 0)[:, :8])
    with pytest.raises(VideoError, match=r"\[0, 1\]"):
        metric.update_state(_clips(2, 0), _clips(2, 0).astype("float32") / 127.5 - 1)
    assert metric.counts == (0, 0)  # the real clips of a call that failed do not count
    with pytest.raises(VgzooError, match="at least 9 frames, not 8"):
        FVD(judge, frames=8)
    metric.update_state(_clips(2, 0), _clips(1, 0))
    with pytest.raises(VgzooError, match="2 real and 1 generated .* needs at least 2"):
        metric.result()


@pytest.mark.skipif("VGZOO_I3D" not in os.environ, reason="VGZOO_I3D names no weights file")
def test_the_published_figure_of_uniform_noise():
    # universome/fvd-comparison: the original TensorFlow code and StyleGAN-V's both give 10.13808.
    # Its noise goes into the network as drawn, in [0, 1].
    network, distance = FVD().network, FrechetDistance()
    for seed, kind in ((1, "real"), (2, "generated")):
        random = np.random.RandomState(seed)
        for _ in range(32):
            noise = random.rand(4, 16, 224, 224, 3).astype("float32")
            distance.update_state(**{kind: network.predict_on_batch(noise)})
    assert distance.counts == (128, 128)
    assert distance.result() == pytest.approx(10.138, abs=0.005)
