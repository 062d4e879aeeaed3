"""What `import vgzoo` gives, and what it costs."""

import ast
import re
import subprocess
import sys

import pytest

import vgzoo

HEAVY = ("keras", "tensorflow", "jax", "torch", "numpy", "rich", "typer", "huggingface_hub")


def python(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True)


def test_import_loads_nothing_heavy():
    code = "import sys, vgzoo; vgzoo.list_models(); print(sorted(set(sys.argv) & set(sys.modules)))"
    assert python("-c", code, *HEAVY).stdout.strip() == "[]"


def test_import_takes_less_than_50_ms():
    runs = [python("-X", "importtime", "-c", "import vgzoo").stderr for _ in range(3)]
    times = [int(re.search(r"(\d+) \| vgzoo$", run, re.MULTILINE)[1]) for run in runs]
    assert min(times) < 50_000  # µs


@pytest.mark.parametrize("name", vgzoo.__all__)
def test_every_public_name_is_there(name):
    assert getattr(vgzoo, name) is not None
    assert name in dir(vgzoo)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        vgzoo.lod  # noqa: B018
    with pytest.raises(ImportError):
        from vgzoo import lod  # noqa: F401


def test_editors_see_the_same_names_as_python():
    tree = ast.parse(open(vgzoo.__file__, encoding="utf-8").read())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.name for node in imports for alias in node.names) == vgzoo.__all__
    for node in imports:
        for alias in node.names:
            if node.module != "vgzoo":
                assert getattr(vgzoo, alias.name).__module__ == node.module
