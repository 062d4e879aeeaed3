"""What the commands share: where words go, and how clips get into a file."""

import contextlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from vgzoo.errors import VgzooError

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check_out(out: Path, fps: float | None) -> None:
    """Raises before the work is done what writing would raise after it."""
    import numpy as np

    from vgzoo import video
    from vgzoo.errors import VideoError

    if not out.absolute().parent.is_dir():
        raise VgzooError(f"no folder {str(out.parent)!r} for --out; make it first")
    if out.is_dir():
        raise VgzooError(f"--out {str(out)!r} is a folder; name a file in it, such as clips.gif")
    with tempfile.TemporaryDirectory() as scratch:
        trial = Path(scratch, out.name)
        try:
            black = np.zeros((1, 16, 16, 1), "uint8")
            video.write(trial, black, fps=10 if fps is None else fps)
        except VideoError as error:
            raise VideoError(str(error).replace(str(trial), str(out))) from error


def whole_numbers(text: str | None, option: str) -> list[int] | None:
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError as error:
        raise VgzooError(f"{option} is {text!r}; wanted whole numbers such as 3,1,4") from error


def progress() -> contextlib.AbstractContextManager:
    """Where bars are drawn: standard output is for results."""
    return contextlib.redirect_stdout(sys.stderr)


def tell(content: object, as_json: bool, table: str) -> None:
    """Prints a report as JSON, or as the table that `_report` has for it."""
    if as_json:
        return print_json(content)
    from vgzoo import _report

    getattr(_report, table)(content)


def print_json(content: object) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


def fail(message: str) -> int:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    return 2
