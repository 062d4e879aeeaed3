"""Folders that must not be loaded, and the one line that says so."""

import os
import pickle
import shutil

import numpy as np
import pytest
from hub_helpers import TINY, edit, edit_entry, edit_tensors, refused

from vgzoo import hub, models


def a_pickle(folder):
    (folder / "extra.pkl").write_bytes(pickle.dumps([1]))


def a_pickle_in_disguise(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps([1]))
    edit_entry(folder)


def a_link(folder):
    outside = folder.parent / "outside.safetensors"
    shutil.move(folder / "model.safetensors", outside)
    (folder / "model.safetensors").symlink_to(outside)


def tensors_at(path):
    return lambda folder: edit(folder, tensors={path: {"sha256": "0" * 64, "size": 1}})


def renamed(tensors):
    first, *rest = tensors
    return {"elsewhere": tensors[first], **{k: tensors[k] for k in rest}}


def fewer(tensors):
    return dict(list(tensors.items())[1:])


def reshaped(tensors):
    return {k: v.reshape(-1) if v.ndim > 1 else v for k, v in tensors.items()}


def recast(tensors):
    return {k: v.astype("float64") for k, v in tensors.items()}


def with_nan(tensors):
    return {k: v * np.float32("nan") for k, v in tensors.items()}


def with_inf(tensors):
    return {k: v + np.float32("inf") for k, v in tensors.items()}


REFUSALS = {
    "pickle": (a_pickle, "extra.pkl", "remove it"),
    "keras archive": (lambda f: (f / "m.keras").write_bytes(b""), "m.keras", "remove it"),
    "pickle in disguise": (a_pickle_in_disguise, "no safetensors file"),
    "link": (a_link, "link to outside"),
    "unknown arch": (lambda f: edit(f, arch="os"), "unknown arch 'os'", "pip install"),
    "base is no arch": (lambda f: edit(f, arch="base"), "unknown arch 'base'"),
    "absolute path": (tensors_at("/etc/passwd"), "'/etc/passwd' is not one of"),
    "path upwards": (tensors_at("../model.safetensors"), "'../model.safetensors' is not one of"),
    "newer format": (lambda f: edit(f, format=2), "format 2", "pip install -U"),
    "newer format of other fields": (lambda f: edit(f, format=9, shape=1), "format 9"),
    "unknown field": (lambda f: edit(f, code="x"), "unknown field 'code'"),
    "wrong type": (lambda f: edit(f, params="many"), "'params' is 'many'", "wanted int"),
    "truth is no number": (lambda f: edit(f, params=True), "'params' is True"),
    "no JSON": (lambda f: (f / "config.json").write_text("{"), "no JSON"),
    "JSON list": (lambda f: (f / "config.json").write_text("[]"), "holds a list"),
    "deep JSON": (lambda f: (f / "config.json").write_text("[" * 10**5), "no JSON"),
    "no bytes of text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "no JSON"),
    "infinite number": (lambda f: edit(f, params=float("inf")), "no JSON"),
    "huge config": (lambda f: edit(f, dataset="x" * 2**20), "at most"),
    "no config": (lambda f: (f / "config.json").unlink(), "no config.json"),
    "stale params": (lambda f: edit(f, params=7), "says 7 params"),
    "missing tensors": (lambda f: (f / "model.safetensors").unlink(), "is missing"),
    "kwargs refused": (lambda f: edit(f, kwargs=TINY | {"frames": -1}), "refuses", "frames"),
    "unknown kwarg": (lambda f: edit(f, kwargs=TINY | {"depth": 9}), "refuses", "depth"),
    "kwargs of another size": (lambda f: edit(f, kwargs=TINY | {"waves": 8}), "of shape"),
    "an object to build": (
        lambda f: edit(f, kwargs=TINY | {"gamma": {"class_name": "Lambda"}}),
        "'gamma' is no plain value",
    ),
    "dtype as kwarg": (lambda f: edit(f, kwargs=TINY | {"dtype": "float16"}), "'dtype'"),
    "renamed tensor": (lambda f: edit_tensors(f, renamed), "lacks tensor"),
    "extra tensor": (
        lambda f: edit_tensors(f, lambda t: t | {"more": np.ones(2, "float32")}),
        "unknown tensor 'more'",
    ),
    "fewer tensors": (lambda f: edit_tensors(f, fewer), "lacks tensor"),
    "reshaped tensor": (lambda f: edit_tensors(f, reshaped), "of shape"),
    "recast tensor": (lambda f: edit_tensors(f, recast), "as F64, wanted F32"),
    "dtype that is not so": (lambda f: edit(f, dtype="float16"), "as F32, wanted F16"),
    "NaN": (lambda f: edit_tensors(f, with_nan), "not finite"),
    "infinity": (lambda f: edit_tensors(f, with_inf), "not finite"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal(case, folder):
    damage, *said = REFUSALS[case]
    hub.resolve(folder)  # good until then
    damage(folder)
    with refused(str(folder), *said):
        hub.load(folder)


def test_tensors_that_the_architecture_has_no_place_for(folder, monkeypatch):
    r3gan = models.model_class("r3gan")
    monkeypatch.setattr(r3gan, "tensor_groups", lambda self: {"model": self.generator.weights})
    with refused("no use for discriminator.safetensors"):
        hub.load(folder)


def test_nothing_of_a_folder_is_executed(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    for name in ("model.safetensors", "golden.npz"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
    (folder / "r3gan.py").write_text(f"import os; os.mkdir({str(tmp_path / 'executed')!r})")
    edit_entry(folder)
    with refused("no safetensors file"):
        hub.load(folder)
    assert not (tmp_path / "executed").exists()
