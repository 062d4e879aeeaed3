"""Learning curves: `log.csv`, a line for each epoch, and what it looks like, `curves.png`."""

import csv
import math
from pathlib import Path

import numpy as np
from PIL import Image

LOG = "log.csv"
PICTURE = "curves.png"
_COLUMNS = 3


def read(out: Path) -> list[dict[str, float]]:
    """The lines of a run's log; one that a full disk or a kill cut off is left out."""
    path = out / LOG
    if not path.exists():
        return []
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({key: float(value) for key, value in row.items()})
            except (TypeError, ValueError):
                continue
    return rows


def add(out: Path, row: dict[str, float]) -> None:
    """Add a line to a run's log; what a line knows nothing of, as those of older code, is NaN."""
    path, columns = out / LOG, []
    if path.exists():
        with open(path, newline="") as file:
            columns = next(csv.reader(file), [])
    more = [key for key in row if key not in columns]
    before = read(out) if more else []
    columns += more
    part = path.with_suffix(".part") if more else path
    with open(part, "w" if more else "a", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="nan")
        if more:
            writer.writeheader()
        writer.writerows([*before, row])
    if more:
        part.replace(path)


def draw(out: Path) -> Path | None:
    """Draw every scalar of a run's log over the steps: `out/curves.png`, None without a log."""
    rows = read(out)
    if not rows:
        return None
    # The object's own canvas: `pyplot` would keep state, and take a window of the user's.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = [name for name in rows[-1] if name != "step"]
    lines = math.ceil(len(names) / _COLUMNS)
    figure = Figure(figsize=(4 * _COLUMNS, 2.4 * lines), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panels = figure.subplots(lines, _COLUMNS, squeeze=False, sharex=True).ravel()
    for panel in panels[len(names) :]:
        panel.remove()
    for panel, name in zip(panels, names, strict=False):
        known = [row for row in rows if name in row]
        panel.plot([row["step"] for row in known], [row[name] for row in known], linewidth=1)
        panel.set_title(name.replace("_", " "), fontsize=9)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.3)
    figure.supxlabel("step", fontsize=9)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    path = out / PICTURE
    picture.quantize(16).save(path, optimize=True)  # a third of the bytes, and looks the same
    return path
