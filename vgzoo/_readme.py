"""The README's table of models, made from `weights/*/` by `python -m vgzoo._readme`."""

import re
from pathlib import Path

from vgzoo import _report, registry

README = Path(__file__).resolve().parent.parent / "README.md"
_PLACE = re.compile(r"(?<=<!-- models -->\n).*?(?=<!-- /models -->)", re.DOTALL)
_HEAD = ("Model", "Family", "Tasks", "Trained on", "Clips", "Params", "Size", "Metrics")


def updated(text: str) -> str:
    """The README's text with its table as the weights folders have it now.

    Raises:
        ValueError: the text has no `<!-- models -->` … `<!-- /models -->` to put it in.
    """
    if len(_PLACE.findall(text)) != 1:
        raise ValueError("the README needs <!-- models --> and <!-- /models --> once each")
    return _PLACE.sub(lambda _: table(), text)


def table() -> str:
    """A Markdown table with a row for each bundled model."""
    rows = [_HEAD, ("---",) * len(_HEAD), *map(_row, registry.list_models())]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str) -> tuple[str, ...]:
    entry = registry.info(name)
    return (
        f"[`{name}`](weights/{name})",
        entry["family"],
        ", ".join(entry["tasks"]),
        entry["dataset"],
        _report.clip(entry["clip"]),
        _report.params(entry["params"]),
        _report.size(entry["size_bytes"]),
        _report.metrics(entry["metrics"]) or "–",
    )


if __name__ == "__main__":
    README.write_text(updated(README.read_text(encoding="utf-8")), encoding="utf-8")
