"""What the commands print for people; `--json` is for programs."""

from rich import box
from rich.console import Console
from rich.table import Table

MIB = 2**20


def models(entries: list[dict]) -> None:
    """One line for each model."""
    table = _table("Name", "Family", "Tasks", "Dataset", "Clip")
    table.columns[0].no_wrap = True
    table.columns[0].min_width = max((len(entry["name"]) for entry in entries), default=0)
    for column in ("Params", "Size"):
        table.add_column(column, justify="right")
    for entry in entries:
        table.add_row(
            entry["name"],
            entry["family"],
            ", ".join(entry["tasks"]),
            entry["dataset"],
            clip(entry["clip"]),
            params(entry["params"]),
            size(entry["size_bytes"]),
        )
    Console().print(table if entries else "No model matches; `vgzoo list` shows all of them.")


def fields(entry: dict) -> None:
    """What is known about one model, a line for each field."""
    table = _table("", "")
    table.show_header = False
    rows = {
        "name": entry["name"],
        "architecture": entry["arch"],
        "family": entry["family"],
        "tasks": ", ".join(entry["tasks"]),
        "dataset": entry["dataset"],
        "clip": f"{clip(entry['clip'])}, {entry['clip']['fps']:g} frames per second",
        "params": f"{entry['params']:,}",
        "size": size(entry["size_bytes"]),
        "license": "; ".join(f"{part}: {text}" for part, text in entry["license"].items()),
        "metrics": metrics(entry["metrics"]) or "not measured",
        "references": ", ".join(entry["references"]),
        "source": entry["source"],
    }
    for field, value in rows.items():
        table.add_row(field, value)
    Console().print(table)


def bench(report: dict) -> None:
    """Speed and utilisation by dtype policy: the best batch size, and the training step."""
    table = _table("Policy", "Batch", "Frames/s", "of peak", "Trained clips/s", "of peak")
    table.add_column("Peak GFLOP/s")
    for column in table.columns[1:]:
        column.justify = "right"
    table.columns[0].no_wrap = True
    for policy, row in report["policies"].items():
        table.add_row(
            policy,
            str(row["batch"]),
            f"{row['frames_per_s']:.0f}",
            f"{row['utilisation']:.0%}",
            f"{row['train_clips_per_s']:.1f}",
            f"{row['train_utilisation']:.0%}",
            f"{row['peak_gflops']:.0f}",
        )
    console = Console()
    console.print(table)
    console.print(
        f"{report['name']} on {report['backend']}: loaded in {report['load_s']:.1f} s, "
        f"{report['gflop_per_frame']:.3g} GFLOP per frame, "
        f"{report['peak_memory_mb']:.0f} MB of memory at most"
    )


def evaluation(report: dict) -> None:
    """Metrics with their floors beside them, and what else the protocol shows."""
    floors = report["floors"]
    table = _table("Metric", "Value", *floors)
    for column in table.columns[1:]:
        column.justify = "right"
    for name, value in report["metrics"].items():
        row = (value, *(floor.get(name) for floor in floors.values()))
        table.add_row(name, *("" if v is None else f"{v:.4g}" for v in row))
    console = Console()
    console.print(table)
    if more := report.get("table"):
        table = _table(*more["header"])
        for row in more["rows"]:
            table.add_row(*map(str, row))
        console.print(more["title"])
        console.print(table)
    said = (report[key] for key in ("name", "protocol", "n", "seed"))
    console.print("{}: protocol {}, N {}, seed {}".format(*said))


def bench_data(report: dict) -> None:
    """How fast a dataset is, and how much faster than the training step that takes its clips."""
    lines = [
        f"{report['name']} on {report['backend']}: {report['clips_per_s']:,.0f} clips/s of "
        f"{clip(report['clip'])} in batches of {report['batch']}; "
        f"{report['clips_per_cpu_s']:,.0f} for each second of a processor (load "
        f"{report['load']:.1f} on {report['cores']} cores); ready in {report['ready_s']:.1f} s"
    ]
    if report["model"] is not None:
        lines.append(
            f"{report['model']} trains on {report['train_clips_per_s']:,.1f} clips/s of "
            f"{report['train_frames']} frames ({report['train_dtype']}, batch "
            f"{report['train_batch']}): the data is {report['times_enough']:.1f} times as fast"
        )
    for line in lines:
        Console(soft_wrap=True).print(line, highlight=False)


def clip(spec: dict) -> str:
    """ "16×64×64 grey": frames, height, width and colour."""
    color = "grey" if spec["channels"] == 1 else "RGB"
    return f"{spec['frames']}×{spec['height']}×{spec['width']} {color}"


def params(count: int) -> str:
    """ "1.2 M" """
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count:,}"


def size(count: int) -> str:
    """ "2.3 MiB" """
    return f"{count / MIB:.1f} MiB"


def metrics(content: dict | None) -> str:
    """ "fvd 12.3, psnr 20.1", or an empty string where nothing was measured."""
    values = (content or {}).get("values", {})
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column)
    return table
