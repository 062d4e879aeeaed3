"""`train`: from a recipe to a weights folder, in as many sittings as it takes."""

import csv
import json
import math
import os
import platform
import subprocess
import time
from pathlib import Path

import keras
import numpy as np

from vgzoo import card, data, hub, models, video
from vgzoo.errors import VgzooError
from vgzoo.train import callbacks, checkpoint, recipes, truths

_DATA_LICENSES = {
    "mnist": "CC-BY-SA-3.0",
    "cifar10": "unspecified (CIFAR-10, Krizhevsky 2009)",
    "imagenette": "ImageNet terms of access (non-commercial research)",
}
_GOLDEN = {"n": 2, "seed": 0, "tolerance": 1.0}


def train(
    recipe: str | Path,
    *,
    out: str | Path,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    verbose: int = 1,
) -> dict:
    """Train a model by its recipe.

    A checkpoint is written after every epoch. A run that was stopped, killed or short of minutes
    goes on with `resume`, and ends with the weights that it would have had in one sitting. When
    the recipe's steps are done, the weights folder is `out/<name of the recipe>`; before, it holds
    what the run has reached.

    Args:
        recipe: name of a recipe (`vgzoo.train.names()`) or path of a JSON file.
        out: folder for checkpoint, log, samples and the weights folder.
        minutes: stop after so many minutes.
        steps: stop at this step of the recipe.
        resume: go on from the checkpoint in `out`, if there is one.
        verbose: 1 shows a progress bar.

    Returns:
        `{"name", "step", "steps", "clips_seen", "seconds", "folder", "finished"}`.

    Raises:
        UnknownModelError: no such recipe.
        VgzooError: a checkpoint is there and `resume` is not, or the recipe has changed since.
        NotFinite: NaN or infinity; the last good checkpoint is kept.
    """
    begin = time.monotonic()
    deadline = math.inf if minutes is None else begin + 60 * minutes
    name, content = recipes.read(recipe)
    out = Path(out).expanduser()
    total = recipes.total_steps(content)
    last = total if steps is None else min(steps, total)
    step = _first_step(out, content, resume)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(content, indent=2) + "\n")

    # The policy is global while training, so that what Keras makes on the way follows it too.
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(content["dtype"])
    try:
        model = models.build(content["arch"], seed=content["seed"], **content["kwargs"])
        keras.utils.set_random_seed(content["seed"])
        model.compile(recipes.optimizer(content, model))
        if step:
            checkpoint.restore(out, model)
        else:
            model.optimizer.build(model.trainable_variables)
            checkpoint.save(out, model, step=0, recipe=content)
        _begin_sitting(out, step)
        for stage, start, end in _stages(content):
            step = _run(model, content, out, stage, start, end, step, last, deadline, verbose)
        folder = _export(model, name, content, out, step)
    finally:
        keras.config.set_dtype_policy(before)
    return {
        "name": name,
        "step": step,
        "steps": total,
        "clips_seen": recipes.clips_seen(content, step),
        "seconds": round(time.monotonic() - begin, 1),
        "folder": str(folder),
        "finished": step == total,
    }


def _first_step(out: Path, recipe: dict, resume: bool) -> int:
    found = checkpoint.read_metadata(out)
    if found is None:
        return 0
    step, before = found
    if not resume:
        raise VgzooError(
            f"{out} holds a run at step {step}: go on with resume (--resume) or take another folder"
        )
    changed = [k for k in sorted(before.keys() | recipe.keys()) if before.get(k) != recipe.get(k)]
    if changed:
        what = "; ".join(f"{k} was {before.get(k)!r}, is {recipe.get(k)!r}" for k in changed)
        raise VgzooError(
            f"the recipe has changed since {out} was begun ({what}): take another folder"
        )
    return step


def _stages(recipe: dict):
    start = 0
    for stage in recipe["stages"]:
        yield stage, start, start + stage["steps"]
        start += stage["steps"]


