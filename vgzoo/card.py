"""The README of a weights folder, made from its config, metrics and recipe."""

import json
from collections.abc import Iterable
from pathlib import Path

from vgzoo._folder import read_config
from vgzoo.errors import HubError

# Whoever takes this line out keeps their own text.
MARK = "<!-- made by vgzoo from the JSON files beside it; without this line it is left as it is -->"

# Licenses that the Hub knows by name; any other is "other" with its name beside it.
_KNOWN = {
    "apache-2.0",
    "bsd-3-clause",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "gpl-3.0",
    "mit",
}
_RECIPE = {
    "command": "Command",
    "commit": "Commit of the code",
    "seed": "Seed",
    "data": "Data",
    "steps": "Steps",
    "clips": "Clips seen",
    "flops": "FLOPs",
    "hardware": "Hardware",
    "wall_s": "Wall time (s)",
}


def render(
    config: dict,
    metrics: dict | None = None,
    train: dict | None = None,
    *,
    source: str | None = None,
) -> str:
    """The text of README.md: YAML front matter, then Markdown.

    Args:
        config: the content of `config.json`.
        metrics: of `metrics.json`: `protocol`, `n`, `seed`, `values` and, if known, `floors`: what
            real clips score by the same protocol, keyed like `values`, or several such dicts by
            name. `table`, if there is one, has `title`, `header` and `rows`. `also` has the same of
            other protocols, by their names.
        train: of `train.json`: any fields; the known ones get a readable name.
        source: what `vgzoo.load` takes to load this model; the model's name if None.
    """
    parts = [_front_matter(config), MARK, f"# {_plain(config['name'])}", _summary(config)]
    parts += [_usage(config, source or config["name"])]
    if metrics:
        parts.append(_metrics(metrics))
    if train:
        parts.append(_recipe(train))
    parts.append(_licenses(config["license"]))
    if config["references"]:
        items = [f"- {_reference(reference)}" for reference in config["references"]]
        parts.append("## References\n\n" + "\n".join(items))
    return "\n\n".join(parts) + "\n"


def of(folder: Path, source: str) -> str:
    """The README of a weights folder: its own if someone wrote one, else a generated one.

    Args:
        folder: the weights folder.
        source: what `vgzoo.load` takes to load it.
    """
    readme = folder / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        if MARK not in text:
            return text
    metrics, train = (_json(folder / f"{name}.json") for name in ("metrics", "train"))
    return render(read_config(folder), metrics, train, source=source)


def _front_matter(config: dict) -> str:
    weights = config["license"]["weights"].lower()
    lines = [f"license: {weights if weights in _KNOWN else 'other'}"]
    if weights not in _KNOWN:
        lines.append(f"license_name: {_quoted(config['license']['weights'])}")
    lines += ["library_name: keras", "tags:"]
    tags = ("vgzoo", "video", config["arch"], config["family"], *config["tasks"])
    lines += [f"- {_quoted(tag)}" for tag in dict.fromkeys(tags)]
    return "\n".join(["---", *lines, "---"])


def _summary(config: dict) -> str:
    clip = config["clip"]
    color = "grey" if clip["channels"] == 1 else "RGB"
    size = sum(entry["size"] for entry in config["tensors"].values())
    return _table(
        ("", ""),
        (
            ("Architecture", config["arch"]),
            ("Family", config["family"]),
            ("Tasks", ", ".join(config["tasks"])),
            ("Trained on", config["dataset"]),
            ("Clips", f"{clip['frames']} frames of {clip['height']}×{clip['width']}, {color}"),
            ("Frames per second", clip["fps"]),
            ("Parameters", f"{config['params']:,}"),
            ("Size", f"{size / 2**20:.1f} MiB, {config.get('dtype', 'float32')}"),
        ),
    )


