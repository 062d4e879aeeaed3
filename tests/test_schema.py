"""Every bundled entry says what is so: fields, hashes, sizes, counts, card.

The same checks run over a folder that the test saves itself, and each of them is seen to fail
there, so that a check that cannot fail does not pass for one.
"""

import json
import math
import shutil
from pathlib import Path

import pytest

from vgzoo import _folder, _schema, card, hub, models, registry

MIB = 2**20
TINY = dict(frames=4, height=8, width=8, widths=[4], discriminator_widths=[4], waves=4)


def check_entry(folder: Path) -> None:
    """Raises if the folder is not a bundled entry whose every field is right."""
    config = _folder.verify(folder)
    model = models.build(config["arch"], **config["kwargs"])
    variables = model.tensor_groups()["model"]
    truth = {
        "name": folder.name,
        "kwargs": json.loads(json.dumps(model.get_config())),
        "family": model.family,
        "tasks": list(model.tasks),
        "clip": {**model.clip_spec, "fps": config["clip"]["fps"]},
        "params": sum(math.prod(v.shape) for v in variables),
        "references": list(model.references),
    }
    for field, value in truth.items():
        assert config[field] == value, f"{folder.name}: stale {field}"
    readme = (folder / "README.md").read_text()
    assert readme == card.of(folder, folder.name), f"{folder.name}: stale README.md"


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "weights_root", lambda: root)
        return hub.save(models.build("r3gan", **TINY), root / "tiny", dataset="mnist")


@pytest.fixture
def folder(saved, tmp_path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


@pytest.mark.parametrize("name", registry.list_models())
def test_bundled_entry(name):
    folder = registry.find(name)
    check_entry(folder)
    model = hub.load(name)
    sample = ["sample.gif"] if "generate" in model.tasks else []
    for file in ("train.json", "golden.npz", *sample):
        assert (folder / file).is_file(), f"{name}: no {file}"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 16 * MIB


def test_all_bundled_weights_fit_in_a_wheel():
    sizes = [path.stat().st_size for path in registry.weights_root().rglob("*") if path.is_file()]
    assert sum(sizes) < 90 * MIB


def test_a_saved_folder_is_a_valid_entry(folder):
    check_entry(folder)


def change(folder: Path, edit) -> None:
    config = json.loads((folder / "config.json").read_text())
    edit(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("field", sorted(_schema.SCHEMA.keys() - _schema.OPTIONAL))
def test_a_missing_field_fails(folder, field):
    change(folder, lambda config: config.pop(field))
    with pytest.raises(_folder.HubError, match=f"no field '{field}'"):
        check_entry(folder)


@pytest.mark.parametrize("field", ["clip", "license"])
def test_an_unknown_nested_field_fails(folder, field):
    change(folder, lambda config: config[field].update(more="x"))
    with pytest.raises(_folder.HubError, match="unknown field 'more'"):
        check_entry(folder)


STALE = {
    "name": lambda c: c.update(name="other"),
    "kwargs": lambda c: c["kwargs"].pop("gamma"),
    "family": lambda c: c.update(family="vae"),
    "tasks": lambda c: c["tasks"].append("edit"),
    "clip": lambda c: c["clip"].update(frames=5),
    "params": lambda c: c.update(params=c["params"] + 1),
    "references": lambda c: c["references"].pop(),
    "size": lambda c: c["tensors"]["model.safetensors"].update(size=1),
    "sha256": lambda c: c["tensors"]["discriminator.safetensors"].update(sha256="0" * 64),
    "dataset": lambda c: c.update(dataset="cifar10"),  # seen in the card
}


@pytest.mark.parametrize("field", STALE)
def test_a_stale_field_fails(folder, field):
    change(folder, STALE[field])
    with pytest.raises((_folder.HubError, AssertionError)):
        check_entry(folder)
