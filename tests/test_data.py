"""Moving MNIST: equal to the published procedure pixel for pixel, and the same clips every time."""

import hashlib
import os
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import openstl, strokes, write_mnist

from vgzoo.data import banks, clips, images, motion
from vgzoo.errors import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VGZOO_DATA", str(write_mnist(tmp_path)))
    return tmp_path


def first(dataset, batches: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Clips and labels of the first batches, end to end."""
    taken = list(dataset.take(batches).as_numpy_iterator())
    return tuple(np.concatenate([b[k] for b in taken]) for k in ("clip", "label"))


# -- the procedure -------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 16, 20, 60])
def test_clips_equal_the_published_procedure_pixel_for_pixel(folder, frames):
    bank = images("mnist", "train")
    clip, label = first(clips("mnist", frames=frames, batch_size=8, seed=3), 2)
    drawn = motion.draw(bank, seed=3, start=0, count=16, frames=frames)
    wanted = openstl(bank, seed=3, count=16, frames=frames)
    np.testing.assert_array_equal(clip, wanted["clip"])
    np.testing.assert_array_equal(label, wanted["label"])
    np.testing.assert_array_equal(drawn["path"], wanted["path"])


def test_digits_reach_every_edge_and_turn_around():
    start, angle = np.array([[0.95, 0.02], [0.5, 0.5]]), np.array([np.pi / 4, 5 * np.pi / 4])
    path = motion.trajectory(start, angle, 200)
    assert path.min() == 0 and path.max() == 36
    np.testing.assert_array_equal(path[0, :2, 0], [36, 33])  # 0.95 + 0.07 is clamped, then returns
    assert np.abs(np.diff(path, axis=1)).max() <= 4


def test_the_brighter_digit_is_on_top_in_the_corners_too():
    digits = np.zeros((1, 2, 28, 28), "uint8")
    digits[0, 0], digits[0, 1] = 100, np.arange(28)[:, None] * 9
    path = np.array([[[[0, 0], [36, 36], [10, 0]], [[0, 36], [36, 36], [0, 10]]]], "int32")
    clip = np.asarray(motion.render(digits, path))[0, ..., 0]
    assert (clip[0, :28, :28] == 100).all() and not clip[0, 28:].any()
    np.testing.assert_array_equal(clip[1, 36:, 36:], np.maximum(100, digits[0, 1]))
    assert not clip[1, :36].any() and not clip[1, :, :36].any()
    assert clip[2, 5, 15] == 45 and clip[2, 12, 12] == 108 and clip[2, 30, 5] == 100


def test_one_digit_or_three_are_drawn_as_well():
    bank = strokes(20)[..., None], np.arange(20, dtype="int32")
    for digits in (1, 3):
        drawn = motion.draw(bank, seed=0, start=0, count=3, frames=5, digits=digits)
        wanted = openstl(bank, seed=0, count=3, frames=5, digits=digits)
        np.testing.assert_array_equal(motion.render(drawn["digits"], drawn["path"]), wanted["clip"])


def test_start_direction_and_digits_are_uniform():
    bank = np.zeros((10, 28, 28, 1), "uint8"), np.arange(10)
    drawn = motion.draw(bank, seed=0, start=0, count=20_000, frames=1)
    share = np.bincount(drawn["label"].ravel(), minlength=10) / 40_000
    np.testing.assert_allclose(share, 0.1, atol=0.01)
    path = drawn["path"].reshape(-1, 2)
    np.testing.assert_allclose(path.mean(0), 17.5, atol=0.3)
    assert abs(np.corrcoef(path.T)[0, 1]) < 0.03


@pytest.mark.parametrize("size", [32, 16])
def test_smaller_frames_are_means_of_pixels(folder, size):
    full, _ = first(clips("mnist", frames=4, batch_size=4))
    small, _ = first(clips("mnist", frames=4, batch_size=4, size=size))
    factor = 64 // size
    mean = full.reshape(4, 4, size, factor, size, factor, 1).mean((3, 5))
    np.testing.assert_array_equal(small, np.round(mean))


# -- the dataset ---------------------------------------------------------------------------


def test_a_batch_is_as_specified(folder):
    dataset = clips("mnist", frames=5, batch_size=8)
    assert dataset.element_spec == {
        "clip": tf.TensorSpec((8, 5, 64, 64, 1), tf.uint8),
        "label": tf.TensorSpec((8, 2), tf.int32),
    }
    single = clips("mnist", frames=5, batch_size=None)
    assert single.element_spec["clip"].shape == (5, 64, 64, 1)
    assert single.element_spec["label"].shape == (2,)


@pytest.mark.parametrize("batch, batches", [(32, 6), (100, 2), (220, 1), (None, 220)])
def test_a_pass_has_a_known_number_of_whole_batches(folder, batch, batches):
    dataset = clips("mnist", frames=1, batch_size=batch)  # 240 images, 20 of them held out
    assert len(dataset) == batches
    assert sum(1 for _ in dataset) == batches


def test_count_sets_the_length_of_a_pass(folder):
    assert len(clips("mnist", frames=1, batch_size=4, count=10)) == 2
    endless = clips("mnist", frames=1, batch_size=4, count=-1)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert sum(1 for _ in endless.take(70)) == 70


def test_a_clip_depends_on_seed_and_number_alone(folder):
    clip, label = first(clips("mnist", frames=6, batch_size=12))
    for batch, start in ((1, 0), (4, 0), (3, 6), (5, 7)):
        part = first(clips("mnist", frames=6, batch_size=batch, start=start), 1)
        np.testing.assert_array_equal(part[0], clip[start : start + batch])
        np.testing.assert_array_equal(part[1], label[start : start + batch])
    alone = next(iter(clips("mnist", frames=6, batch_size=None, start=2)))
    np.testing.assert_array_equal(alone["clip"], clip[2])
    np.testing.assert_array_equal(first(clips("mnist", frames=6, batch_size=12))[0], clip)
    assert not np.array_equal(first(clips("mnist", frames=6, batch_size=12, seed=1))[0], clip)


def test_a_pass_resumed_goes_on_where_it_stopped(folder):
    whole, _ = first(clips("mnist", frames=3, batch_size=4, count=-1), 6)
    rest, _ = first(clips("mnist", frames=3, batch_size=4, count=-1, start=12), 3)
    np.testing.assert_array_equal(rest, whole[12:])


def test_longer_clips_begin_as_shorter_ones(folder):
    long, _ = first(clips("mnist", frames=20, batch_size=4))
    short, _ = first(clips("mnist", frames=7, batch_size=4))
    np.testing.assert_array_equal(long[:, :7], short)


def test_global_random_state_neither_matters_nor_changes(folder):
    keras.utils.set_random_seed(0)
    clip, _ = first(clips("mnist", frames=3, batch_size=4))
    after = np.random.random(), float(tf.random.uniform(()))
    keras.utils.set_random_seed(0)
    assert after == (np.random.random(), float(tf.random.uniform(())))
    np.testing.assert_array_equal(first(clips("mnist", frames=3, batch_size=4))[0], clip)


def test_splits_share_no_image(folder):
    parts = {s: {i.tobytes() for i in images("mnist", s)[0]} for s in banks.SPLITS}
    assert [len(parts[s]) for s in banks.SPLITS] == [220, 20, 60]
    assert not parts["train"] & parts["validation"] and not parts["train"] & parts["test"]


def test_of_60000_training_images_5000_are_for_validation(tmp_path, monkeypatch):
    x = np.zeros((60_000, 28, 28), "uint8")
    x[:, 0, 0], x[:, 0, 1] = np.arange(60_000) % 251, np.arange(60_000) // 251
    y = np.arange(60_000) % 10
    np.savez(tmp_path / "mnist.npz", x_train=x, y_train=y, x_test=255 - x[:20], y_test=y[:20])
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    (train, labels), (held_out, other) = images("mnist", "train"), images("mnist", "validation")
    assert train.shape == (55_000, 28, 28, 1) and held_out.shape == (5_000, 28, 28, 1)
    assert np.bincount(other, minlength=10).min() > 400, "every class is held out alike"
    number = train[:, 0, 0, 0] + 251 * train[:, 0, 1, 0].astype(int)
    np.testing.assert_array_equal(number % 10, labels)


def test_equal_images_are_never_in_two_splits(tmp_path, monkeypatch):
    x = np.repeat(strokes(40), 3, axis=0)  # each three times
    y = np.arange(120) % 10
    arrays = {"x_train": x[:108], "y_train": y[:108], "x_test": x[90:], "y_test": y[90:]}
    np.savez(tmp_path / "mnist.npz", **arrays)
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    parts = {s: [i.tobytes() for i in images("mnist", s)[0]] for s in banks.SPLITS}
    assert not set(parts["train"]) & set(parts["validation"])
    assert len(parts["train"]) + len(parts["validation"]) == 90, "those of the test part are out"
    assert not set(parts["test"]) & {*parts["train"], *parts["validation"]}
    assert len(images("mnist", "train")[1]) == len(parts["train"])


@pytest.mark.parametrize("bad", [
    {"name": "cifar"}, {"split": "val"}, {"size": 48}, {"frames": 0}, {"batch_size": 0},
    {"batch_size": 2.5}, {"seed": -1}, {"start": -1}, {"count": -2}, {"count": 3, "batch_size": 4},
    {"path": "x.npy"}, {"split": "test", "path": "x.npy"},
])  # fmt: skip
def test_bad_arguments_get_one_line(folder, bad):
    with pytest.raises(DataError) as caught:
        clips(**{"name": "mnist", **bad})
    assert "\n" not in str(caught.value)


# -- the fixed test set --------------------------------------------------------------------

FIXED_NUMBERS = "a3dd0639d9e935ce"
FIXED_PIXELS = "ab4c0c846f46db5b"
FIXED_MNIST = "eed3852dd7168422"


def test_the_fixed_test_set_is_always_the_same():
    """Its numbers: which test digit, and where it is, in the first 1,000 clips of 20 frames."""
    bank = np.zeros((10_000, 28, 28, 1), "uint8"), np.arange(10_000, dtype="int32")
    drawn = motion.draw(bank, seed=0, start=0, count=1000, frames=20)
    digest = hashlib.sha256(drawn["label"].astype("<i4").tobytes())
    digest.update(drawn["path"].astype("<i4").tobytes())
    assert digest.hexdigest()[:16] == FIXED_NUMBERS


def test_the_fixed_test_set_of_these_digits_is_always_the_same(folder):
    """Its pixels, from the digits of this test."""
    clip, _ = first(clips("mnist", "test", frames=20, batch_size=20), 3)
    assert hashlib.sha256(clip.tobytes()).hexdigest()[:16] == FIXED_PIXELS


if "VGZOO_DATA" in os.environ:

    def test_the_fixed_test_set_of_mnist_is_always_the_same():
        """Its pixels, from MNIST itself, where it is at hand: the first 100 clips."""
        clip, _ = first(clips("mnist", "test", frames=20, batch_size=50), 2)
        assert hashlib.sha256(clip.tobytes()).hexdigest()[:16] == FIXED_MNIST


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A small file in the published format, with its hash taken for the published one."""
    array = np.random.default_rng(0).integers(0, 256, (20, 10, 64, 64), "uint8")
    path = tmp_path / "elsewhere" / banks.PUBLISHED
    path.parent.mkdir()
    np.save(path, array)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(banks, "PUBLISHED_SHA256", digest)
    return path, np.moveaxis(array, 0, 1)[..., None]


def test_published_clips_are_the_test_split_when_named(folder, published):
    path, wanted = published
    dataset = clips("mnist", "test", frames=20, batch_size=5, path=path)
    assert len(dataset) == 2
    clip, label = first(dataset, 2)
    np.testing.assert_array_equal(clip, wanted)
    assert label.shape == (10, 2) and (label == -1).all()
    rest, _ = first(clips("mnist", "test", frames=8, batch_size=4, start=6, path=path))
    np.testing.assert_array_equal(rest, wanted[6:, :8])
    endless = clips("mnist", "test", frames=20, batch_size=4, start=8, count=-1, path=path)
    np.testing.assert_array_equal(first(endless)[0], wanted[[8, 9, 0, 1]])


def test_published_clips_are_the_test_split_when_they_lie_in_the_data_folder(folder, published):
    path, wanted = published
    made, _ = first(clips("mnist", "test", frames=20, batch_size=5))
    path.rename(folder / path.name)
    found, _ = first(clips("mnist", "test", frames=20, batch_size=5))
    np.testing.assert_array_equal(found, wanted[:5])
    assert not np.array_equal(made, found)
    for other in ({"frames": 21}, {"seed": 1}):  # what the file does not have is made
        _, label = first(clips("mnist", "test", **{"frames": 20, "batch_size": 5, **other}))
        assert (label >= 0).all()
    _, label = first(clips("mnist", "train", frames=20, batch_size=5))
    assert (label >= 0).all()


def test_published_clips_stay_on_the_disk(folder, published):
    assert isinstance(banks.published_clips(published[0]), np.memmap)


def test_a_file_that_is_not_the_published_one_is_refused(folder, published):
    path, _ = published
    clips("mnist", "test", frames=20, batch_size=5, path=path)
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    os.utime(path, (1, 1))
    match = "is not the published mnist_test_seq.npy"
    with pytest.raises(DataError, match=match) as caught:
        clips("mnist", "test", frames=20, batch_size=5, path=path)
    assert "\n" not in str(caught.value)
    path.rename(folder / banks.PUBLISHED)
    with pytest.raises(DataError, match=match):
        clips("mnist", "test", frames=20, batch_size=5)


def test_published_clips_do_not_have_more_than_they_have(folder, published):
    for other in ({"frames": 21}, {"seed": 1}):
        with pytest.raises(DataError, match="20 frames and one seed"):
            clips("mnist", "test", path=published[0], **{"frames": 20, **other})


# -- sources -------------------------------------------------------------------------------


def test_damaged_banks_get_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    path = tmp_path / "mnist.npz"

    def refused(match: str) -> None:
        banks._from_folder.cache_clear()
        with pytest.raises(DataError, match=match) as caught:
            images("mnist", "train")
        assert "\n" not in str(caught.value)

    refused("holds no mnist.npz")
    path.write_bytes(b"no zip")
    refused("is no image bank")
    write_mnist(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused("is no image bank")
    path.write_bytes(whole[:1000] + bytes(255 - b for b in whole[1000:1100]) + whole[1100:])
    refused("is no image bank")
    np.savez(path, x_test=strokes(20), y_test=np.zeros(20))
    refused("x_train")
    np.savez(path, x_train=strokes(20).astype("float32"), y_train=np.zeros(20))
    refused("uint8 images of 28×28")
    np.savez(path, x_train=strokes(20)[:, 2:], y_train=np.zeros(20))
    refused("uint8 images of 28×28")
    np.savez(path, x_train=strokes(20), y_train=np.zeros(19))
    refused("one label each")
    np.savez(path, x_train=strokes(3), y_train=np.zeros(3))
    refused("at least 12")


def test_a_change_of_the_data_folder_is_seen(folder, tmp_path_factory, monkeypatch):
    before = images("mnist", "test")[0]
    other = write_mnist(tmp_path_factory.mktemp("other"), train=24, test=12)
    monkeypatch.setenv("VGZOO_DATA", str(other))
    assert len(images("mnist", "test")[0]) == 12 != len(before)


def test_banks_cannot_be_changed_by_accident(folder):
    with pytest.raises(ValueError, match="read-only"):
        images("mnist", "train")[0][0] = 0


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """MNIST prepared on the disk as tensorflow_datasets prepares it, from small arrays."""
    import tensorflow_datasets as tfds

    folder = write_mnist(tmp_path)
    with np.load(folder / "mnist.npz") as bank:
        parts = {
            split: tf.data.Dataset.from_tensor_slices(
                {
                    "image": bank[f"x_{split}"][..., None],
                    "label": bank[f"y_{split}"].astype("int64"),
                }
            )
            for split in ("train", "test")
        }
    tfds.disable_progress_bar()
    official = tfds.builder("mnist", data_dir=tmp_path / "tfds")
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mnist",
        version=str(official.version),
        data_dir=tmp_path / "tfds",
        split_datasets=parts,
        features=official.info.features,
    )
    monkeypatch.delenv("VGZOO_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return folder


def test_a_seed_means_the_same_clips_whether_digits_come_from_tfds_or_a_folder(
    tfds_folder, monkeypatch
):
    prepared = {s: images("mnist", s) for s in banks.SPLITS}
    made = first(clips("mnist", "test", frames=3, batch_size=4))
    monkeypatch.setenv("VGZOO_DATA", str(tfds_folder))
    for split, (x, y) in prepared.items():
        np.testing.assert_array_equal(x, images("mnist", split)[0])
        np.testing.assert_array_equal(y, images("mnist", split)[1])
        assert x.dtype == np.uint8 and y.dtype == np.int32
    for got, wanted in zip(
        made, first(clips("mnist", "test", frames=3, batch_size=4)), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_without_any_source_one_line_says_what_to_do(monkeypatch):
    monkeypatch.delenv("VGZOO_DATA", raising=False)
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    banks._from_tfds.cache_clear()
    with pytest.raises(DataError, match="install it, or set VGZOO_DATA"):
        clips("mnist")
