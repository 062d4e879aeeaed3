"""Frame error: the figures of scikit-image and of OpenSTL's formulas, whatever the batch."""

import warnings

import keras
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vgzoo import metrics
from vgzoo.errors import VgzooError, VideoError

SSIM_SPAN = {"skimage": 1, "openstl": 2}


def _make():
    return [
        metrics.FrameMSE(),
        metrics.FrameMAE(),
        metrics.PSNR(),
        metrics.SSIM("skimage"),
        metrics.SSIM("openstl"),
    ]


every = pytest.mark.parametrize("metric", _make(), ids=lambda m: m.name)


def _clips(channels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth, noisy, black and saturated frames, and forecasts of unequal merit."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:17, :13] / 16
    real = rng.random((5, 3, 17, 13, channels))
    real[1] = (y * x)[..., None]
    real[2] = 0
    real[3] = real[3] > 0.5
    noise = (
        rng.normal(0, 1, real.shape) * np.array([0.01, 0.1, 0.2, 0.3, 1])[:, None, None, None, None]
    )
    return real, np.clip(real + noise, 0, 1)


def _frames(real, generated):
    return zip(
        real.reshape(-1, *real.shape[2:]), generated.reshape(-1, *real.shape[2:]), strict=True
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["float64", "float32", "uint8"])
@pytest.mark.parametrize("protocol", SSIM_SPAN)
def test_ssim_is_that_of_scikit_image(channels, kind, protocol):
    real, generated = _clips(channels)
    if kind == "uint8":
        real, generated = (np.rint(c * 255).astype("uint8") for c in (real, generated))
    else:
        real, generated = real.astype(kind), generated.astype(kind)
    scale = 255 if kind == "uint8" else 1
    wanted = [
        structural_similarity(g / scale, r / scale, channel_axis=-1, data_range=SSIM_SPAN[protocol])
        for r, g in _frames(real, generated)
    ]
    got = metrics.SSIM(protocol)(real, generated)
    assert got == pytest.approx(np.mean(wanted), abs=1e-5)


def test_the_proper_ssim_of_bytes_is_scikit_image_s_default_for_bytes():
    real, generated = (np.rint(c * 255).astype("uint8") for c in _clips(1))
    wanted = [structural_similarity(r[..., 0], g[..., 0]) for r, g in _frames(real, generated)]
    assert metrics.SSIM()(real, generated) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_the_two_ssim_protocols_differ_and_say_so_in_their_names():
    real, generated = _clips(1)
    proper, openstl = metrics.SSIM(), metrics.SSIM("openstl")
    assert (proper.name, openstl.name) == ("ssim_skimage", "ssim_openstl")
    assert openstl(real, generated) > proper(real, generated) + 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_is_the_mean_of_scikit_image_s(channels):
    real, generated = _clips(channels)
    wanted = [peak_signal_noise_ratio(r, g, data_range=1) for r, g in _frames(real, generated)]
    assert metrics.PSNR()(real, generated) == pytest.approx(np.mean(wanted), abs=1e-5)


def test_an_exact_frame_has_infinite_psnr_without_a_warning():
    real, _ = _clips(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metrics.PSNR()(real, real) == np.inf


@pytest.mark.parametrize("channels", [1, 3])
def test_mse_and_mae_are_openstl_s(channels):
    real, generated = _clips(channels)
    # OpenSTL: mean over clips and frames first, then the sum over what is left.
    mse = np.mean((generated - real) ** 2, axis=(0, 1)).sum()
    mae = np.mean(np.abs(generated - real), axis=(0, 1)).sum()
    assert metrics.FrameMSE()(real, generated) == pytest.approx(mse, abs=1e-9)
    assert metrics.FrameMAE()(real, generated) == pytest.approx(mae, abs=1e-9)


@every
def test_the_figure_does_not_depend_on_the_batch_and_starts_anew_after_a_reset(metric):
    real, generated = _clips(1)
    metric.reset_state()
    whole = metric(real, generated)
    assert type(whole) is float
    metric.reset_state()
    for part in (slice(0, 2), slice(2, 5)):
        metric.update_state(real[part], generated[part])
    assert metric.result() == pytest.approx(whole, rel=1e-12)
    metric.reset_state()
    for r, g in zip(real, generated, strict=True):  # one clip at a time, without a batch axis
        metric.update_state(r, g)
    assert metric.result() == pytest.approx(whole, rel=1e-12)
    metric.reset_state()
    with pytest.raises(VgzooError, match=f"{metric.name} has seen no clips"):
        metric.result()


@every
def test_bytes_floats_and_tensors_give_one_figure(metric):
    real, generated = (np.rint(c * 255).astype("uint8") for c in _clips(3))
    figures = []
    for r, g in (
        (real, generated),
        (real / 255, generated / 255),
        (keras.ops.convert_to_tensor(real), generated / 255),
    ):
        metric.reset_state()
        figures.append(metric(r, g))
    assert figures[1:] == pytest.approx(figures[:1] * 2, rel=1e-9)


@every
def test_a_metric_comes_back_from_its_configuration(metric):
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    real, generated = _clips(1)
    metric.reset_state()
    assert again(real, generated) == metric(real, generated)


@every
def test_a_mistake_is_told_in_one_line_and_counts_for_nothing(metric):
    real, generated = _clips(1)
    metric.reset_state()
    for r, g, words in (
        (real, generated[:, :2], "real clips of shape .* and generated ones"),
        (real, generated * 2 - 1, r"pass \(clips \+ 1\) / 2"),
        (real, generated + np.nan, "NaN"),
        (real[0, 0], generated[0, 0], "wanted"),
        (None, generated, "wanted"),
    ):
        with pytest.raises((VgzooError, VideoError), match=words) as error:
            metric.update_state(r, g)
        assert "\n" not in str(error.value)
    assert metric.count == 0


def test_ssim_refuses_frames_below_its_window_and_unknown_protocols():
    with pytest.raises(VgzooError, match="6x20 pixels"):
        metrics.SSIM().update_state(np.zeros((1, 2, 6, 20, 1)), np.zeros((1, 2, 6, 20, 1)))
    with pytest.raises(VgzooError, match="'skimage' or 'openstl'"):
        metrics.SSIM("matlab")


# -- the best of N -----------------------------------------------------------------------------


def _forecasts(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    real = rng.random((4, 3, 9, 8, 1))
    spread = rng.random((4, n, 3, 1, 1, 1))
    return real, np.clip(real[:, None] + spread * rng.normal(size=(4, n, 3, 9, 8, 1)), 0, 1)


@every
def test_the_best_forecast_of_each_clip_counts_by_its_mean_over_frames(metric):
    real, forecasts = _forecasts(5)
    figures = np.empty((4, 5))
    for clip in range(4):
        for i in range(5):
            metric.reset_state()
            figures[clip, i] = metric(real[clip], forecasts[clip, i])
    best = figures.max(1) if metric.name.startswith(("psnr", "ssim")) else figures.min(1)
    assert len(set(np.argmax(figures == best[:, None], axis=1))) > 1  # not one index for all
    judge = metrics.BestOfN(metric, n=5)
    assert judge(real, forecasts) == pytest.approx(best.mean(), rel=1e-12)
    judge.reset_state()
    judge.update_state(real[0], forecasts[0])  # a single clip, then the rest
    judge.update_state(real[1:], forecasts[1:])
    assert judge.result() == pytest.approx(best.mean(), rel=1e-12)


@every
def test_more_forecasts_are_never_worse_and_one_is_the_plain_metric(metric):
    real, forecasts = _forecasts(6)
    metric.reset_state()
    plain = metric(real, forecasts[:, 0])
    figures = [metrics.BestOfN(metric, n=n)(real, forecasts[:, :n]) for n in (1, 3, 6)]
    assert figures[0] == pytest.approx(plain, rel=1e-12)
    assert figures == sorted(figures, reverse=not metric.higher_is_better)
    assert figures[2] != figures[0]


@every
def test_best_of_n_comes_back_from_its_configuration_with_its_metric(metric):
    judge = metrics.BestOfN(metric, n=2)
    assert judge.name == f"best_of_2_{metric.name}"
    again = metrics.BestOfN.from_config(judge.get_config())
    assert again.get_config() == judge.get_config()
    real, forecasts = _forecasts(2)
    assert again(real, forecasts) == judge(real, forecasts)


def test_best_of_n_refuses_another_n_and_what_is_no_frame_metric():
    real, forecasts = _forecasts(3)
    judge = metrics.BestOfN(metrics.PSNR(), n=4)
    for r, g in ((real, forecasts), (real, real), (None, None), (real[:2], forecasts)):
        with pytest.raises(VgzooError, match="best_of_4_psnr: forecasts of shape"):
            judge.update_state(r, g)
    with pytest.raises(VgzooError, match="BestOfN got"):
        metrics.BestOfN(metrics.KernelDistance(), n=2)
    with pytest.raises(VgzooError, match="n must be a whole number"):
        metrics.BestOfN(metrics.PSNR(), n=0)
