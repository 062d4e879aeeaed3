"""Moving digits: what a sure reader's maps say, which paths are possible, and a real reader."""

import os

import numpy as np
import pytest

from vgzoo import models, registry
from vgzoo.data import images, motion
from vgzoo.errors import VgzooError
from vgzoo.metrics import MovingDigits, digits, distortions, trajectory

FRAMES = 16


def paths(count: int, frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Paths of the published procedure, float `(count, frames, 2)`."""
    rng = np.random.default_rng(seed)
    start, turn = rng.random((count, 2)), 2 * np.pi * rng.random(count)
    return motion.trajectory(start, turn, frames).astype(float)


def sure_maps(path: np.ndarray, label: np.ndarray) -> np.ndarray:
    """What a reader without doubt says of `(B, 2, T, 2)` and `(B, 2)`: `(B, T, 32, 32, 10)`."""
    batch, _, frames, _ = path.shape
    maps = np.zeros((batch, frames, 32, 32, 10), "float32")
    cells = (np.asarray(path, float) + 13) / 2
    b, t = np.ogrid[:batch, :frames]
    for digit in (0, 1):
        low = np.floor(cells[:, digit]).astype(int)
        share = cells[:, digit] - low
        for i in (0, 1):
            for j in (0, 1):
                weight = np.abs(1 - i - share[..., 0]) * np.abs(1 - j - share[..., 1]) / 2
                np.add.at(
                    maps, (b, t, low[..., 0] + i, low[..., 1] + j, label[:, digit, None]), weight
                )
    return maps


# -- trajectories ------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [8, 16, 20])
def test_a_published_path_is_found(frames):
    far = trajectory.distance(paths(300, frames), np.ones((300, frames), bool))
    assert np.quantile(far, 0.99) <= 1.5 and far.max() < digits.NEAR


def test_a_path_is_found_through_gaps_and_outliers():
    track, seen = paths(200), np.ones((200, FRAMES), bool)
    track[:, 5] += 20
    seen[:, 9] = False
    track[:, 9] = 0
    far = trajectory.distance(track, seen)
    assert np.isinf(far[:, 9]).all()
    whole = np.delete(far, [5, 9], axis=1)
    assert (whole <= digits.NEAR).mean() > 0.97
    assert np.median(far[:, 5]) > 10


def share_valid(track: np.ndarray) -> float:
    pairs = np.stack([track, paths(len(track), seed=9)], axis=1)
    return digits.valid(pairs, np.ones(pairs.shape[:3], bool)).mean()


def test_other_motion_is_not_valid():
    track, longer = paths(300), paths(300, 46)
    assert share_valid(track) == 1
    for speed in (0.5, 1.5, 2, 3):
        which = np.round(np.arange(FRAMES) * speed).astype(int)
        assert share_valid(longer[:, which]) < 0.02, speed
    assert share_valid(track[:, ::-1]) > 0.9  # the same motion, backwards
    rng = np.random.default_rng(0)
    assert share_valid(track[:, rng.permutation(FRAMES)]) < 0.02
    assert share_valid(np.repeat(track[:, :1], FRAMES, axis=1)) == 0
    assert share_valid(track + rng.integers(-4, 5, track.shape)) < 0.05
    # A bounce that is not there: it goes on beyond the edge.
    straight = track[:, :1] + np.arange(FRAMES)[:, None] * np.array([2.2, 2.8])
    assert share_valid(straight) < 0.1


def test_jitter_costs_the_more_the_wider_it_is():
    rng = np.random.default_rng(0)
    track = paths(300)
    shares = [share_valid(track + rng.integers(-j, j + 1, track.shape)) for j in (0, 1, 2, 3, 5)]
    assert all(a >= b for a, b in zip(shares, shares[1:], strict=False)) and shares[-1] == 0


# -- maps --------------------------------------------------------------------------------------


def test_a_sure_reader_is_understood():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 10, (200, 2))
    label[:, 1] = (label[:, 0] + 1 + label[:, 1] % 9) % 10
    path = np.stack([paths(200, seed=2), paths(200, seed=3)], axis=1)
    found = digits.read(sure_maps(path, label))
    np.testing.assert_array_equal(found["pair"], np.sort(label, axis=1))
    np.testing.assert_allclose(found["confidence"], 1, atol=1e-5)
    order = np.argsort(label, axis=1, kind="stable")
    wanted = np.take_along_axis(path, order[:, :, None, None], axis=1)
    assert np.linalg.norm(found["track"] - wanted, axis=-1).max() < 1e-3
    assert digits.valid(found["track"], found["seen"]).all()


def test_two_equal_digits_are_told_apart_by_their_motion():
    label = np.full((300, 2), 7)
    path = np.stack([paths(300, seed=2), paths(300, seed=3)], axis=1)
    found = digits.read(sure_maps(path, label))
    assert (found["pair"] == 7).all()
    assert digits.valid(found["track"], found["seen"]).mean() > 0.85


def test_doubt_lowers_confidence():
    label, path = np.array([[3, 8]]), paths(2)[None]
    maps = sure_maps(path, label)
    shares = []
    for doubt in (0, 0.2, 0.5, 0.9):
        other = np.roll(maps, 1, axis=-1)  # the next class
        shares.append(digits.read((1 - doubt) * maps + doubt * other)["confidence"][0])
    assert all(a > b for a, b in zip(shares[:3], shares[1:3], strict=False))


def test_coverage_counts_pairs_that_are_there_and_not_a_few_misread():
    metric = MovingDigits(models.build("digit_reader", stem=4, filters=4, blocks=1))
    with pytest.raises(VgzooError, match="no clips"):
        metric.result()
    metric.pairs = np.repeat([[0, 1]], 1000, axis=0)
    metric.confidences, metric.valid = np.ones(1000), np.ones(1000, bool)
    metric.pairs[0] = [2, 3]  # one of a thousand
    assert metric.result()["pair_coverage"] == 1
    metric.pairs = digits.PAIRS[np.arange(1000) % 55]
    assert metric.result()["pair_coverage"] == 55
    metric.confidences = np.full(1000, digits.SURE - 0.01)
    assert metric.result()["pair_coverage"] == 0


# -- the bundled reader ------------------------------------------------------------------------

reads_real_digits = pytest.mark.skipif(
    not os.environ.get("VGZOO_DATA") or "digit-reader" not in registry.list_models(),
    reason="needs MNIST in VGZOO_DATA",
)


@pytest.fixture(scope="module")
def judged():
    """What the bundled reader says of 40 clips of test digits, whole and broken."""
    bank = images("mnist", "test")
    longer = distortions.frames_needed(FRAMES)
    drawn = motion.draw(bank, seed=77, start=0, count=40, frames=longer)
    clips = np.asarray(motion.render(drawn["digits"], drawn["path"]))
    other = motion.draw(bank, seed=78, start=0, count=40, frames=longer)["digits"]
    other = np.asarray(motion.render(other, drawn["path"]))
    morphed = np.concatenate([clips[:, :8], other[:, 8:16]], axis=1)
    kinds = {"whole": clips[:, :FRAMES], "morphed": morphed}
    for kind, level in (("blur", 4), ("noise", 64), ("shuffle", 1), ("freeze", 1)):
        kinds[kind] = distortions.distort(clips, kind, level, frames=FRAMES)
    for kind, level in (("jitter", 8), ("speed", 1.5)):
        kinds[kind] = distortions.distort(clips, kind, level, frames=FRAMES)
    metric = MovingDigits()
    results = {}
    for kind, made in kinds.items():
        metric.reset_state()
        metric.update_state(made)
        results[kind] = metric.result()
    return results


@reads_real_digits
def test_real_digits_are_read_and_valid(judged):
    assert judged["whole"]["confidence"] > 0.8
    assert judged["whole"]["trajectory_validity"] > 0.85


@reads_real_digits
@pytest.mark.parametrize("kind", ["shuffle", "freeze", "jitter", "speed", "morphed"])
def test_broken_motion_is_not_valid(judged, kind):
    assert judged[kind]["trajectory_validity"] < 0.1


@reads_real_digits
@pytest.mark.parametrize("kind", ["blur", "noise", "morphed"])
def test_broken_digits_are_read_with_doubt(judged, kind):
    assert judged[kind]["confidence"] < judged["whole"]["confidence"] - 0.1
    assert judged[kind]["pair_coverage"] < judged["whole"]["pair_coverage"]
