"""Colour images from a folder or from tensorflow_datasets, and the clips made of them."""

import io

import numpy as np
import pytest
import tensorflow as tf
from colour_banks import PARTS, SPLITS, pictures, write_cifar10, write_imagenette
from PIL import Image

from vgzoo.data import banks, classes, clips, images, preview
from vgzoo.errors import DataError
from vgzoo.video import write


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    write_cifar10(tmp_path)
    write_imagenette(tmp_path)
    return tmp_path


def prepare(name: str, folder, parts: dict) -> None:
    """A dataset on the disk as tensorflow_datasets prepares it; parts: (images, labels) each."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    official = tfds.builder(name, data_dir=folder)
    features = official.info.features
    name, _, config = name.partition("/")

    def rows(x, y):
        columns = {"image": x, "label": y.astype("int64"), "id": [str(i) for i in range(len(x))]}
        return tf.data.Dataset.from_tensor_slices({k: columns[k] for k in features})

    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        config=config or None,
        version=str(official.version),
        data_dir=folder,
        split_datasets={part: rows(x, y) for part, (x, y) in parts.items()},
        features=features,
    )


# -- banks ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name, side", [("cifar10", 32), ("imagenette", 96)])
def test_splits_have_labels_and_share_no_image(folder, name, side):
    parts = {s: images(name, s) for s in banks.SPLITS}
    assert {s: len(x) for s, (x, _) in parts.items()} == SPLITS
    seen = [i.tobytes() for x, _ in parts.values() for i in x]
    assert len(set(seen)) == sum(SPLITS.values())
    for x, y in parts.values():
        assert x.shape[1:] == (side, side, 3) and x.dtype == np.uint8 and y.dtype == np.int32
        assert len(y) == len(x) and not x.flags.writeable and not y.flags.writeable


def test_each_image_keeps_its_label(folder):
    with np.load(folder / "cifar10.npz") as file:
        wanted = {x.tobytes(): int(y) for x, y in zip(file["x_test"], file["y_test"], strict=True)}
    for x, y in zip(*images("cifar10", "test"), strict=True):
        assert wanted[x.tobytes()] == y
    decoded = {np.asarray(Image.open(io.BytesIO(f))).tobytes(): i % 10
               for i, f in enumerate(write_imagenette(folder)["val"])}  # fmt: skip
    for x, y in zip(*images("imagenette", "test"), strict=True):
        assert decoded[x.tobytes()] == y


def test_cifar10_is_the_same_from_tfds_and_from_a_folder(folder, tmp_path, monkeypatch):
    with np.load(folder / "cifar10.npz") as file:
        parts = {part: (file[f"x_{part}"], file[f"y_{part}"]) for part in PARTS}
    wanted = {s: images("cifar10", s) for s in banks.SPLITS}
    prepare("cifar10", tmp_path / "tfds", parts)
    monkeypatch.delenv("VGZOO_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    for split, (x, y) in wanted.items():
        np.testing.assert_array_equal(images("cifar10", split)[0], x)
        np.testing.assert_array_equal(images("cifar10", split)[1], y)


def test_imagenette_from_tfds_is_cut_to_96_pixels(tmp_path, monkeypatch):
    # 160 pixels high and wider than that, as the real ones; the middle is a known colour.
    x = np.repeat(pictures(30, 160, 40), 5, axis=2)
    x[:, 32:128, 52:148] = np.arange(30, dtype="uint8")[:, None, None, None] * 8
    y = np.arange(30) % 10
    parts = {"train": (x[:18], y[:18]), "validation": (x[18:], y[18:])}
    prepare("imagenette/160px-v2", tmp_path, parts)
    monkeypatch.delenv("VGZOO_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    found = {}
    for split, count in {"train": 17, "validation": 1, "test": 12}.items():
        image, label = images("imagenette", split)
        assert image.shape == (count, 96, 96, 3)
        middle = image[:, 40:56, 40:56].mean((1, 2, 3))
        found[split] = np.round(middle / 8).astype(int)
        np.testing.assert_allclose(middle, 8 * found[split], atol=1)
        np.testing.assert_array_equal(label, found[split] % 10)
    assert set(found["test"]) == set(range(18, 30))
    assert sorted([*found["train"], *found["validation"]]) == list(range(18))


def test_damaged_banks_get_one_line(folder):
    def refused(match: str) -> None:
        banks._from_folder.cache_clear()
        with pytest.raises(DataError, match=match) as caught:
            images("imagenette", "test")
        assert "\n" not in str(caught.value)

    path = folder / "imagenette96.npz"
    with np.load(path) as file:
        whole = dict(file)
    np.savez(path, **{k: v for k, v in whole.items() if k != "x_val_offsets"})
    refused("needs x_val_jpeg and x_val_offsets and y_val")
    np.savez(path, **{**whole, "x_val_offsets": whole["x_val_offsets"] * 2})
    refused("do not fit")
    np.savez(path, **{**whole, "y_val": whole["y_val"][1:]})
    refused("one label a file")
    np.savez(path, **{**whole, "x_val_jpeg": 255 - whole["x_val_jpeg"]})
    refused("is no picture")
    path.unlink()
    refused("holds no imagenette96.npz")


# -- clips ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name, side", [("cifar10", 32), ("imagenette", 64)])
def test_a_batch_is_as_specified(folder, name, side):
    dataset = clips(name, batch_size=4, frames=5, flow=True)
    assert len(dataset) == SPLITS["train"] // 4
    assert dataset.element_spec == {
        "clip": tf.TensorSpec((4, 5, side, side, 3), tf.uint8),
        "label": tf.TensorSpec((4,), tf.int32),
        "flow": tf.TensorSpec((4, 4, side, side, 2), tf.float32),
        "visible": tf.TensorSpec((4, 4, side, side), tf.uint8),
    }
    assert set(clips(name, batch_size=4).element_spec) == {"clip", "label"}
    assert clips(name, batch_size=4).element_spec["clip"].shape[1] == 16


def test_smaller_frames_are_means_of_pixels_with_flow_in_their_pixels(folder):
    full, small = (next(iter(clips("cifar10", batch_size=3, frames=4, size=size, flow=True)))
                   for size in (32, 16))  # fmt: skip
    mean = full["clip"].numpy().reshape(3, 4, 16, 2, 16, 2, 3).mean((3, 5))
    np.testing.assert_array_equal(small["clip"], np.round(mean))
    flow = full["flow"].numpy().reshape(3, 3, 16, 2, 16, 2, 2).mean((3, 5)) / 2
    np.testing.assert_allclose(small["flow"], flow, atol=1e-4)


@pytest.mark.parametrize("workers", [2, 3])
def test_batches_of_all_workers_in_turn_are_those_of_one(folder, workers):
    options = {"frames": 2, "start": 5, "count": 4 * workers + 1}
    one = list(clips("cifar10", batch_size=2 * workers, **options).as_numpy_iterator())
    shards = [clips("cifar10", batch_size=2, shard=(i, workers), **options) for i in range(workers)]
    assert [len(s) for s in shards] == [2] * workers
    for whole, *parts in zip(one, *(s.as_numpy_iterator() for s in shards), strict=True):
        for key in whole:
            np.testing.assert_array_equal(np.concatenate([p[key] for p in parts]), whole[key])


def test_videos_in_a_folder_are_a_dataset(tmp_path):
    for i in range(3):
        clip = np.full((8, 16, 20, 3), 40 * i, "uint8")
        (tmp_path / str(i)).mkdir()
        write(tmp_path / str(i) / "a.webp", clip, scale=1)
    dataset = clips(str(tmp_path), frames=4, stride=2, size=8, batch_size=3, fps=10, crop="random")
    assert len(dataset) == 3
    assert dataset.element_spec["clip"] == tf.TensorSpec((3, 4, 8, 8, 3), tf.uint8)
    for batch in dataset.as_numpy_iterator():
        np.testing.assert_array_equal(batch["clip"][:, 0, 0, 0, 0], 40 * batch["label"])
    rest = next(clips(str(tmp_path), frames=4, stride=2, size=8, batch_size=2, fps=10,
                      crop="random", start=6).as_numpy_iterator())  # fmt: skip
    np.testing.assert_array_equal(rest["label"], batch["label"][:2])


def test_labels_have_names(folder, tmp_path):
    for name in ("mnist", "mnist-stochastic", "cifar10", "imagenette"):
        assert len(classes(name)) == len(set(classes(name))) == 10
    for part, kind in (("train", "walk"), ("test", "jump"), ("test", "empty")):
        (tmp_path / "films" / part / kind).mkdir(parents=True)
    for place in ("train/walk", "test/jump"):
        write(tmp_path / "films" / place / "a.webp", np.zeros((4, 8, 8, 3), "uint8"))
    assert classes(tmp_path / "films") == ("jump", "walk")
    with pytest.raises(DataError, match="no dataset 'cifar'"):
        classes("cifar")


@pytest.mark.parametrize("bad", [
    {"name": "cifar"}, {"size": 48}, {"shard": (2, 2)}, {"shard": (-1, 2)}, {"shard": 3},
    {"shard": (0, 40), "batch_size": 1}, {"stride": 2}, {"crop": "random"}, {"path": "x.npy"},
    {"name": "mnist", "flow": True}, {"name": ".", "flow": True}, {"name": ".", "crop": "no"},
])  # fmt: skip
def test_bad_arguments_get_one_line(folder, bad):
    with pytest.raises(DataError) as caught:
        clips(**{"name": "cifar10", **bad})
    assert "\n" not in str(caught.value)


def test_a_preview_is_a_sheet_of_the_first_clips(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = preview("cifar10", count=3, frames=4)
    assert path.name == "cifar10.png"
    sheet = np.asarray(Image.open(path))
    wanted = next(iter(clips("cifar10", batch_size=3, frames=4)))["clip"].numpy()
    assert sheet.shape == (3 * 34 - 2, 4 * 34 - 2, 3)
    np.testing.assert_array_equal(sheet[34:66, 68:100], wanted[1, 2])
    assert preview("cifar10", tmp_path / "x.gif", count=2, frames=3).stat().st_size > 0


def test_stills_are_the_images_each_once_a_pass(folder):
    images_, labels = images("cifar10")
    everything = clips("cifar10-stills", frames=1, batch_size=1, seed=4)
    seen = np.concatenate([batch["clip"] for batch in everything.as_numpy_iterator()])
    assert seen.shape == (len(images_), 1, 32, 32, 3)
    ours, theirs = (np.sort([x.tobytes() for x in part]) for part in (seen[:, 0], images_))
    assert (ours == theirs).all()
    n = len(images_)
    twice = clips("cifar10-stills", frames=1, batch_size=4, seed=4, start=n - 2, count=4)
    batch = next(twice.as_numpy_iterator())
    np.testing.assert_array_equal(batch["clip"][:2], seen[-2:])  # then the next pass begins
    same = (images_ == batch["clip"]).all(axis=(2, 3, 4))  # of each picture, with each image
    where = same.argmax(axis=1)
    np.testing.assert_array_equal(labels[where], batch["label"])
    other = next(clips("cifar10-stills", frames=1, batch_size=4, seed=5).as_numpy_iterator())
    assert (other["clip"] != seen[:4]).any()
    small = next(clips("cifar10-stills", frames=1, batch_size=2, size=16).as_numpy_iterator())
    assert small["clip"].shape == (2, 1, 16, 16, 3)
    for bad in ({"frames": 2}, {"frames": 1, "flow": True}):
        with pytest.raises(DataError, match="are pictures: ask for frames=1"):
            clips("cifar10-stills", **bad)
