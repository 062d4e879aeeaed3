"""The README says what is so: its table, its Python, its commands."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer.main

import vgzoo
from vgzoo import _readme, cli, hub, models, registry

TEXT = _readme.README.read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    """Every `vgzoo …` of the shell lines."""
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [part[part.index("vgzoo ") :] for part in parts if re.match(r"(\w+=\w+ )?vgzoo ", part)]


def test_the_table_is_that_of_the_weights():
    assert _readme.updated(TEXT) == TEXT, "run `python -m vgzoo._readme`"


def test_the_table_has_a_row_for_each_model(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "weights_root", lambda: tmp_path)
    sizes = dict(frames=4, height=8, width=8, widths=[4], discriminator_widths=[4])
    for name in ("b-2", "b-10"):
        hub.save(models.build("r3gan", **sizes), tmp_path / name, dataset="mnist")
    (tmp_path / "b-2" / "metrics.json").write_text('{"values": {"fvd": 12.345678}}')
    rows = _readme.table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == ["b-2", "b-10"]
    assert "| 4×8×8 grey |" in rows[0] and "| fvd 12.35 |" in rows[0]
    assert "| – |" in rows[1]


def test_a_readme_without_a_place_for_the_table_is_refused():
    with pytest.raises(ValueError, match="<!-- models -->"):
        _readme.updated("# vgzoo")


def test_the_quickstart_runs(tmp_path, monkeypatch, mnist_folder):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "README.md", "exec"), {})
    assert Path("digits.mp4").stat().st_size > 0
    assert Path("my-model/model.safetensors").is_file()


@pytest.mark.parametrize("block", blocks("python"))
def test_python_names_exist(block):
    used = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Attribute)]
    names = {n.attr for n in used if isinstance(n.value, ast.Name) and n.value.id == "vgzoo"}
    assert names and names <= set(vgzoo.__all__)


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command):
    _, verb, *arguments = shlex.split(command)
    verbs = typer.main.get_command(cli.app).commands
    # Parses the arguments and runs nothing; a wrong option or a missing argument raises.
    verbs[verb].make_context(verb, arguments)


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http)([^)]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (_readme.README.parent / target).exists()
