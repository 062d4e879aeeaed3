"""Listing and finding bundled models."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vgzoo import registry
from vgzoo.errors import HubError, UnknownModelError


def entry(root: Path, name: str, family: str, task: str, dataset: str, weights: bool = True):
    folder = root / name
    folder.mkdir(parents=True)
    tensors = {"model.safetensors": {"sha256": "0" * 64, "size": 70}}
    tensors["discriminator.safetensors"] = {"sha256": "0" * 64, "size": 30}
    config = {"name": name, "family": family, "tasks": ["x", task], "dataset": dataset}
    (folder / "config.json").write_text(json.dumps(config | {"tensors": tensors}))
    if weights:
        (folder / "model.safetensors").write_bytes(b"")


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    root = tmp_path / "weights"
    entry(root, "gan-mnist-10", "gan", "generate", "mnist")
    entry(root, "gan-mnist-2", "gan", "generate", "mnist", weights=False)
    entry(root, "flow-cifar10", "flow", "log-prob", "cifar10")
    entry(root, "vae-mnist", "vae", "encode", "mnist")
    (root / "notes").mkdir()
    monkeypatch.setattr(registry, "weights_root", lambda: root)
    return root


def test_names_are_in_natural_order(root):
    names = ["flow-cifar10", "gan-mnist-2", "gan-mnist-10", "vae-mnist"]
    assert registry.list_models() == names


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"pattern": "*MNIST*"}, ["gan-mnist-2", "gan-mnist-10", "vae-mnist"]),
        ({"pattern": "vae-mnist"}, ["vae-mnist"]),
        ({"pattern": "mnist"}, []),
        ({"pattern": ["vae*", "flow*"]}, ["flow-cifar10", "vae-mnist"]),
        ({"exclude": "gan*"}, ["flow-cifar10", "vae-mnist"]),
        ({"exclude": ["gan*", "vae*"]}, ["flow-cifar10"]),
        ({"family": "gan"}, ["gan-mnist-2", "gan-mnist-10"]),
        ({"family": ["gan", "vae"], "dataset": "mnist", "exclude": "*2"},)
        + (["gan-mnist-10", "vae-mnist"],),
        ({"task": "encode"}, ["vae-mnist"]),
        ({"dataset": "cifar*"}, ["flow-cifar10"]),
        ({"pretrained": True, "family": "gan"}, ["gan-mnist-10"]),
        ({"pretrained": False}, ["gan-mnist-2"]),
    ],
)
def test_filters(root, asked, names):
    assert registry.list_models(**asked) == names


def test_info_is_the_config_and_what_it_weighs(root):
    (root / "vae-mnist" / "metrics.json").write_text('{"n": 5}')
    info = registry.info("vae-mnist")
    assert (info["family"], info["source"], info["size_bytes"]) == ("vae", "bundled", 100)
    assert info["metrics"] == {"n": 5}
    assert registry.info("flow-cifar10")["metrics"] is None


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("gan-mnist-20", "gan-mnist-10"), ("VAE_mnist", "vae-mnist"), ("cifar10", "flow-cifar10")],
)
def test_a_wrong_name_raises_with_the_near_ones(root, wrong, near):
    with pytest.raises(UnknownModelError, match=f"did you mean .*'{near}'") as error:
        registry.find(wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", ["qqqqqqqq", "../weights/vae-mnist", "vae-mnist/", ".", ""])
def test_only_names_are_found(root, wrong):
    with pytest.raises(UnknownModelError, match="vgzoo list"):
        registry.find(wrong)


def test_a_broken_entry_is_named(root):
    (root / "vae-mnist" / "config.json").write_text("{")
    with pytest.raises(HubError, match="vae-mnist/config.json is not JSON"):
        registry.list_models()


def test_a_hundred_entries_list_in_well_under_a_second(root):
    for i in range(100):
        entry(root, f"many-{i}", "gan", "generate", "mnist")
    start = time.perf_counter()
    assert len(registry.list_models("many-*")) == 100
    assert time.perf_counter() - start < 0.3


def test_listing_imports_no_array_library():
    code = (
        "import sys; from vgzoo import registry; registry.list_models()\n"
        "print([m for m in ('numpy', 'keras', 'tensorflow', 'jax', 'safetensors')"
        " if m in sys.modules])"
    )
    root = Path(registry.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
