"""What the tests of weights folders share: a tiny model, ways to damage a folder, refusals."""

import json
from pathlib import Path

from safetensors.numpy import load_file, save_file

from vgzoo import _folder, hub
from vgzoo.errors import HubError

TINY = dict(
    frames=4,
    height=8,
    width=8,
    widths=[4],
    discriminator_widths=[4],
    content=4,
    motion=4,
    waves=4,
)


def save_tiny(model, parent: Path) -> Path:
    """A weights folder called "tiny" with a recipe in it."""
    folder = hub.save(model, parent / "tiny", dataset="mnist", fps=8)
    (folder / "train.json").write_text('{"steps": 12}')
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def edit(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(folder: Path, change, file: str = "model.safetensors") -> None:
    """Rewrites a tensor file; the config is made to agree, so that only the change is wrong."""
    tensors = change(load_file(folder / file))
    save_file(tensors, folder / file)
    config = json.loads((folder / "config.json").read_text())
    config["tensors"][file] = _folder.file_entry(folder / file)
    config["params"] = _folder.count_params(folder / "model.safetensors", "")
    (folder / "config.json").write_text(json.dumps(config))


class refused:
    """`with refused("what"):` expects a HubError of one line that says so."""

    def __init__(self, *said: str, kind=HubError):
        self.said, self.kind = said, kind

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        assert error is not None, f"nothing was refused, though it should say {self.said}"
        if not isinstance(error, self.kind):
            return False
        assert "\n" not in str(error) and len(str(error)) < 500
        for said in self.said:
            assert said in str(error)
        return True


def edit_entry(folder):
    config = json.loads((folder / "config.json").read_text())
    config["tensors"]["model.safetensors"] = _folder.file_entry(folder / "model.safetensors")
    edit(folder, tensors=config["tensors"])
