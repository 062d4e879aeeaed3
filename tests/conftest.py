"""What the tests share: which of them a backend runs, digits where there are none, a Hub."""

import os
from pathlib import Path

import numpy as np
import pytest

# `KERAS_BACKEND=jax pytest tests/jax` runs those, in an environment that has no TensorFlow.
collect_ignore = [] if os.environ.get("KERAS_BACKEND") == "jax" else ["jax"]


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory):
    """`VGZOO_DATA`; where it is not set, until the session ends, a folder of bars for digits.

    So the tests need no network. Bars move and are learned as digits are, and what a test says
    about them holds for digits.
    """
    if folder := os.environ.get("VGZOO_DATA"):
        yield Path(folder)
        return
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    parts = {}
    for split, count in (("train", 5_200), ("test", 200)):  # the last 5,000 are for validation
        labels = rng.integers(0, 10, count).astype("uint8")
        images = np.zeros((count, 28, 28), "uint8")
        for image, label in zip(images, labels, strict=True):
            image[4:24, 4 + 2 * label : 6 + 2 * label] = 255
        parts |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez_compressed(folder / "mnist.npz", **parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGZOO_DATA", str(folder))
        yield folder


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A Hub on loopback that the real client talks to, with an empty cache."""
    from hub_server import HubServer
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    from vgzoo import _remote

    disable_progress_bars()
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(_remote, "WAITS", (0, 0))
    with HubServer() as started:
        monkeypatch.setenv("HF_ENDPOINT", started.url)
        yield started