def _usage(config: dict, source: str) -> str:
    lines = ["import vgzoo", "", f"model = vgzoo.load({_quoted(source)})"]
    if "generate" in config["tasks"]:
        lines += [
            "clips = model.generate(16, seed=0)  # uint8 (16, T, H, W, C)",
            f'vgzoo.write("clips.gif", clips, fps={config["clip"]["fps"]})',
        ]
    if "reconstruct" in config["tasks"]:
        lines += [
            "latents = model.encode(clips)  # float32 (B, 1 + k, H/4, W/4, L), of 1 + 4k frames",
            "clips = model.decode(latents)  # or, from clip to clip, model.reconstruct",
        ]
    if "density" in config["tasks"]:
        lines += [
            "bits = model.bits_per_dim(clips)  # of each clip, for a value of a pixel",
            "noise = model.invert(clips)  # exact: model.decode(noise) gives the clips back",
        ]
    if "forecast" in config["tasks"]:
        lines += [
            f"more = model.forecast(clips, {_to_come(config)}, n=4)  # what follows uint8 clips "
            "(B, T, H, W, C)",
            f'vgzoo.write("more.gif", more[0], fps={config["clip"]["fps"]})',
        ]
    if config["family"] == "editor":
        lines += [
            'clip = vgzoo.read("in.mp4")  # uint8 (T, H, W, C), of any size and length',
            'clean = model.edit(clip, method="restore")',
            'large = model.edit(clip, method="superresolve", factor=2)',
            'coloured = model.edit(clip, method="colorize")',
        ]
    clips = "clip" if config["family"] == "editor" else "clips"
    if "interpolate" in config["tasks"]:
        lines.append(f"smooth = model.interpolate({clips}, 2)  # a new frame between each two")
    if "inpaint" in config["tasks"]:
        lines.append(f"whole = model.inpaint({clips}, mask)  # bool (H, W): where to make anew")
    return "## Use\n\n" + "\n".join(["```python", *lines, "```"])


def _to_come(config: dict) -> int:
    return config["clip"]["frames"] - config["kwargs"]["context"]


def _metrics(metrics: dict) -> str:
    """Those of the main protocol, if it was run, then those of others."""
    parts = ["## Metrics", *([_protocol(metrics)] if "values" in metrics else [])]
    for name, other in metrics.get("also", {}).items():
        parts += [f"### By {_plain(name)}", _protocol(other)]
    return "\n\n".join(parts)


def _protocol(metrics: dict) -> str:
    floors = metrics.get("floors") or {}
    if not all(isinstance(floor, dict) for floor in floors.values()):
        floors = {"Floor": floors}
    rows = [
        (key, value, *(floor.get(key, "") for floor in floors.values()))
        for key, value in metrics["values"].items()
    ]
    said = (("Protocol", "protocol"), ("N", "n"), ("seed", "seed"), ("computed in", "dtype"))
    protocol = ", ".join(
        f"{label}: {_plain(_number(metrics[key]))}" for label, key in said if key in metrics
    )
    parts = [protocol, _table(("Metric", "Value", *floors), rows)]
    if table := metrics.get("table"):
        parts += [f"### {_plain(table['title'])}", _table(table["header"], table["rows"])]
    return "\n\n".join(parts)


def _recipe(train: dict) -> str:
    rows = [(_RECIPE.get(key, key.replace("_", " ")), value) for key, value in train.items()]
    return "## Training\n\n" + _table(("", ""), rows)


def _licenses(license: dict) -> str:
    rows = [(part.capitalize(), license[part]) for part in ("code", "weights", "data")]
    return "## License\n\n" + _table(("Of", "License"), rows)


def _reference(text: str) -> str:
    if text.startswith("arXiv:"):
        return f"[{_plain(text)}](https://arxiv.org/abs/{_plain(text[len('arXiv:') :])})"
    return _plain(text)


def _table(header: Iterable, rows: Iterable[Iterable]) -> str:
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(_plain(_number(cell)) for cell in line) + " |" for line in lines
    )


def _number(value) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    """Text that can neither end a table cell or a line nor open an HTML tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _quoted(text: str) -> str:
    # A JSON string is both a YAML and a Python string.
    return json.dumps(text, ensure_ascii=False)


def _json(path: Path) -> dict | None:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise HubError(f"{path} is no JSON ({error}); mend or remove it") from error
