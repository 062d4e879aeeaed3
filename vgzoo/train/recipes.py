"""Recipes: what it takes to train a model again, as JSON beside the code.

arch, kwargs    the model
dataset, seed   which clips, in which order
dtype           the Keras dtype policy
stages          one after the other: {"steps", "frames", "size", "batch_size"}; "dataset" where it
                is not the recipe's; "set" for attributes of the model that are not those of kwargs;
                and for the last ones "learning_rate", a number in place of the schedule
learning_rate   {"peak", "warmup_steps", "final"}: linear warm-up, then a cosine
ema_momentum    of the weight average that is kept in the end
epoch_steps     steps between two lines of the log; a checkpoint is written with each
sample_epochs   epochs between two film strips
fps             of the samples

May be left out:
gradient_accumulation_steps
                the weights change once in so many steps, by the mean of their gradients; a step is
                still one batch, for the schedule, the average and the log too
"""

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from vgzoo import data, models
from vgzoo.errors import UnknownModelError, VgzooError
from vgzoo.train import truths

_FOLDER = Path(__file__).with_suffix("")
_FIELDS = {
    "arch": str,
    "kwargs": dict,
    "dataset": str,
    "seed": int,
    "dtype": str,
    "stages": list,
    "learning_rate": dict,
    "ema_momentum": float,
    "epoch_steps": int,
    "sample_epochs": int,
    "fps": int,
}
_OPTIONAL = {"gradient_accumulation_steps": int}
_STAGE = ("steps", "frames", "size", "batch_size")
_STAGE_OPTIONS = ("learning_rate", "dataset", "set")


def names() -> list[str]:
    """Names of the recipes that come with the code."""
    return sorted(path.stem for path in _FOLDER.glob("*.json"))


def read(recipe: str | Path) -> tuple[str, dict]:
    """Name and content of a recipe, by its name or by the path of a JSON file.

    Raises:
        UnknownModelError: no such recipe.
        VgzooError: a field that is missing, unknown or of the wrong kind.
    """
    path = _FOLDER / f"{recipe}.json"
    if not path.is_file():
        path = Path(recipe)
    if path.suffix != ".json" or not path.is_file():
        raise UnknownModelError(
            f"no recipe {str(recipe)!r}; there are: {', '.join(names())}; or give a .json file"
        )
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise VgzooError(f"{path} is not JSON: {error}") from error
    for field in sorted(_FIELDS.keys() ^ (content.keys() - _OPTIONAL.keys())):
        word = "lacks" if field in _FIELDS else "has the unknown field"
        raise VgzooError(f"{path} {word} {field!r}")
    for field, kind in (_FIELDS | _OPTIONAL).items():
        if field in content and not isinstance(content[field], kind):
            raise VgzooError(f"{path}: {field} must be {kind.__name__}, not {content[field]!r}")
    accumulation = content.get("gradient_accumulation_steps", 2)
    if accumulation < 2 or (
        "gradient_accumulation_steps" in content and content["epoch_steps"] % accumulation
    ):
        raise VgzooError(
            f"{path}: gradient_accumulation_steps must be at least 2 and divide epoch_steps="
            f"{content['epoch_steps']}, not {accumulation}; leave it out for none"
        )
    for stage in content["stages"]:
        whole = {k: v for k, v in stage.items() if k not in _STAGE_OPTIONS}
        if sorted(whole) != sorted(_STAGE) or not all(
            isinstance(value, int) and value > 0 for value in whole.values()
        ):
            raise VgzooError(f"{path}: a stage is whole numbers {', '.join(_STAGE)}, not {stage}")
        if not isinstance(stage.get("learning_rate", 1e-4), float):
            raise VgzooError(f"{path}: a stage's learning_rate is a number such as 1e-4: {stage}")
        if not isinstance(stage.get("dataset", ""), str):
            raise VgzooError(f"{path}: a stage's dataset is a name: {stage}")
        own = stage.get("set", {})
        if not isinstance(own, dict) or own.keys() - content["kwargs"].keys():
            raise VgzooError(f"{path}: a stage's set has names that kwargs have, not {own}")
        if stage["steps"] % content["epoch_steps"]:
            raise VgzooError(
                f"{path}: steps of a stage must be a multiple of epoch_steps="
                f"{content['epoch_steps']}, not {stage['steps']}"
            )
    return path.stem, content


def total_steps(recipe: dict) -> int:
    """Steps of all stages."""
    return sum(stage["steps"] for stage in recipe["stages"])


