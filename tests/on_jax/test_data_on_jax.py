"""Camera clips and videos under JAX, with no TensorFlow installed."""

import numpy as np
import pytest
from colour_banks import SPLITS, write_cifar10, write_imagenette
from tiny import TINY

from vgzoo import models, video
from vgzoo.data import camera, clips, images
from vgzoo.data.clips import SIDES
from vgzoo.layers.warp import warp


@pytest.fixture
def colour(tmp_path, monkeypatch):
    write_cifar10(tmp_path)
    write_imagenette(tmp_path)
    monkeypatch.setenv("VGZOO_DATA", str(tmp_path))
    return tmp_path


def bilinear(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """One pixel, by the definition."""
    x, y = np.clip([x, y], 0, len(image) - 1)
    left, top = np.minimum([int(x), int(y)], len(image) - 2)
    corners = image[top : top + 2, left : left + 2]
    a, b = x - left, y - top
    return np.einsum("y,x,yxc->c", [1 - b, b], [1 - a, a], corners)


@pytest.mark.parametrize("name", ["cifar10", "imagenette"])
def test_camera_clips_show_the_images_of_the_split_along_the_path(colour, name):
    dataset = clips(name, frames=4, batch_size=3, seed=5, start=2)
    assert len(dataset) == SPLITS["train"] // 3
    batch = {k: np.asarray(v) for k, v in dataset[1].items()}
    side, bank = SIDES[name], images(name)
    assert batch["clip"].shape == (3, 4, side, side, 3) and batch["clip"].dtype == np.uint8
    drawn = camera.draw(bank, seed=5, start=5, count=3, frames=4, side=side)
    np.testing.assert_array_equal(batch["label"], drawn["label"])
    for b, t, y, x in np.ndindex(3, 4, 3, 3):
        y, x = (side - 1) * y // 2, (side - 1) * x // 2
        wanted = bilinear(drawn["image"][b], *(drawn["views"][b, t] @ (x, y, 1)))
        np.testing.assert_allclose(batch["clip"][b, t, y, x], wanted, atol=0.51)


def test_the_next_frame_fetched_along_the_flow_is_this_frame(colour):
    batch = clips("imagenette", frames=3, batch_size=4, flow=True)[0]
    batch = {k: np.asarray(v) for k, v in batch.items()}
    assert batch["flow"].shape == (4, 2, 64, 64, 2) and batch["flow"].dtype == np.float32
    later = batch["clip"][:, 1:].reshape(-1, 64, 64, 3).astype("float32")
    fetched, _ = warp(later, batch["flow"].reshape(-1, 64, 64, 2))
    now = batch["clip"][:, :-1].reshape(later.shape)
    seen = batch["visible"].reshape(-1, 64, 64) == 1
    assert np.abs(np.asarray(fetched) - now)[seen].mean() < 1 < np.abs(later - now).mean()


def test_workers_in_turn_see_what_one_would(colour):
    one = clips("cifar10", frames=2, batch_size=4, start=3)
    two = [clips("cifar10", frames=2, batch_size=2, start=3, shard=(i, 2)) for i in (0, 1)]
    assert len(one) == len(two[0]) == len(two[1])
    for i in range(len(one)):
        both = np.concatenate([part[i]["clip"] for part in two])
        np.testing.assert_array_equal(both, one[i]["clip"])


def test_a_model_trains_on_colour_clips(colour):
    model = models.build("r3gan", **{**TINY["r3gan"], "channels": 3})
    model.compile()
    data = clips("cifar10", frames=6, size=16, batch_size=4, count=8)
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()


def test_videos_of_a_folder_are_read(tmp_path):
    video.write(tmp_path / "a.webp", np.full((8, 16, 16, 3), 70, "uint8"), scale=1)
    batch = clips(tmp_path, frames=4, size=8, batch_size=2)[0]
    assert batch["clip"].shape == (2, 4, 8, 8, 3) and (np.asarray(batch["clip"]) == 70).all()
    np.testing.assert_array_equal(batch["label"], [-1, -1])
