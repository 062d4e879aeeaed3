"""`train`: from a recipe to a weights folder, in as many sittings as it takes."""

import json
import math
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import keras

from vgzoo import _folder, models
from vgzoo.errors import VgzooError
from vgzoo.train import callbacks, checkpoint, distribution, export, recipes, restart


def train(
    recipe: str | Path,
    *,
    out: str | Path,
    minutes: float | None = None,
    steps: int | None = None,
    resume: bool = False,
    weights: str | Path | None = None,
    devices: Sequence[str] | None = None,
    hosts: distribution.Hosts | None = None,
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
        weights: name or folder of weights whose training by this recipe goes on, where its
            checkpoint is gone: at their step, with the optimizer's moments gathered anew.
        devices: of this host, as `"GPU:0"`; all its GPUs if None. They share each batch.
        hosts: which one of several hosts this is (JAX): each calls this with the same recipe, and
            they share each batch. Only the first one's `out` is used.
        verbose: 1 shows a progress bar.

    Returns:
        `{"name", "step", "steps", "clips_seen", "seconds", "folder", "finished"}`.

    Raises:
        UnknownModelError: no such recipe.
        VgzooError: a checkpoint is there and `resume` is not, or the recipe has changed since; a
            batch that the devices cannot divide; no room for a checkpoint.
        HostLost: another host died; the last checkpoint is kept.
        NotFinite: NaN or infinity; the last good checkpoint is kept.
    """
    begin = time.monotonic()
    deadline = math.inf if minutes is None else begin + 60 * minutes
    name, content = recipes.read(recipe)
    out = Path(out).expanduser()
    total = recipes.total_steps(content)
    last = total if steps is None else min(steps, total)

    # The policy is global while training, so that what Keras makes on the way follows it too.
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(content["dtype"])
    try:
        with distribution.connected(hosts):
            with distribution.spread(devices, hosts) as spread:
                step = _train(content, out, spread, resume, weights, last, deadline, verbose)
            folder = spread.tell(
                lambda: str(export.export(_model(content), name, content, out, step))
            )
    finally:
        keras.config.set_dtype_policy(before)
    return {
        "name": name,
        "step": step,
        "steps": total,
        "clips_seen": recipes.clips_seen(content, step),
        "seconds": round(time.monotonic() - begin, 1),
        "folder": folder,
        "finished": step == total,
    }


def _train(recipe, out, spread, resume, weights, last, deadline, verbose) -> int:
    """Train to step `last` or to the deadline; returns the step reached."""
    for stage in recipe["stages"]:
        spread.check_batch(stage["batch_size"])
    accumulated = "gradient_accumulation_steps" in recipe
    if accumulated and spread.devices > 1 and keras.backend.backend() == "tensorflow":
        # Keras merges replicas inside a `tf.cond`, which `tf.distribute` refuses.
        raise VgzooError(
            "gradient_accumulation_steps does not go with several devices under TensorFlow: take "
            "one, or KERAS_BACKEND=jax"
        )
    origin = weights and restart.origin(weights, recipe)
    step, theirs = spread.tell(lambda: [_begin(out, recipe, resume, origin), recipe])
    _refuse_change(theirs, recipe, "the first host has another recipe than this one")
    model = _model(recipe)
    if origin:
        restart.fill(model, recipe, origin[0], step, spread)
    if origin or not step:
        checkpoint.save(out, model, spread, step=step, recipe=recipe)
    for stage, start, end in recipes.stages(recipe):
        step = _run(model, recipe, out, spread, stage, start, end, step, last, deadline, verbose)
    return step


def _model(recipe: dict):
    """The recipe's model with its first weights, compiled, its optimizer built."""
    keras.utils.set_random_seed(recipe["seed"])
    model = models.build(recipe["arch"], seed=recipe["seed"], **recipe["kwargs"])
    model.compile(recipes.optimizer(recipe, model))
    model.optimizer.build(model.trainable_variables)
    return model


def _begin(out: Path, recipe: dict, resume: bool, origin: tuple[Path, dict] | None) -> int:
    """The step to go on from; notes what is begun, and on what."""
    step = _first_step(out, recipe, resume, origin)
    out.mkdir(parents=True, exist_ok=True)
    (out / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")
    if origin:
        restart.begin(out, *origin)
    _begin_sitting(out, step, origin)
    return step


def _first_step(out: Path, recipe: dict, resume: bool, origin: tuple[Path, dict] | None) -> int:
    found = checkpoint.read_metadata(out)
    if found is None:
        return origin[1]["steps"] if origin else 0
    if origin:
        raise VgzooError(f"{out} holds a run: go on with resume (--resume) and without weights")
    step, before = found
    if not resume:
        raise VgzooError(
            f"{out} holds a run at step {step}: go on with resume (--resume) or take another folder"
        )
    _refuse_change(before, recipe, f"the recipe has changed since {out} was begun")
    return step


def _refuse_change(before: dict, recipe: dict, what: str) -> None:
    keys = sorted(before.keys() | recipe.keys())
    changed = [
        f"{k} was {before.get(k)!r}, is {recipe.get(k)!r}"
        for k in keys
        if before.get(k) != recipe.get(k)
    ]
    if changed:
        raise VgzooError(f"{what} ({'; '.join(changed)}): take another folder, or that recipe")


def _run(model, recipe, out, spread, stage, start, end, step, last, deadline, verbose) -> int:
    """Train from `step` to the end of a stage; returns the step reached."""
    epoch = recipe["epoch_steps"]
    goal = min(end, -(-last // epoch) * epoch)
    if not start <= step < goal or spread.tell(lambda: time.monotonic() > deadline):
        return step
    # `fit` ends by putting the average in place of the weights: each stage begins from the file.
    checkpoint.restore(out, model, spread)
    recipes.enter(model, recipe, stage)
    model.make_train_function(force=True)  # the last stage's was traced for other shapes
    batch = stage["batch_size"]
    total = recipes.total_steps(recipe)
    keep = callbacks.Keep(out, recipe, step, spread)
    log = callbacks.Log(out if spread.first else None, recipe, step, batch)
    clock = callbacks.Clock(step, total, batch, deadline, verbose and spread.first, spread)
    model.fit(
        recipes.clips(
            recipe,
            stage,
            start=recipes.clips_seen(recipe, step),
            steps=end - step,
            shard=spread.shard,
        ),
        epochs=(goal - step) // epoch,
        steps_per_epoch=epoch,
        shuffle=False,  # made in random order already
        verbose=0,
        callbacks=[keep, log, clock],
    )
    return keep.step


def _begin_sitting(out: Path, step: int, origin: tuple[Path, dict] | None) -> None:
    """Note on what, and with which code, the run goes on from here."""
    record = {
        "first_step": step,
        "hardware": distribution.hardware(),
        "backend": f"{keras.backend.backend()}, keras {keras.__version__}",
        "commit": _commit(),
    }
    if origin:
        record["from_weights"] = _folder.file_entry(origin[0] / "model.safetensors")["sha256"]
    with open(out / "sittings.jsonl", "a") as file:
        file.write(json.dumps(record) + "\n")


def _commit() -> str:
    done = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
