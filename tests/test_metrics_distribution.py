"""Distances between sets of features: closed forms, direct sums, and sets one can see through."""

from itertools import product

import numpy as np
import pytest
import scipy.linalg

from vgzoo import metrics
from vgzoo.errors import VgzooError
from vgzoo.metrics import kernel_distance, precision_recall

frechet = metrics.frechet_distance


def _covariance(width: int, seed: int, rank: int | None = None) -> np.ndarray:
    a = np.random.default_rng(seed).normal(size=(width, rank or 2 * width))
    return a @ a.T / a.shape[1]


# -- the algebra of the Fréchet distance -----------------------------------------------------------


def test_equal_gaussians_are_at_no_distance_whatever_their_rank():
    for rank in (None, 12, 1):
        mean, cov = np.arange(24.0), 100 * _covariance(24, 0, rank)
        assert 0 <= frechet(mean, cov, mean, cov) < 1e-9 * np.trace(cov)
    assert frechet(np.zeros(3), np.zeros((3, 3)), np.zeros(3), np.zeros((3, 3))) == 0


def test_a_shift_of_the_mean_counts_by_its_square():
    cov = _covariance(16, 1)
    shift = np.random.default_rng(2).normal(size=16)
    assert frechet(shift, cov, 0 * shift, cov) == pytest.approx(shift @ shift, rel=1e-10)


def test_commuting_covariances_are_as_far_as_their_standard_deviations():
    rng = np.random.default_rng(3)
    basis = np.linalg.qr(rng.normal(size=(16, 16)))[0]
    a, b = rng.random(16) * 10, rng.random(16)
    a[:4] = b[2:6] = 0  # and of incomplete, different rank
    wanted = np.square(np.sqrt(a) - np.sqrt(b)).sum()
    zero = np.zeros(16)
    got = frechet(zero, basis * a @ basis.T, zero, basis * b @ basis.T)
    assert got == pytest.approx(wanted, rel=1e-7)


def test_two_by_two_covariances_by_their_closed_form():
    # tr √M = √(tr M + 2 √det M) for the 2x2 matrix M = AB.
    a, b = _covariance(2, 4), _covariance(2, 5)
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    wanted = np.trace(a) + np.trace(b) - 2 * root
    assert frechet([0, 0], a, [0, 0], b) == pytest.approx(wanted, rel=1e-10)


def test_a_point_is_as_far_as_the_gaussian_is_wide():
    cov = _covariance(8, 6)
    got = frechet(np.ones(8), cov, np.zeros(8), np.zeros((8, 8)))
    assert got == pytest.approx(8 + np.trace(cov), rel=1e-12)


@pytest.mark.parametrize("width", [1, 5, 64])
def test_it_is_what_the_matrix_square_root_gives(width):
    rng = np.random.default_rng(width)
    mean1, mean2 = rng.normal(size=(2, width))
    cov1, cov2 = _covariance(width, 7), 3 * _covariance(width, 8)
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    wanted = np.square(mean1 - mean2).sum() + np.trace(cov1 + cov2 - 2 * root)
    got = frechet(mean1, cov1, mean2, cov2)
    assert type(got) is float and got == pytest.approx(wanted, rel=1e-9)
    assert frechet(mean2, cov2, mean1, cov1) == pytest.approx(got, rel=1e-10)


def test_a_rotation_of_both_changes_nothing_and_scale_enters_squared():
    mean, cov1, cov2 = np.arange(8.0), _covariance(8, 9, rank=3), _covariance(8, 10)
    turn = np.linalg.qr(np.random.default_rng(11).normal(size=(8, 8)))[0]
    zero, got = np.zeros(8), frechet(mean, cov1, np.zeros(8), cov2)
    turned = frechet(turn @ mean, turn @ cov1 @ turn.T, zero, turn @ cov2 @ turn.T)
    assert turned == pytest.approx(got, rel=1e-7)
    assert frechet(1e4 * mean, 1e8 * cov1, zero, 1e8 * cov2) == pytest.approx(1e8 * got, rel=1e-7)


def test_what_is_no_gaussian_is_refused():
    eye, zero = np.eye(2), np.zeros(2)
    with pytest.raises(VgzooError, match=r"wanted \(D,\), \(D, D\) twice"):
        frechet(zero, eye, np.zeros(3), np.eye(3))
    with pytest.raises(VgzooError, match="NaN or infinite"):
        frechet(zero, eye, zero, eye * np.nan)
    with pytest.raises(VgzooError, match="NaN or infinite"):
        frechet(zero, eye, zero + np.inf, eye)
    with pytest.raises(VgzooError, match="eigenvalue -1"):
        frechet(zero, -eye, zero, eye)


