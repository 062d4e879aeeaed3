"""`evaluate`: a model, or clips that somebody has, through the protocol that belongs to them.

A protocol is a function with a name, the number of clips it takes by default, and a say in which
configs it fits; `PROTOCOLS` lists them. Every figure is of the test split, goes with its N and its
seed, and has floors beside it: the same figures of real clips, whole and damaged.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgzoo import _folder, card, hub, registry, video
from vgzoo._atomic import write_text
from vgzoo.errors import VgzooError
from vgzoo.metrics import (
    density,
    edits,
    forecasting,
    generation,
    inversion,
    judges,
    reconstruction,
    restoration,
)
from vgzoo.metrics.base import at_least_one

Make = Callable[[int, int], np.ndarray]  # (n, seed) → clips


@dataclass(frozen=True)
class Protocol:
    """How a kind of model is judged.

    Attributes:
        n: clips by default.
        fits: whether a config is of this kind.
        run: `(model, n, seed, record) → report`, where the record is what `train.json` says, if
            there is any; for a generator `(make, spec, n, seed) → report`.
        takes_clips: whether `run` needs clips only, so that a folder of videos can be judged too.
    """

    n: int
    fits: Callable[[dict], bool]
    run: Callable[..., dict]
    takes_clips: bool = False


def _generation(dataset: str) -> Protocol:
    return Protocol(
        n=2048,
        fits=lambda c: "generate" in c["tasks"] and c["dataset"] == dataset,
        run=lambda *about, **options: generation.run(dataset, *about, **options),
        takes_clips=True,
    )


def _reconstruction(dataset: str) -> Protocol:
    return Protocol(
        n=1024,
        fits=lambda c: "reconstruct" in c["tasks"] and c["dataset"] == dataset,
        run=lambda model, n, seed, record: reconstruction.run(dataset, model, n, seed),
    )


def _forecasting(dataset: str, n: int) -> Protocol:
    return Protocol(
        n=n,
        fits=lambda c: "forecast" in c["tasks"] and c["dataset"] == dataset,
        run=lambda model, n, seed, record: forecasting.run(
            dataset, model, n, seed, clips_seen=record.get("clips")
        ),
    )


def _density(dataset: str, n: int) -> Protocol:
    return Protocol(
        n=n,
        fits=lambda c: "density" in c["tasks"] and c["dataset"] == dataset,
        run=lambda model, n, seed, record: density.run(dataset, model, n, seed),
    )


def _edits(dataset: str, n: int) -> Protocol:
    return Protocol(
        n=n,
        fits=lambda c: (
            "edit" in c["tasks"] and c["dataset"] == dataset and c["kwargs"].get("labels") == 2
        ),
        run=lambda model, n, seed, record: edits.run(dataset, model, n, seed),
    )


def _inversion(dataset: str, n: int) -> Protocol:
    return Protocol(
        n=n,
        fits=lambda c: c["family"] == "gan" and c["dataset"] == dataset,
        run=lambda model, n, seed, record: inversion.run(dataset, model, n, seed),
    )


def _restoration(dataset: str) -> Protocol:
    return Protocol(
        n=128,
        fits=lambda c: c["family"] == "editor" and c["dataset"] == dataset,
        run=lambda model, n, seed, record: restoration.run(dataset, model, n, seed),
    )


def _judge(task: str, n: int, run: Callable) -> Protocol:
    return Protocol(
        n=n,
        fits=lambda c: task in c["tasks"],
        run=lambda model, n, seed, record: run(model, n, seed),
    )


# Of several that fit a model, the first is its main one.
PROTOCOLS: dict[str, Protocol] = {
    "density-mnist": _density("mnist", 512),
    "density-mnist-stills": _density("mnist-stills", 10_000),
    "density-cifar10-stills": _density("cifar10-stills", 10_000),
    "reconstruction-mnist": _reconstruction("mnist"),
    "reconstruction-cifar10": _reconstruction("cifar10"),
    "reconstruction-imagenette": _reconstruction("imagenette"),
    "generation-mnist": _generation("mnist"),
    "generation-cifar10": _generation("cifar10"),
    "generation-imagenette": _generation("imagenette"),
    "forecast-mnist": _forecasting("mnist", 10_000),
    "forecast-mnist-stochastic": _forecasting("mnist-stochastic", 256),
    "edit-mnist": _edits("mnist", 256),
    "inversion-mnist": _inversion("mnist", 64),
    "restoration-imagenette": _restoration("imagenette"),
    "restoration-cifar10": _restoration("cifar10"),
    "judge-digits": _judge("read-digits", 512, judges.digits),
    "judge-clips": _judge("encode-clips", 1024, judges.clips),
}


def evaluate(
    what: str | Path,
    *,
    protocol: str | None = None,
    n: int | None = None,
    seed: int = 0,
    dtype: str | None = None,
    write: bool = True,
) -> dict:
    """Judges a model, or a folder of clips, on the test split.

    Args:
        what: what `vgzoo.load` takes; or a video, or a folder of videos, whose clips are judged as
            if a model had made them.
        protocol: one of `PROTOCOLS`; that which fits the model if None. Videos need one named.
        n: how many clips; the protocol's own number if None. Of videos, at most as many as they
            have.
        seed: of the clips made and of the real ones.
        dtype: the Keras dtype policy that the model computes in, which the report then names; the
            global one if None.
        write: whether to write `metrics.json` and the card of a weights folder.

    Returns:
        `{"name", "protocol", "n", "seed", "metrics", "floors"}`, and `"table"` where the protocol
        has more to show: `{"title", "header", "rows"}`. `floors` has one dict for each kind of
        clips, keyed like `metrics`.

    Raises:
        UnknownModelError: nothing has that name.
        VgzooError: a protocol that is unknown or doesn't fit, a number out of its range, a dtype
            policy that there is not.
    """
    if protocol is not None and protocol not in PROTOCOLS:
        raise VgzooError(f"no protocol {protocol!r}; there are: {', '.join(PROTOCOLS)}")
    if n is not None:
        at_least_one("n", n)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise VgzooError(f"seed must be a whole number of at least 0, not {seed!r}")
    videos = _videos(what)
    if videos:
        return _of_videos(what, videos, protocol, n, int(seed))
    folder = hub.resolve(what)
    config = _folder.read_config(folder)
    name = protocol or next(_fitting(config), None)
    if name is None:
        raise VgzooError(
            f"no protocol fits {config['name']}: {_tasks(config)}; --protocol takes one of "
            f"{', '.join(PROTOCOLS)}"
        )
    rule = PROTOCOLS[name]
    if not rule.fits(config) and not (rule.takes_clips and "generate" in config["tasks"]):
        raise VgzooError(f"protocol {name} does not judge {config['name']}: {_tasks(config)}")
    model = hub.load(what, dtype=dtype)
    count = n or rule.n
    if rule.takes_clips:

        def make(count: int, seed: int, **options) -> np.ndarray:
            return model.generate(count, seed=seed, batch_size=32, **options)

        drawn = model.checked_labels(None, count, int(seed)) if model.classes else None
        options = {"labels": drawn}
        if "steps" in model.options:
            options |= {"steps": generation.STEPS, "usual": model.steps}
        report = rule.run(make, model.clip_spec, count, int(seed), **options)
    else:
        record = folder / "train.json"
        record = json.loads(record.read_text()) if record.is_file() else {}
        report = rule.run(model, count, int(seed), record)
    said = {"name": config["name"], "protocol": name, "n": count, "seed": int(seed)}
    report = {**said, **({"dtype": dtype} if dtype else {}), **report}
    if write:
        _write(folder, report, main=name == next(_fitting(config), name))
    return report


def _fitting(config: dict) -> Iterator[str]:
    """Protocols that judge such a model, the main one first."""
    return (name for name, rule in PROTOCOLS.items() if rule.fits(config))


def _tasks(config: dict) -> str:
    return f"its tasks are {', '.join(config['tasks'])}, its dataset is {config['dataset']}"


def _write(folder: Path, report: dict, main: bool) -> None:
    """`metrics.json` and the card; a folder that may not be written stays as it is.

    What stands there from other protocols stays: that which fits a model best is the main one, all
    others are in `"also"`.
    """
    if not os.access(folder, os.W_OK) or "snapshots" in folder.parts:
        print(f"{folder} is read-only: metrics.json is not written", file=sys.stderr)
        return
    content = {k: report[k] for k in ("protocol", "n", "seed", "dtype") if k in report}
    content |= {"values": report["metrics"], "floors": report["floors"]}
    content |= {"table": report["table"]} if "table" in report else {}
    path = folder / "metrics.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    also = before.pop("also", {})
    if not main:
        also[report["protocol"]], content = content, before
    content |= {"also": also} if also else {}
    text = json.dumps(content, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")
    bundled = folder.resolve().parent == registry.weights_root().resolve()
    source = folder.name if bundled else f"./{folder.name}"
    write_text(folder / "README.md", card.of(folder, source))


# -- videos ------------------------------------------------------------------------------------


def _videos(what: str | Path) -> list[Path]:
    """The files meant, if it is not a weights folder that is meant."""
    path = Path(what).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir() or (path / "config.json").is_file():
        return []
    from vgzoo.data.folder import SUFFIXES

    found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise VgzooError(
            f"{path} holds neither a config.json nor videos ({', '.join(sorted(SUFFIXES))})"
        )
    return found


def _of_videos(
    what: str | Path, files: Sequence[Path], protocol: str | None, n: int | None, seed: int
) -> dict:
    takers = [name for name, rule in PROTOCOLS.items() if rule.takes_clips]
    if protocol not in takers:
        raise VgzooError(f"clips of videos need --protocol, one of {', '.join(takers)}")
    spec = generation.clip_spec(protocol.partition("-")[2])
    clips = np.concatenate([_windows(file, spec) for file in files])[:n]
    if len(clips) < 8:
        raise VgzooError(
            f"{what} has {len(clips)} clips of {spec['frames']} frames; wanted at least 8"
        )
    rule = PROTOCOLS[protocol]
    report = rule.run(lambda count, seed: clips[:count], spec, len(clips), seed)
    name = Path(what).name
    return {"name": name, "protocol": protocol, "n": len(clips), "seed": seed, **report}


def _windows(file: Path, spec: dict) -> np.ndarray:
    """A file cut into clips of the wanted length, `(K, T, H, W, C)`."""
    clip = video.read(file)
    if clip.shape[1:3] != (spec["height"], spec["width"]):
        raise VgzooError(
            f"{file} has frames of {clip.shape[1]}×{clip.shape[2]}, the protocol judges "
            f"{spec['height']}×{spec['width']}: resize it, without interpolation if it was enlarged"
        )
    clip = video.with_channels(clip, spec["channels"])
    count, frames = len(clip) // spec["frames"], spec["frames"]
    return clip[: count * frames].reshape(count, frames, *clip.shape[1:])
