"""From a name or a folder to a model, and back to a folder."""

import json
import shutil

import numpy as np
from hub_helpers import TINY, content, edit, refused

from vgzoo import hub, models, registry
from vgzoo.errors import UnknownModelError, VgzooError


def test_save_and_load_give_the_same_clips(tiny_gan, folder):
    loaded = hub.load(folder)
    assert loaded.built and loaded.name == "tiny"
    np.testing.assert_array_equal(loaded.generate(3, seed=1), tiny_gan.generate(3, seed=1))


def test_half_precision_halves_the_file_and_rounds_the_weights(tiny_gan, folder, tmp_path):
    half = hub.save(tiny_gan, tmp_path / "half", half=True)
    sizes = [(f / "model.safetensors").stat().st_size for f in (half, folder)]
    assert sizes[0] < 0.75 * sizes[1]
    for ours, theirs in zip(
        hub.load(half).generator.weights, tiny_gan.generator.weights, strict=True
    ):
        rounded = theirs.numpy().astype("float16").astype("float32")
        np.testing.assert_array_equal(ours.numpy(), rounded)


def test_load_takes_a_dtype_policy(folder):
    loaded = hub.load(folder, dtype="mixed_bfloat16")
    assert loaded.compute_dtype == "bfloat16"
    assert loaded.generate(1).dtype == np.uint8
    with refused("'half' is no Keras dtype policy", kind=VgzooError):
        hub.load(folder, dtype="half")


def test_a_folder_is_found_by_its_bare_name(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    for name in ("tiny", "./tiny", str(folder), folder):
        assert hub.resolve(name).resolve() == folder


def test_bundled_comes_before_a_folder_of_the_same_name(folder, tmp_path, monkeypatch):
    root = tmp_path / "weights"
    shutil.copytree(folder, root / "tiny")
    monkeypatch.setattr(registry, "weights_root", lambda: root)
    monkeypatch.chdir(folder.parent)
    assert hub.resolve("tiny") == root / "tiny"
    assert hub.resolve("./tiny").resolve() == folder


def test_saving_again_keeps_what_is_known(folder, tmp_path):
    loaded = hub.load(folder)
    edit(folder, license={"code": "MIT", "weights": "MIT", "data": "CC-BY-SA-3.0"})
    loaded = hub.load(folder)
    (folder / "metrics.json").write_text('{"values": {"fvd": 3.0}}')
    hub.save(loaded, folder, license="CC0-1.0")
    config = json.loads((folder / "config.json").read_text())
    assert (config["dataset"], config["clip"]["fps"]) == ("mnist", 8)
    assert config["license"] == {"code": "MIT", "weights": "CC0-1.0", "data": "CC-BY-SA-3.0"}
    assert json.loads((folder / "train.json").read_text()) == {"steps": 12}
    assert "fvd" in (folder / "README.md").read_text()


def test_a_readme_of_ones_own_survives_a_save(tiny_gan, folder):
    (folder / "README.md").write_text("# mine\n")
    hub.save(tiny_gan, folder)
    assert (folder / "README.md").read_text() == "# mine\n"


def test_a_failed_save_leaves_the_old_folder_and_no_litter(folder):
    before = content(folder)
    broken = models.build("r3gan", **TINY)
    broken.generator.weights[0].assign(broken.generator.weights[0] * np.nan)
    with refused("not finite", "checkpoint"):
        hub.save(broken, folder)
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_save_refuses_a_folder_of_other_things(tiny_gan, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with refused("thesis.tex", "another folder"):
        hub.save(tiny_gan, tmp_path / "home")
    assert (tmp_path / "home" / "thesis.tex").exists()


def test_save_refuses_half_precision_that_overflows(tmp_path):
    big = models.build("r3gan", **TINY)
    big.generator.weights[0].assign(big.generator.weights[0] * 0 + 1e6)
    with refused("beyond float16", "half=False"):
        hub.save(big, tmp_path / "big", half=True)


def test_the_discriminator_is_read_when_fine_tuning_starts(tiny_gan, folder):
    loaded = hub.load(folder)

    def same() -> bool:
        pairs = zip(loaded.discriminator.weights, tiny_gan.discriminator.weights, strict=True)
        return all(np.array_equal(a.numpy(), b.numpy()) for a, b in pairs)

    assert not same()
    loaded.compile()
    assert same()


def test_saving_before_fine_tuning_keeps_the_discriminator(folder, tmp_path):
    copy = hub.save(hub.load(folder), tmp_path / "copy")
    file = "discriminator.safetensors"
    assert (copy / file).read_bytes() == (folder / file).read_bytes()


def test_a_discriminator_exchanged_after_loading_is_refused(folder):
    loaded = hub.load(folder)
    (folder / "discriminator.safetensors").write_bytes(b"x" * 10)
    with refused("discriminator.safetensors", "truncated"):
        loaded.compile()


def test_wrong_names_say_what_to_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights" / "r3gan-mnist").mkdir(parents=True)
    (tmp_path / "weights" / "r3gan-mnist" / "config.json").write_text("{}")
    monkeypatch.setattr(registry, "weights_root", lambda: tmp_path / "weights")
    for name, said in {
        "r3gan-minst": "did you mean 'r3gan-mnist'?",
        "someone/tiny": "hf://someone/tiny",
        "./gone": "check the path",
        "": "no model named ''",
    }.items():
        with refused(said, kind=UnknownModelError):
            hub.load(name)
    for name, said in {"hf://tiny": "owner/name", "hf://a/../b": "owner/name"}.items():
        with refused(said):
            hub.load(name)
    with refused("no revisions"):
        hub.load("r3gan-mnist", revision="v1")
    with refused("give one"):
        hub.load("hf://someone/tiny@v1", revision="v2")
