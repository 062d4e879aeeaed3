"""The command line: the verbs and the argument names of the API.

What a command makes known goes to standard output, as a table or with `--json` as JSON; progress
goes to standard error. A mistake of the user is one line and exit code 2. Imports stand inside the
commands, so that each pays for what it uses.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from vgzoo import _making, _making_latents, _quiet, registry
from vgzoo._console import Json, fail, print_json, progress, tell, whole_numbers
from vgzoo.errors import VgzooError

app = typer.Typer(
    name="vgzoo",
    help="Trained networks for video, by name.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # "hf://owner/name[@revision]" holds no markup
)
# The base of all usage errors; older releases of typer take it from click, newer have their own.
_UsageError = typer.BadParameter.__base__

_FIELDS = ("name", "family", "tasks", "dataset", "clip", "params", "size_bytes")
_FIELDS += ("license", "metrics", "source")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 2 for a user's mistake, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return app(arguments or ["--help"], prog_name="vgzoo", standalone_mode=False) or 0
    except (typer.Abort, KeyboardInterrupt):
        return 130
    except _UsageError as error:
        command = error.ctx.command_path if error.ctx else "vgzoo"
        return fail(f"{error.format_message().rstrip('.')}; see `{command} --help`")
    except (VgzooError, OSError, MemoryError) as error:
        return fail(str(error) or type(error).__name__)


@app.command("list", epilog="Example: vgzoo list '*mnist*' --family gan")
def list_(
    pattern: Annotated[str, typer.Argument(help="A name or a wildcard.")] = "*",
    family: Annotated[
        str | None, typer.Option(help="gan, vae, flow, forecaster, editor or judge.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Such as generate.")] = None,
    dataset: Annotated[str | None, typer.Option(help="What it was trained on.")] = None,
    exclude: Annotated[str | None, typer.Option(help="A name or a wildcard to leave out.")] = None,
    as_json: Json = False,
) -> None:
    """List the models that come with vgzoo."""
    names = registry.list_models(
        pattern, family=family, task=task, dataset=dataset, exclude=exclude
    )
    models = [{field: entry[field] for field in _FIELDS} for entry in map(registry.info, names)]
    tell(models, as_json, "models")


@app.command(epilog="Example: vgzoo info r3gan-mnist")
def info(
    name: Annotated[str, typer.Argument(help="A bundled model.")], as_json: Json = False
) -> None:
    """Show what is known about a model."""
    entry = registry.info(name)
    tell(entry, as_json, "fields")


for _verb in (_making.generate, _making.forecast, _making.interpolate, _making.inpaint):
    app.command(epilog=_making.EXAMPLES[_verb.__name__])(_verb)
app.command(epilog=_making_latents.EXAMPLE)(_making_latents.latent)


@app.command(
    epilog="Example: vgzoo edit in.mp4 out.mp4 --do 'exposure=0.3 lut=film.cube'; "
    "vgzoo edit in.gif out.gif --model rflow-mnist --source-labels 3+1 --labels 8+1; "
    "vgzoo edit in.mp4 out.mp4 --do 'restore superresolve=2' --tile 256"
)
def edit(
    source: Annotated[str, typer.Argument(help="A video.")],
    target: Annotated[Path, typer.Argument(help="Where to: .mp4 or .webm.")],
    edits: Annotated[Path | None, typer.Option(help="An edit list, a JSON file.")] = None,
    do: Annotated[
        str | None,
        typer.Option(help="Edits, one after another: 'exposure=0.3 levels=black:0.1,white:0.9'."),
    ] = None,
    mute: Annotated[bool, typer.Option("--mute", help="Leave the sound out.")] = False,
    tile: Annotated[
        int | None, typer.Option(help="Of edits by a network: side of the squares they work in.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="A model that edits a video of its size, by what follows.")
    ] = None,
    labels: Annotated[str | None, typer.Option(help="Classes to change to: 8+1.")] = None,
    source_labels: Annotated[str | None, typer.Option(help="Classes that it shows: 3+1.")] = None,
    method: Annotated[str, typer.Option(help="flowedit or sdedit.")] = "flowedit",
    strength: Annotated[
        float | None,
        typer.Option(help="Above 0: how much may change; 1: all. [default: 1; sdedit: 0.8]"),
    ] = None,
    guidance: Annotated[float, typer.Option(help="Towards the classes; 1: not at all.")] = 3.0,
    mask: Annotated[
        Path | None, typer.Option(help="A picture, or a video as long: white where to change.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which change.")] = 0,
    steps: _making.Steps = None,
    as_json: Json = False,
) -> None:
    """Edit a video of any length, frame by frame in constant memory.

    The sound goes along: as it is, cut under trim, in another tempo under speed; under other edits
    of time it is left out.
    """
    if [edits, do, model].count(None) != 2:
        raise VgzooError(
            "name the edits: either --edits with a JSON file, or --do 'exposure=0.3', or --model"
        )
    if model is not None:
        return _making.edit(
            model,
            Path(source),
            target,
            labels=labels,
            source_labels=source_labels,
            mask=mask,
            as_json=as_json,
            method=method,
            strength=strength,
            guidance=guidance,
            seed=seed,
            steps=steps,
        )
    if not Path(source).is_file():
        raise VgzooError(f"no such file: {source}")
    if not target.absolute().parent.is_dir():
        raise VgzooError(f"no folder {str(target.parent)!r} for {target.name}; make it first")
    _quiet.start_backend()
    from vgzoo.edit import from_json, parse
    from vgzoo.edit._progress import frames_bar
    from vgzoo.edit.neural import tiled
    from vgzoo.edit.stream import edit_file

    steps = from_json(edits) if edits is not None else parse(do)
    if tile is not None:
        steps = tiled(steps, tile)
    start = time.perf_counter()
    with frames_bar() as move:
        made = edit_file(source, target, steps, sound=not mute, progress=move)
    seconds = time.perf_counter() - start
    made["frames_per_s"] = round(made["frames"] / seconds, 1)
    if as_json:
        return print_json({"source": source, "target": str(target)} | made)
    size = f"{made['frames']} frames of {made['height']}×{made['width']}"
    sound = "with sound" if made["sound"] else "without sound"
    if made["sound_left_out"]:
        sound += ", which does not fit under these edits of time"
    print(f"{target}: {size}, {sound}, {made['frames_per_s']:g} frames/s")


@app.command(
    epilog="Example: vgzoo train r3gan-mnist --out runs/digits --minutes 60 --resume. On each of "
    "two hosts: KERAS_BACKEND=jax vgzoo train r3gan-mnist --out runs/digits --resume "
    "--coordinator first-host:29500 --hosts 2 --host 0 (then 1)."
)
def train(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe, or a JSON file.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log, samples and weights.")],
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.")] = None,
    steps: Annotated[int | None, typer.Option(help="Stop at this step of the recipe.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    weights: Annotated[
        str | None, typer.Option(help="Weights whose training goes on, their checkpoint gone.")
    ] = None,
    devices: Annotated[
        str | None, typer.Option(help="Those of this host to share a batch: GPU:0,GPU:1.")
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option(help="host:port of the first of several hosts.")
    ] = None,
    hosts: Annotated[int, typer.Option(help="How many hosts share a batch.")] = 1,
    host: Annotated[int, typer.Option(help="Which of them this is, from 0.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a model by its recipe, in as many sittings as it takes."""
    for option, value in (("--minutes", minutes), ("--steps", steps)):
        if value is not None and not value > 0:
            raise VgzooError(f"{option} must be more than 0, not {value}")
    several = None
    if hosts != 1 or host or coordinator:
        from vgzoo.train.hosts import Hosts, guard, leave

        if coordinator is None:
            raise VgzooError("--hosts needs --coordinator, the host:port of the first one")
        several = Hosts(coordinator, hosts, host)
        guard(several)
    try:
        _quiet.start_backend()
        from vgzoo.train import train as run

        with progress():
            report = run(
                recipe,
                out=out,
                minutes=minutes,
                steps=steps,
                resume=resume,
                weights=weights,
                devices=devices.split(",") if devices else None,
                hosts=several,
            )
    except (VgzooError, OSError) as error:
        if several:
            leave(fail(str(error)))
        raise
    except KeyboardInterrupt:
        if several:
            leave(130)
        raise
    if as_json:
        return print_json(report)
    print(f"{report['folder']}: step {report['step']} of {report['steps']}")


