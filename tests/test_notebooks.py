"""The notebooks run from top to bottom in a clean kernel, and are committed without output."""

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_runs(notebook, tmp_path, mnist_folder):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.reads(json.dumps(notebook), as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    shown = [
        output["data"].get("text/html", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type in ("display_data", "execute_result")
    ]
    assert any("data:image/gif" in html for html in shown), "no clip was shown"


def test_is_committed_clean(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        assert cell["metadata"] == {}


def test_has_a_colab_badge(notebook):
    assert "https://colab.research.google.com/assets/colab-badge.svg" in "".join(
        notebook["cells"][0]["source"]
    )
