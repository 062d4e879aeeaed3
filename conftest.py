"""What tests and the examples in docstrings share."""

import pytest
from _pytest.doctest import DoctestItem


@pytest.fixture(autouse=True)
def examples_leave_nothing_behind(request, monkeypatch):
    """An example may write files; it does so in a folder of its own."""
    if isinstance(request.node, DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