# -- what all three share ----------------------------------------------------------------------


def _make():
    return [metrics.FrechetDistance(), metrics.KernelDistance(), metrics.PrecisionRecall(k=2)]


def _sets(width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(12)
    return rng.normal(3, 1, (40, width)), rng.normal(3.5, 1.3, (31, width))


def _values(result) -> list[float]:
    values = list(result.values()) if isinstance(result, dict) else [result]
    assert all(type(v) is float for v in values)
    return values


every = pytest.mark.parametrize("metric", _make(), ids=lambda m: m.name)


@every
def test_the_figure_does_not_depend_on_how_the_features_came(metric):
    real, generated = _sets()
    metric.reset_state()
    whole = _values(metric(real=real, generated=generated))
    metric.reset_state()
    for start in range(0, 40, 7):
        metric.update_state(real=real[start : start + 7])
    for start in range(0, 31, 10):
        metric.update_state(generated=generated[start : start + 10])
    assert metric.counts == (40, 31)
    assert _values(metric.result()) == pytest.approx(whole, rel=1e-10)
    metric.reset_state()
    assert metric.counts == (0, 0)
    metric.update_state(real[:, :3], generated[:, :3])  # another encoder, after a reset
    assert _values(metric.result()) != pytest.approx(whole, rel=1e-3)


@every
def test_a_buffer_that_is_used_again_does_not_change_what_was_taken(metric):
    real, generated = _sets()
    metric.reset_state()
    whole = _values(metric(real, generated))
    metric.reset_state()
    buffer = np.empty((40, 5))
    buffer[:] = real
    metric.update_state(real=buffer)
    buffer[:] = 0
    assert _values(metric(generated=generated)) == whole


@every
def test_a_metric_comes_back_from_its_configuration(metric):
    again = type(metric).from_config(metric.get_config())
    assert again.get_config() == metric.get_config()
    real, generated = _sets()
    metric.reset_state()
    assert _values(again(real, generated)) == _values(metric(real, generated))


@every
def test_bad_features_are_told_in_one_line_and_not_taken(metric):
    real, generated = _sets()
    hole = generated.copy()
    hole[3, 1] = np.nan
    metric.reset_state()
    metric.update_state(real=real)
    for arguments, words in (
        (dict(real=real, generated=hole), "generated features of clip 3 are NaN"),
        (dict(real=real, generated=generated[:, :4]), "width 4 came after 5"),
        (dict(real=real[0]), r"shape \(5,\) came"),
        (dict(generated=generated[:0]), r"shape \(0, 5\) came"),
        (dict(generated="many"), "no array of numbers"),
        (dict(), "no features came"),
    ):
        with pytest.raises(VgzooError, match=words) as error:
            metric.update_state(**arguments)
        assert "\n" not in str(error.value)
    assert metric.counts == (40, 0)
    with pytest.raises(VgzooError, match="40 real and 0 generated features: it needs at least"):
        metric.result()


# -- streaming Fréchet -------------------------------------------------------------------------


def test_streamed_moments_are_numpy_s_even_far_from_zero():
    real, generated = _sets()
    real, generated = real + 1e6, generated + 1e6
    metric = metrics.FrechetDistance()
    for start in range(0, 40, 3):
        metric.update_state(
            real[start : start + 3], generated[start : start + 3] if start < 31 else None
        )
    wanted = frechet(
        real.mean(0), np.cov(real, rowvar=False), generated.mean(0), np.cov(generated, rowvar=False)
    )
    assert metric.result() == pytest.approx(wanted, rel=1e-6)


def test_fewer_clips_than_features_still_give_a_distance():
    rng = np.random.default_rng(13)
    features = rng.normal(size=(10, 64))
    metric = metrics.FrechetDistance()
    assert metric(features, features[::-1]) == pytest.approx(0, abs=1e-9)
    metric.reset_state()
    # Sets in two subspaces that share nothing: as far as both are wide.
    real, generated = features * (np.arange(64) < 32), features * (np.arange(64) >= 32)
    wide = real.var(0, ddof=1).sum() + generated.var(0, ddof=1).sum()
    apart = np.square(real.mean(0) - generated.mean(0)).sum()
    assert metric(real, generated) == pytest.approx(wide + apart, rel=1e-10)


def test_the_distance_of_samples_nears_that_of_their_gaussians():
    rng = np.random.default_rng(14)
    metric = metrics.FrechetDistance()
    metric.update_state(rng.normal(0, 1, (20_000, 4)), rng.normal(0.5, 2, (20_000, 4)))
    assert metric.result() == pytest.approx(4 * (0.25 + 1), rel=0.05)


# -- kernel distance ---------------------------------------------------------------------------


def _double_sum(real: np.ndarray, generated: np.ndarray) -> float:
    def k(x, y):
        return (x @ y / len(x) + 1) ** 3

    def pairs(rows):
        n = len(rows)
        return sum(k(rows[i], rows[j]) for i in range(n) for j in range(n) if i != j) / n / (n - 1)

    return pairs(real) + pairs(generated) - 2 * np.mean([k(x, y) for x in real for y in generated])


@pytest.mark.parametrize("block", [7, 1024])
def test_kernel_distance_is_the_direct_double_sum(block, monkeypatch):
    monkeypatch.setattr(kernel_distance, "BLOCK", block)
    real, generated = _sets()
    wanted = _double_sum(real, generated)
    assert metrics.KernelDistance()(real, generated) == pytest.approx(wanted, rel=1e-9)


def test_kernel_distance_is_unbiased():
    # All 16 x 16 draws of two from either population: their mean is the populations' own distance,
    # exactly. With pairs of a point with itself it would not be.
    rng = np.random.default_rng(15)
    real, generated = rng.normal(size=(4, 2)), rng.normal(0.5, 1, (4, 2))

    def kernel_mean(x, y):
        return ((x @ y.T / 2 + 1) ** 3).mean()

    wanted = kernel_mean(real, real) + kernel_mean(generated, generated)
    wanted -= 2 * kernel_mean(real, generated)
    metric, total = metrics.KernelDistance(), 0.0
    for i, j, k, m in product(range(4), repeat=4):
        metric.reset_state()
        total += metric(real[[i, j]], generated[[k, m]])
    assert total / 4**4 == pytest.approx(wanted, rel=1e-9)


def test_kernel_distance_of_one_distribution_scatters_around_zero():
    rng = np.random.default_rng(16)
    values = []
    for _ in range(100):
        metric = metrics.KernelDistance()
        values.append(metric(rng.normal(size=(30, 8)), rng.normal(size=(20, 8))))
    assert min(values) < 0 < max(values)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))


