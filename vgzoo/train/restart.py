"""A run goes on from a weights folder, where the checkpoint that it came from is gone.

The weights begin as those of the folder, averaged and in half precision as they are, and so does
their average; layers that the architecture has got since begin as in a new model. What the folder
lacks are the optimizer's moments: they are gathered anew, over some steps that leave the weights
alone.
"""

import json
import shutil
from pathlib import Path

from keras import ops

from vgzoo import _folder, _tensors, hub
from vgzoo._schema import TENSOR_FILES
from vgzoo.errors import VgzooError
from vgzoo.models.base import VideoModel
from vgzoo.train import curves, recipes
from vgzoo.train.distribution import Spread

_GATHERED = 100  # steps: Adam's moments, corrected for so few, have settled


def origin(weights: str | Path, recipe: dict) -> tuple[Path, dict]:
    """A weights folder that training by a recipe can go on from, and its `train.json`.

    Args:
        weights: name or folder, as `vgzoo.load` takes it.
        recipe: it goes on at the step that `train.json` names.

    Raises:
        VgzooError: the folder tells nothing of its training, or it was another one.
    """
    folder = hub.resolve(weights)
    path = folder / "train.json"
    if not path.is_file():
        raise VgzooError(f"{weights} has no train.json: fine-tune it with compile and fit")
    record = json.loads(path.read_text())
    for field in ("arch", "dataset"):
        if record["recipe"][field] != recipe[field]:
            raise VgzooError(
                f"{weights} was trained with {field} {record['recipe'][field]!r}, the recipe has "
                f"{recipe[field]!r}: fine-tune it with compile and fit"
            )
    step, total = record["steps"], recipes.total_steps(recipe)
    if not 0 < step < total or step % recipe["epoch_steps"]:
        raise VgzooError(
            f"{weights} was trained for {step} steps, the recipe has {total} in epochs of "
            f"{recipe['epoch_steps']}: nothing is left to go on with"
        )
    return folder, record


def begin(out: Path, folder: Path, record: dict) -> None:
    """Puts what a weights folder tells of its training into the folder of the run."""
    if (folder / curves.LOG).is_file():
        shutil.copy(folder / curves.LOG, out / curves.LOG)
    machine = {key: record[key] for key in ("hardware", "backend")}
    with open(out / "sittings.jsonl", "w") as file:
        for sitting in record["sittings"]:
            file.write(json.dumps(sitting | machine) + "\n")


def fill(model: VideoModel, recipe: dict, folder: Path, step: int, spread: Spread) -> None:
    """Fill a compiled model and its optimizer, as if they had come to `step` by training."""
    config = _folder.verify(folder)
    for group, variables in model.tensor_groups().items():
        path = folder / TENSOR_FILES[group]
        _tensors.fill(variables, path, config.get("dtype", "float32"), str(folder), grown=True)
    _gather(model, recipe, step, spread)


def _gather(model: VideoModel, recipe: dict, step: int, spread: Spread) -> None:
    """Gather the optimizer's moments over the last steps before `step`."""
    optimizer = model.optimizer
    config = optimizer.get_config() | {
        "learning_rate": 0.0,
        "use_ema": False,
        "gradient_accumulation_steps": None,
    }
    still = type(optimizer)(**config)
    stage = next(stage for stage, start, end in recipes.stages(recipe) if start <= step < end)
    recipes.enter(model, recipe, stage)
    count = min(_GATHERED, step)
    model.noise_step.assign(step - count)
    model.compile(still)
    model.fit(
        recipes.clips(
            recipe,
            stage,
            start=max(0, recipes.clips_seen(recipe, step) - count * stage["batch_size"]),
            steps=count,
            shard=spread.shard,
        ),
        steps_per_epoch=count,
        shuffle=False,
        verbose=0,
    )
    model.compile(optimizer)
    model.noise_step.assign(step)
    gathered = {_tail(v): v for v in still.variables}
    betas = {"momentum": config["beta_1"], "velocity": config["beta_2"]}
    averages = optimizer._model_variables_moving_average
    for variable in optimizer.variables:
        kind = variable.path.rpartition("_")[2]
        if kind in betas:
            # Adam will correct them for `step` steps; they come of fewer.
            share = (1 - betas[kind] ** step) / (1 - betas[kind] ** count)
            variable.assign(gathered[_tail(variable)] * share)
    for variable, average in zip(model.trainable_variables, averages, strict=True):
        average.assign(variable)
    optimizer.iterations.assign(ops.cast(step, optimizer.iterations.dtype))


def _tail(variable) -> str:
    return variable.path.partition("/")[2]  # without the optimizer's own name
