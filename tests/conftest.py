"""What the tests share: digits where there are none, a Hub."""

import os
import shutil
from pathlib import Path

import pytest
from tiny import write_mnist

collect_ignore = ["benchmarks"]  # scripts, which need PyTorch


@pytest.fixture(scope="session")
def mnist_folder(tmp_path_factory):
    """`VGZOO_DATA`; where it is not set, until the session ends, a folder of strokes for digits.

    So the tests need no network. What a test says about moving strokes holds for moving digits.
    """
    if folder := os.environ.get("VGZOO_DATA"):
        yield Path(folder)
        return
    folder = write_mnist(tmp_path_factory.mktemp("data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGZOO_DATA", str(folder))
        yield folder


@pytest.fixture(scope="session")
def tiny_gan():
    """A model whose weights folder is small; nobody trains it."""
    from hub_helpers import TINY

    from vgzoo import models

    return models.build("r3gan", **TINY)


@pytest.fixture(scope="session")
def saved_gan(tiny_gan, tmp_path_factory) -> Path:
    from hub_helpers import save_tiny

    return save_tiny(tiny_gan, tmp_path_factory.mktemp("saved"))


@pytest.fixture
def folder(saved_gan, tmp_path) -> Path:
    """A copy of `tiny_gan`'s weights folder, called "tiny", for a test of its own."""
    return Path(shutil.copytree(saved_gan, tmp_path / "tiny"))


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
