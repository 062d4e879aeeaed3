"""From a checkpoint to a weights folder, with what a stranger needs to believe it."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
from keras import ops

from vgzoo import bench, card, hub, video
from vgzoo.errors import VgzooError
from vgzoo.models.base import VideoModel
from vgzoo.train import checkpoint, curves, recipes, shown, truths

_DATA_LICENSES = {
    "mnist": "CC-BY-SA-3.0",
    "mnist-stochastic": "CC-BY-SA-3.0",
    "mnist-stills": "CC-BY-SA-3.0",
    "cifar10": "unspecified by its authors (CIFAR-10, Krizhevsky 2009)",
    "cifar10-stills": "unspecified by its authors (CIFAR-10, Krizhevsky 2009)",
    "imagenette": "Apache-2.0 for Imagenette's packaging; its images are ImageNet's, for "
    "non-commercial research",
}
_GOLDEN = {"n": 2, "seed": 0, "tolerance": 1.0}
_FLOPS = "flops.json"
_SITTING = ("first_step", "commit", "from_weights")


def export(model: VideoModel, name: str, recipe: dict, out: Path, step: int) -> Path:
    """The averaged weights of a run's checkpoint as a weights folder.

    Args:
        model: a compiled model of the recipe, to be filled.
        name: of the recipe and of the folder in `out`.
        recipe: what it was trained by.
        out: folder of the run.
        step: how far it has come.
    """
    operations = _operations(model, recipe, out, step)
    recipes.enter(model, recipe, None)
    checkpoint.restore(out, model)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    model.end_burn_in()
    if model.fitted_to:
        model.fit_to(_clips(recipe, model.fitted_to))
    own = [stage.get("dataset", recipe["dataset"]) for stage in recipe["stages"]]
    datasets = dict.fromkeys([recipe["dataset"], *own])
    folder = hub.save(
        model,
        out / name,
        dataset=Path(recipe["dataset"]).name,  # of a folder of videos, not where it lies
        license={
            "code": "Apache-2.0",
            "weights": "Apache-2.0",
            "data": data_license("+".join(datasets)),
        },
        fps=recipe["fps"],
        half=True,
    )
    # What is shown and checked is what anybody loads: half precision, read back.
    _show(hub.load(folder, dtype="float32"), folder, recipe)
    if picture := curves.draw(out):
        for path in (picture, out / curves.LOG):
            shutil.copy(path, folder / path.name)
    sittings = [json.loads(line) for line in (out / "sittings.jsonl").read_text().splitlines()]
    record = {
        "command": f"vgzoo train {name} --out DIR",
        "commit": sittings[-1]["commit"],
        "seed": recipe["seed"],
        "data": recipe["dataset"],
        "recipe": recipe,
        "steps": step,
        "clips": recipes.clips_seen(recipe, step),
        "flops": operations,
        "hardware": ", then ".join(dict.fromkeys(s["hardware"] for s in sittings)),
        "backend": ", then ".join(dict.fromkeys(s["backend"] for s in sittings)),
        "wall_s": _training_seconds(out, recipe),
        "sittings": [{k: s[k] for k in _SITTING if k in s} for s in sittings],
    }
    (folder / "train.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "README.md").write_text(card.of(folder, f"./{name}"))
    return folder


def _clips(recipe: dict, count: int):
    """Batches of the clips that a training began with, as NumPy arrays."""
    stage = recipe["stages"][-1]
    steps = -(-count // stage["batch_size"])
    for batch in recipes.clips(recipe, stage, start=0, steps=steps):
        yield ops.convert_to_numpy(batch["clip"])


def data_license(dataset: str) -> str:
    """What is known of the licenses of the datasets joined by "+" in a name."""
    names = dataset.split("+")
    return "; ".join(_DATA_LICENSES.get(name, "unspecified") for name in names)


def _show(model: VideoModel, folder: Path, recipe: dict) -> None:
    """A golden output and a sample, of what the model's tasks allow."""
    n, seed = _GOLDEN["n"], _GOLDEN["seed"]
    golden, looks = dict(_GOLDEN), {"scale": 1}
    sample = patterns = truths.patterns(n, seed=seed, **model.clip_spec)
    if model.family == "judge":
        golden |= {"features": model.features(patterns), "tolerance": 0.01}
        looks = {}
    elif "generate" in model.tasks:
        sample = model.generate(16, seed=0)
        # Of a model that takes long a few frames are enough to check.
        golden |= {"frames": 4} if model.small_steps else {}
        golden["clips"] = sample[:n, : golden.get("frames")]
    else:
        sample = shown.clips(model, recipe, 16)
        looks |= {"columns": 4}
    video.write(folder / "sample.gif", shown.fewer_colours(sample), fps=recipe["fps"], **looks)
    if model.family == "editor":
        made = shown.edits(model, patterns[:1, :5])
        golden |= {f"edits_{task}": after for task, (_, after) in made.items()}
    if "forecast" in model.tasks:
        golden["forecasts"] = model.forecast(patterns, seed=seed)
    np.savez_compressed(folder / "golden.npz", **golden)


def _training_seconds(out: Path, recipe: dict) -> float:
    """Time of all epochs, from the log: it outlives a kill."""
    seconds, before = 0.0, 0
    for row in curves.read(out):  # epochs may have been of other lengths in an earlier sitting
        clips = recipes.clips_seen(recipe, int(row["step"]))
        seconds, before = seconds + (clips - before) / row["clips_per_s"], clips
    return round(seconds, 1)


def _operations(model: VideoModel, recipe: dict, out: Path, step: int) -> int | str:
    """Floating-point operations of all steps so far; why not, where they cannot be counted.

    Counted once a stage, at its own shapes, and kept in the folder of the run.
    """
    path = out / _FLOPS
    known = json.loads(path.read_text()) if path.exists() else {}
    total = 0
    for i, stage in enumerate(recipe["stages"]):
        steps = min(step, stage["steps"])
        step -= steps
        if not steps:
            break
        if str(i) not in known:
            try:
                known[str(i)] = _step_operations(model, recipe, stage)
            except VgzooError as error:
                return f"not counted: {error}"
            path.write_text(json.dumps(known) + "\n")
        total += steps * known[str(i)]
    return total


def _step_operations(model: VideoModel, recipe: dict, stage: dict) -> int:
    recipes.enter(model, recipe, stage)
    batch = next(iter(recipes.clips(recipe, stage, start=0, steps=1)))
    batch = {key: ops.convert_to_tensor(value) for key, value in batch.items()}
    if keras.backend.backend() == "tensorflow":
        return bench.flops(model.train_step, (batch,))
    kinds = (model.trainable_variables, model.non_trainable_variables)
    kinds += (model.optimizer.variables, model.metrics_variables)
    state = tuple([v.value for v in kind] for kind in kinds)
    return bench.flops(model.train_step, state, (batch,))