def clips_seen(recipe: dict, step: int) -> int:
    """Clips that the first `step` steps train on."""
    clips = 0
    for stage in recipe["stages"]:
        steps = min(step, stage["steps"])
        clips += steps * stage["batch_size"]
        step -= steps
    return clips


def stages(recipe: dict):
    """Each stage with the steps between which it lies: `(stage, start, end)`."""
    start = 0
    for stage in recipe["stages"]:
        yield stage, start, start + stage["steps"]
        start += stage["steps"]


def enter(model: keras.Model, recipe: dict, stage: dict | None) -> None:
    """Give a model the attributes that it has in a stage, or has when there is none."""
    own = stage.get("set", {}) if stage else {}
    for key in {key for each in recipe["stages"] for key in each.get("set", {})}:
        setattr(model, key, own.get(key, recipe["kwargs"][key]))


def clips(recipe: dict, stage: dict, *, start: int, steps: int, shard: tuple[int, int] = (0, 1)):
    """The clips of some steps of a stage, as `vgzoo.data.clips` gives them.

    Args:
        recipe, stage: what is trained, and which of its stages.
        start: number of the first clip.
        steps: how many batches.
        shard: (index, hosts): of each batch, this host's part.
    """
    options = _options(recipe, stage) | {
        "batch_size": stage["batch_size"] // shard[1],
        "start": start,
        "count": steps * stage["batch_size"],
        "shard": shard,
    }
    dataset, kind = _dataset(recipe, stage), models.model_class(recipe["arch"])
    if kind.learns_from_truth(recipe["kwargs"]):
        return truths.clips(dataset, "train", **options)
    if kind.learns_from_flow and dataset in data.names():
        options["flow"] = True
    return data.clips(dataset, "train", **options)


def shown(recipe: dict, count: int, frames: int | None = None) -> np.ndarray:
    """The first clips of the validation split, uint8 `(count, T, H, W, C)`.

    They are as the last stage's, of another length if `frames` is given.
    """
    options = _options(recipe, recipe["stages"][-1]) | {"batch_size": count, "count": count}
    options["frames"] = frames or options["frames"]
    dataset = _dataset(recipe, recipe["stages"][-1])
    batch = next(iter(data.clips(dataset, "validation", **options)))
    return ops.convert_to_numpy(batch["clip"])


def _dataset(recipe: dict, stage: dict) -> str:
    return stage.get("dataset", recipe["dataset"])


def _options(recipe: dict, stage: dict) -> dict:
    dataset = _dataset(recipe, stage)
    options = {"frames": stage["frames"], "size": stage["size"], "seed": recipe["seed"]}
    if dataset not in data.names() and Path(dataset).is_dir():
        options["channels"] = recipe["kwargs"].get("channels", 1)  # a folder's videos have either
    return options


@keras.saving.register_keras_serializable("vgzoo")
class Schedule(keras.optimizers.schedules.CosineDecay):
    """A warm-up and a cosine, and behind them constant rates.

    Args:
        steps: of warm-up and cosine together.
        tail: (steps, rate) of what comes then.
        cosine: further arguments of `CosineDecay`.
    """

    def __init__(self, *, steps: int, tail: list[tuple[int, float]], **cosine):
        super().__init__(decay_steps=steps - cosine["warmup_steps"], **cosine)
        self.steps, self.tail = steps, tail

    def __call__(self, step):
        rate, begin = super().__call__(step), self.steps
        for steps, constant in self.tail:
            rate = ops.where(step < begin, rate, constant)
            begin += steps
        return rate

    def get_config(self) -> dict:
        config = super().get_config()
        config.pop("decay_steps")
        return config | {"steps": self.steps, "tail": self.tail}


def optimizer(recipe: dict, model: keras.Model) -> keras.optimizers.Optimizer:
    """The model's own optimizer, with the recipe's schedule and weight average."""
    rate, stages = recipe["learning_rate"], recipe["stages"]
    warmup = rate["warmup_steps"]
    own = [(stage["steps"], stage["learning_rate"]) for stage in stages if "learning_rate" in stage]
    schedule = Schedule(
        steps=total_steps(recipe) - sum(steps for steps, _ in own),
        tail=own,
        initial_learning_rate=0.0 if warmup else rate["peak"],
        alpha=rate["final"] / rate["peak"],
        warmup_target=rate["peak"] if warmup else None,
        warmup_steps=warmup,
    )
    config = model.default_optimizer().get_config()
    config |= {
        "learning_rate": schedule,
        "use_ema": True,
        "ema_momentum": recipe["ema_momentum"],
        "ema_overwrite_frequency": None,
        "gradient_accumulation_steps": recipe.get("gradient_accumulation_steps"),
    }
    return type(model.default_optimizer())(**config)