# -- precision and recall ----------------------------------------------------------------------


@pytest.mark.parametrize("block", [3, 1024])
def test_precision_and_recall_are_those_of_the_balls_counted_one_by_one(block, monkeypatch):
    monkeypatch.setattr(precision_recall, "BLOCK", block)
    real, generated = _sets(width=3)

    def distance(x, y):
        return np.sqrt(np.square(x - y).sum())

    def share(points, centres):
        reach = [sorted(distance(c, other) for other in centres)[1] for c in centres]
        inside = [
            any(distance(p, c) <= r for c, r in zip(centres, reach, strict=True)) for p in points
        ]
        return np.mean(inside)

    got = metrics.PrecisionRecall(k=1)(real, generated)
    assert got == {"precision": share(generated, real), "recall": share(real, generated)}
    assert 0 < got["recall"] < 1 and 0 < got["precision"] < 1


def test_precision_and_recall_of_sets_one_can_see_through():
    rng = np.random.default_rng(17)
    left, right = rng.normal(0, 1, (50, 4)), rng.normal(100, 1, (50, 4))
    both = np.concatenate([left, right])
    for real, generated, precision, recall in (
        (both, both, 1, 1),  # the truth itself
        (left, right, 0, 0),  # something else
        (both, left, 1, 0.5),  # good, but half is missing
        (left, both, 0.5, 1),  # all there, and half of it wrong
    ):
        got = metrics.PrecisionRecall()(real, generated)
        assert got == {"precision": precision, "recall": recall}


def test_a_collapsed_generator_has_precision_without_recall():
    real = np.random.default_rng(18).normal(size=(60, 4))
    got = metrics.PrecisionRecall()(real, np.repeat(real[:1], 60, axis=0))
    assert got["precision"] == 1 and got["recall"] <= 2 / 60


def test_precision_and_recall_need_more_points_than_k():
    metric = metrics.PrecisionRecall(k=3)
    metric.update_state(np.eye(4)[:3], np.eye(4))
    with pytest.raises(VgzooError, match="3 real and 4 generated features: it needs at least 4"):
        metric.result()
    with pytest.raises(VgzooError, match="k must be a whole number"):
        metrics.PrecisionRecall(k=0)
