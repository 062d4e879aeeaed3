"""Stochastic Moving MNIST: equal to SVG's procedure pixel for pixel."""

import numpy as np
import pytest
from PIL import Image
from tiny import write_mnist

from vgzoo import random
from vgzoo.data import clips, images, motion
from vgzoo.errors import DataError


@pytest.fixture
def bank(tmp_path, monkeypatch):
    monkeypatch.setenv("VGZOO_DATA", str(write_mnist(tmp_path)))
    return images("mnist", "train")


def svg(bank, *, seed: int, first: int, count: int, frames: int) -> dict[str, np.ndarray]:
    """SVG's procedure, one digit, frame and coordinate at a time.

    Only where its random numbers come from is this zoo's: 65,536 rows of ten in [0, 1) for a clip,
    five for a digit. In the first row they are its number in the bank, y, x and their speeds; in
    each frame's row, after one that is not used, the speeds at an edge.
    """
    pictures, labels = bank
    data = np.zeros((count, frames, 64, 64))
    label = np.zeros((count, 2), "int32")
    for n in range(count):
        table = random.uniform_rows(seed, (first + n) * 65536, frames + 1, 10)
        for d in range(2):
            which, *rows = int(table[0, 5 * d] * len(pictures)), *table[:, 5 * d + 1 : 5 * d + 5]
            digit = Image.fromarray(pictures[which][..., 0]).resize((32, 32), Image.BILINEAR)
            label[n, d] = labels[which]
            sy, sx = (int(32 * u) for u in rows[0][:2])
            dy, dx = (int(9 * u) - 4 for u in rows[0][2:])
            for t in range(frames):
                up, side, up_after, side_after = rows[t + 1]
                if sy < 0:
                    sy, dy, dx = 0, int(4 * up) + 1, int(9 * side) - 4
                elif sy >= 32:
                    sy, dy, dx = 31, -int(4 * up) - 1, int(9 * side) - 4
                if sx < 0:
                    sx, dx, dy = 0, int(4 * side_after) + 1, int(9 * up_after) - 4
                elif sx >= 32:
                    sx, dx, dy = 31, -int(4 * side_after) - 1, int(9 * up_after) - 4
                data[n, t, sy : sy + 32, sx : sx + 32] += np.asarray(digit)
                sy, sx = sy + dy, sx + dx
    return {"clip": np.minimum(data, 255).astype("uint8")[..., None], "label": label}


def test_clips_equal_svgs_procedure_pixel_for_pixel(bank):
    batch = next(iter(clips("mnist-stochastic", frames=30, batch_size=12, seed=2, start=3)))
    wanted = svg(bank, seed=2, first=3, count=12, frames=30)
    np.testing.assert_array_equal(batch["clip"], wanted["clip"])
    np.testing.assert_array_equal(batch["label"], wanted["label"])
    assert wanted["clip"].max() == 255


def test_overlapping_digits_are_added_and_clipped():
    digits = np.zeros((1, 2, 32, 32), "uint8")
    digits[0, 0], digits[0, 1] = 100, np.arange(32)[:, None] * 8
    path = np.zeros((1, 2, 1, 2), "int32")
    clip = np.asarray(motion.render(digits, path, add=True))[0, 0, ..., 0]
    np.testing.assert_array_equal(clip[:32, 5], np.minimum(100 + 8 * np.arange(32), 255))
    assert not clip[32:].any() and not clip[:, 32:].any()


def test_digits_keep_their_speed_but_at_an_edge():
    table = random.uniform_rows(0, 0, 200 * 81, 4).reshape(200, 81, 4)
    path = motion.wander(table)
    assert path.min() == 0 and path.max() == 31
    speed = np.diff(path, axis=1)
    assert set(np.unique(speed)) == set(range(-4, 5))
    changed = (np.diff(speed, axis=1) != 0).any(-1)
    at_edge = ((path <= 3) | (path >= 28)).any(-1)
    assert not (changed & ~at_edge[:, 1:-1] & ~at_edge[:, 2:]).any()
    after = speed[:, 1:][(path[:, 1:-1, 0] == 0) & (np.diff(path[:, :-1, 0]) < 0)]
    assert len({tuple(v) for v in after}) > 20, "drawn anew, not mirrored"


def test_a_clip_depends_on_seed_and_number_alone(bank):
    def first(**options):
        return next(iter(clips("mnist-stochastic", **options)))["clip"].numpy()

    whole = first(frames=12, batch_size=8)
    np.testing.assert_array_equal(first(frames=5, batch_size=3, start=4), whole[4:7, :5])
    assert not np.array_equal(first(frames=12, batch_size=8, seed=1), whole)


def test_a_clip_too_long_for_its_numbers_is_refused(bank):
    with pytest.raises(DataError, match="at most 65535 frames"):
        clips("mnist-stochastic", frames=65536)