@app.command(epilog="Example: vgzoo push ./my-model user/my-model")
def push(
    source: Annotated[str, typer.Argument(help="A weights folder or a bundled model.")],
    repo_id: Annotated[str, typer.Argument(help="owner/name; made if there is none.")],
    revision: Annotated[str | None, typer.Option(help="The branch to commit to.")] = None,
    private: Annotated[bool, typer.Option("--private", help="If it is made, make it so.")] = False,
    as_json: Json = False,
) -> None:
    """Put a model on the Hugging Face Hub.

    It needs a token that may write: `hf auth login` comes first.
    """
    from vgzoo import hub

    with progress():
        url = hub.push(source, repo_id, revision=revision, private=private)
    if as_json:
        return print_json({"source": source, "repo_id": repo_id, "url": url})
    print(url)


@app.command(epilog="Example: vgzoo evaluate r3gan-mnist --json")
def evaluate(
    name: Annotated[
        str,
        typer.Argument(
            help="A bundled model, a folder, hf://owner/name[@revision], a video, or a folder of "
            "videos."
        ),
    ],
    protocol: Annotated[
        str | None, typer.Option(help="Such as generation-mnist; the one that fits if left out.")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option("--n", "-n", help="How many clips; the protocol's own if left out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which clips.")] = 0,
    dtype: Annotated[
        str | None, typer.Option(help="A Keras dtype policy, such as mixed_bfloat16.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge a model on the test split; writes its metrics.json and its card.

    Beside each figure stand its floors: what real clips score, whole and damaged.
    """
    _quiet.start_backend()
    from vgzoo.metrics.evaluate import evaluate as judge

    with progress():
        report = judge(name, protocol=protocol, n=n, seed=seed, dtype=dtype)
    tell(report, as_json, "evaluation")


@app.command(epilog="Example: vgzoo bench r3gan-mnist --batch-sizes 1,16; vgzoo bench data:mnist")
def bench(
    name: Annotated[
        str, typer.Argument(help="A model as of generate, or data: and a dataset or a folder.")
    ],
    batch_sizes: Annotated[
        str, typer.Option(help="Clips at a time when generating.")
    ] = "1,4,16,32",
    train_batch: Annotated[int, typer.Option(help="Clips of a training step.")] = 16,
    dtype: Annotated[
        str | None, typer.Option(help="One Keras dtype policy; float32 and mixed_bfloat16.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each measurement.")] = 2.0,
    model: Annotated[
        str | None, typer.Option(help="Of data: the model or recipe that trains on it.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Of data: length of the clips.")] = None,
    as_json: Json = False,
) -> None:
    """Measure how fast a model is here, or a dataset.

    Utilisation is its share of the speed of a plain matrix product, measured in the same run. A
    dataset's speed stands beside that of the training step that it feeds.
    """
    if name.startswith("data:"):
        return _bench_data(name.removeprefix("data:"), model, frames, seconds, as_json)
    if model is not None or frames is not None:
        raise VgzooError(f"--model and --frames are for data:NAME, not for {name}")
    sizes = whole_numbers(batch_sizes, "--batch-sizes")
    _quiet.start_backend()
    from vgzoo.bench import bench as measure

    with progress():
        report = measure(
            name, batch_sizes=sizes, train_batch=train_batch, dtype=dtype, seconds=seconds
        )
    tell(report, as_json, "bench")


def _bench_data(
    name: str, model: str | None, frames: int | None, seconds: float, as_json: bool
) -> None:
    _quiet.start_backend()
    from vgzoo.bench_data import bench_data

    with progress():
        report = bench_data(name, model=model, frames=frames, seconds=seconds)
    tell(report, as_json, "bench_data")


if __name__ == "__main__":
    sys.exit(main())