def _run(model, recipe, out, stage, start, end, step, last, deadline, verbose) -> int:
    """Train from `step` to the end of a stage; returns the step reached."""
    epoch = recipe["epoch_steps"]
    goal = min(end, -(-last // epoch) * epoch)
    if not start <= step < goal or time.monotonic() > deadline:
        return step
    # `fit` ends by putting the average in place of the weights: each stage begins from the file.
    checkpoint.restore(out, model)
    model.make_train_function(force=True)  # the last stage's was traced for other shapes
    batch = stage["batch_size"]
    make = truths.clips if model.family == "judge" else data.clips
    clips = make(
        recipe["dataset"],
        "train",
        frames=stage["frames"],
        size=stage["size"],
        batch_size=batch,
        seed=recipe["seed"],
        start=recipes.clips_seen(recipe, step),
        count=(end - step) * batch,
    )
    keep = callbacks.Keep(out, recipe, step)
    model.fit(
        clips,
        epochs=(goal - step) // epoch,
        steps_per_epoch=epoch,
        shuffle=False,  # made in random order already
        verbose=0,
        callbacks=[
            keep,
            callbacks.Log(out, recipe, step, batch),
            callbacks.Clock(step, recipes.total_steps(recipe), batch, deadline, verbose),
        ],
    )
    return keep.step


def _begin_sitting(out: Path, step: int) -> None:
    """Note on what, and with which code, the run goes on from here."""
    record = {
        "first_step": step,
        "hardware": f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "backend": f"{keras.backend.backend()}, keras {keras.__version__}",
        "commit": _commit(),
    }
    with open(out / "sittings.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


def _training_seconds(out: Path, recipe: dict) -> float:
    """Time of all epochs, from the log: it outlives a kill."""
    seconds = 0.0
    with open(out / "log.csv") as file:
        for row in csv.DictReader(file):
            step = int(row["step"])
            clips = recipes.clips_seen(recipe, step)
            clips -= recipes.clips_seen(recipe, step - recipe["epoch_steps"])
            seconds += clips / float(row["clips_per_s"])
    return round(seconds, 1)


def _export(model, name: str, recipe: dict, out: Path, step: int) -> Path:
    """The averaged weights as a weights folder, with golden output and a sample."""
    checkpoint.restore(out, model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    model.end_burn_in()
    licenses = [_DATA_LICENSES[name] for name in recipe["dataset"].split("+")]
    folder = hub.save(
        model,
        out / name,
        dataset=recipe["dataset"],
        license={"code": "Apache-2.0", "weights": "Apache-2.0", "data": "; ".join(licenses)},
        fps=recipe["fps"],
        half=True,
    )
    # What is shown and checked is what anybody loads: half precision, read back.
    loaded = hub.load(folder, dtype="float32")
    if model.family == "judge":
        shown = truths.patterns(_GOLDEN["n"], seed=_GOLDEN["seed"], **model.clip_spec)
        golden = _GOLDEN | {"tolerance": 0.01}
        np.savez_compressed(folder / "golden.npz", features=loaded.features(shown), **golden)
    else:
        clips = loaded.generate(16, seed=0)
        np.savez_compressed(folder / "golden.npz", clips=clips[: _GOLDEN["n"]], **_GOLDEN)
        video.write(folder / "sample.gif", clips, fps=recipe["fps"], scale=1)
    sittings = [json.loads(line) for line in (out / "sittings.jsonl").read_text().splitlines()]
    record = {
        "command": f"vgzoo train {name} --out DIR",
        "commit": sittings[-1]["commit"],
        "seed": recipe["seed"],
        "data": recipe["dataset"],
        "recipe": recipe,
        "steps": step,
        "clips": recipes.clips_seen(recipe, step),
        "hardware": ", then ".join(dict.fromkeys(s["hardware"] for s in sittings)),
        "backend": ", then ".join(dict.fromkeys(s["backend"] for s in sittings)),
        "wall_s": _training_seconds(out, recipe),
    }
    (folder / "train.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "README.md").write_text(card.of(folder, f"./{name}"))
    return folder


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
