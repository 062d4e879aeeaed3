"""The commands that make clips: generate, forecast, interpolate, inpaint; and edit by a model."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from vgzoo import _quiet
from vgzoo._console import Json, check_out, print_json, progress, whole_numbers
from vgzoo.errors import VgzooError

EXAMPLES = {
    "generate": "Example: vgzoo generate r3gan-mnist -n 16 --seed 0 --out digits.gif",
    "forecast": "Example: vgzoo forecast svg-mnist seen.gif --frames 20 -n 4 --out more.gif",
    "interpolate": "Example: vgzoo interpolate rflow-mnist slow.gif --factor 2 --out smooth.gif",
    "inpaint": "Example: vgzoo inpaint rflow-mnist in.gif --mask hole.png --out whole.gif",
}

Name = Annotated[
    str, typer.Argument(help="A bundled model, a folder, or hf://owner/name[@revision].")
]
Source = Annotated[Path, typer.Argument(help="A video of the model's size.")]
Seed = Annotated[int, typer.Option(help="Which clips.")]
Labels = Annotated[
    str | None,
    typer.Option(help="Classes for all clips, or for each: 3,1,4; of two a clip: 3+8,1+1."),
]
Steps = Annotated[
    int | None, typer.Option(help="Network evaluations, for models that sample in steps.")
]
Out = Annotated[
    Path, typer.Option(help="Where to: .mp4, .webm, .gif, .webp, or .png for a film strip.")
]
Temperature = Annotated[float, typer.Option(help="Below 1: more typical, less varied clips.")]
BatchSize = Annotated[int | None, typer.Option(help="Clips at a time.")]
Fps = Annotated[float | None, typer.Option(help="Frames per second; the model's own if left out.")]


def generate(
    name: Name,
    n: Annotated[int, typer.Option("-n", help="How many clips.")] = 1,
    seed: Seed = 0,
    out: Out = Path("clips.gif"),
    frames: Annotated[int | None, typer.Option(help="Length of the clips.")] = None,
    labels: Labels = None,
    steps: Steps = None,
    temperature: Temperature = 1.0,
    batch_size: BatchSize = None,
    fps: Fps = None,
    as_json: Json = False,
) -> None:
    """Make clips and write them to a file."""
    classes = _classes(labels)
    if classes is not None and len(classes) not in (1, n):
        raise VgzooError(f"--labels has {len(classes)} classes for {n} clips; give 1 or {n}")

    def make(model):
        return model.generate(
            n,
            seed=seed,
            labels=_of_model(classes, model),
            frames=frames,
            steps=steps,
            temperature=temperature,
            batch_size=batch_size,
            verbose=1,
        )

    make_and_write(name, make, out, fps, as_json, {"n": n, "seed": seed})


def forecast(
    name: Name,
    source: Annotated[Path, typer.Argument(help="A video of the model's size; its end counts.")],
    frames: Annotated[int | None, typer.Option(help="How many to add.")] = None,
    n: Annotated[int, typer.Option("-n", help="How many forecasts.")] = 1,
    seed: Seed = 0,
    out: Out = Path("forecast.gif"),
    context: Annotated[
        bool, typer.Option("--context", help="Begin with the frames that it goes on from.")
    ] = False,
    temperature: Temperature = 1.0,
    batch_size: BatchSize = None,
    fps: Fps = None,
    as_json: Json = False,
) -> None:
    """Go on with a clip, in as many ways as wanted."""
    seen = read_clip(source)

    def make(model):
        import numpy as np

        clip = fitted(seen, model)
        clips = model.forecast(
            clip,
            frames,
            n=n,
            seed=seed,
            temperature=temperature,
            batch_size=batch_size,
            verbose=1,
        )
        if not context:
            return clips
        clip = clip[-model.context :]
        return np.concatenate([np.broadcast_to(clip, (n, *clip.shape)), clips], axis=1)

    make_and_write(name, make, out, fps, as_json, {"source": str(source), "n": n, "seed": seed})


def interpolate(
    name: Name,
    source: Source,
    factor: Annotated[int, typer.Option(help="Frames for each that came.")] = 2,
    seed: Seed = 0,
    out: Out = Path("interpolated.gif"),
    labels: Labels = None,
    steps: Steps = None,
    temperature: Temperature = 1.0,
    fps: Fps = None,
    as_json: Json = False,
) -> None:
    """Put new frames between those of a clip."""
    seen, classes = read_clip(source), _classes(labels)

    def make(model):
        return model.interpolate(
            fitted(seen, model)[None],
            factor,
            labels=_of_model(classes, model),
            seed=seed,
            steps=steps,
            temperature=temperature,
            verbose=1,
        )

    about = {"source": str(source), "factor": factor, "seed": seed}
    make_and_write(name, make, out, fps, as_json, about)


def inpaint(
    name: Name,
    source: Source,
    mask: Annotated[
        Path, typer.Option(help="A picture, or a video as long: white where to make anew.")
    ],
    seed: Seed = 0,
    out: Out = Path("inpainted.gif"),
    labels: Labels = None,
    steps: Steps = None,
    temperature: Temperature = 1.0,
    fps: Fps = None,
    as_json: Json = False,
) -> None:
    """Make a part of a clip anew, to go with the rest."""
    seen, classes, grey = read_clip(source), _classes(labels), _read_mask(mask)

    def make(model):
        holes = _shrunk(grey, model)[..., 0] > 127
        return model.inpaint(
            fitted(seen, model)[None],
            holes[None] if len(holes) > 1 else holes[0],
            labels=_of_model(classes, model),
            seed=seed,
            steps=steps,
            temperature=temperature,
            verbose=1,
        )

    about = {"source": str(source), "mask": str(mask), "seed": seed}
    make_and_write(name, make, out, fps, as_json, about)


def edit(
    name: str,
    source: Path,
    out: Path,
    *,
    labels: str | None,
    source_labels: str | None,
    mask: Path | None,
    as_json: bool,
    **settings,
) -> None:
    """Changes a clip as `model.edit` does, which `settings` go to."""
    seen, grey = read_clip(source), None if mask is None else _read_mask(mask)
    to, of = _classes(labels), _classes(source_labels)

    def make(model):
        if model.family == "editor":
            raise VgzooError(
                f"{model.name} is asked for by the names of its edits: --do 'restore', "
                "'superresolve=2', 'interpolate=2', 'inpaint=hole.png', 'colorize'"
            )
        holes = None if grey is None else _shrunk(grey, model)[..., 0] > 127
        return model.edit(
            fitted(seen, model)[None],
            labels=_of_model(to, model),
            source_labels=_of_model(of, model),
            mask=holes if holes is None or len(holes) > 1 else holes[0],
            verbose=1,
            **settings,
        )

    make_and_write(name, make, out, None, as_json, {"source": str(source), **settings})


def make_and_write(
    name: str, make: Callable, out: Path, fps: float | None, as_json: bool, about: dict
):
    """Loads a model, has it make clips, writes them, and tells of it."""
    # What can be wrong is found before the backend starts, which takes seconds.
    check_out(out, fps)
    from vgzoo import hub, video

    folder = hub.resolve(name)
    if fps is None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        fps = config["clip"]["fps"]
    _quiet.start_backend()
    model = hub.load(name, local_files_only=True)
    start = time.perf_counter()
    with progress():
        clips = make(model)
    seconds = time.perf_counter() - start
    video.write(out, clips, fps=fps)
    if as_json:
        report = {"name": name, **about, "out": str(out), "shape": clips.shape, "fps": fps}
        return print_json(report | {"seconds": round(seconds, 3)})
    count, length, height, width, _ = clips.shape
    print(f"{out}: {count} × {length} frames of {height}×{width}, made in {seconds:.1f} s")


def read_clip(source: Path):
    if not source.is_file():
        raise VgzooError(f"no such file: {source}")
    from vgzoo import video

    return video.read(source)


def _read_mask(path: Path):
    """A picture or a video as grey frames, `(T, H, W, 1)`."""
    from vgzoo import video

    return video.with_channels(read_clip(path), 1)


def fitted(clip, model):
    """A clip as the model takes it."""
    from vgzoo import video

    return _shrunk(video.with_channels(clip, model.channels), model)


def _shrunk(clip, model):
    """A whole-number enlargement, as `video.write` makes, undone."""
    times = max(clip.shape[1] // model.height, 1)
    if clip.shape[1:3] != (times * model.height, times * model.width) or times == 1:
        return clip
    size = (len(clip), model.height, times, model.width, times, clip.shape[3])
    return clip.reshape(size).mean(axis=(2, 4)).round().astype("uint8")


def _classes(text: str | None) -> list[list[int]] | None:
    """Classes of each clip: "3,1" are two clips of one class, "3+8" is one of two."""
    if text is None:
        return None
    return [whole_numbers(part.replace("+", ","), "--labels") for part in text.split(",")]


def _of_model(classes: list[list[int]] | None, model):
    """Classes as the model takes them."""
    if classes is None or not model.classes:
        return classes
    wanted = model.label_shape[0] if model.label_shape else 1
    if any(len(each) != wanted for each in classes):
        raise VgzooError(
            f"--labels: {model.name} knows {wanted} classes a clip, as in "
            f"{'+'.join('38142'[:wanted])}"
        )
    classes = classes if model.label_shape else [each[0] for each in classes]
    return classes[0] if len(classes) == 1 else classes
