"""Training checkpoints: everything a run needs to go on as if it had never stopped.

One safetensors file holds the model's variables (the noise position among them), the optimizer's
(its step, moments and weight averages) and, as metadata, the step and the recipe. It is written
beside its place, flushed to the disk and renamed, so a kill at any moment leaves a whole one.
"""

import json
import os
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vgzoo.errors import VgzooError
from vgzoo.train.distribution import SharedError, Spread

_ALONE = Spread()
FILE = "checkpoint.safetensors"


class NotFinite(SharedError):
    """Training ran into NaN or infinity."""


def save(folder: Path, model: keras.Model, spread=_ALONE, *, step: int, recipe: dict) -> None:
    """Write `folder/checkpoint.safetensors` atomically, on the first host of a run.

    Raises:
        NotFinite: a variable is not finite; the checkpoint on disk stays as it was.
        VgzooError: no room on the disk; the checkpoint on disk stays as it was.
    """
    tensors = {k: keras.ops.convert_to_numpy(v) for k, v in _variables(model).items()}
    for key, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise NotFinite(f"{key} is not finite at step {step}")
    if spread.first:
        write(folder, tensors, {"step": str(step), "recipe": json.dumps(recipe)})


def write(folder: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write tensors to `folder/checkpoint.safetensors`, whole or not at all."""
    part = folder / f"{FILE}.part"
    try:
        save_file(tensors, part, metadata)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, folder / FILE)
    except (OSError, SafetensorError) as error:
        raise VgzooError(
            f"cannot write a checkpoint to {folder} ({error}); the last one is kept: make room, "
            "then go on with --resume"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_metadata(folder: Path) -> tuple[int, dict] | None:
    """Step and recipe of the checkpoint in a folder, None if there is none.

    Raises:
        VgzooError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata()
        return int(metadata["step"]), json.loads(metadata["recipe"])
    except Exception as error:
        raise VgzooError(f"{path} is damaged ({error}): remove it to start anew") from error


def restore(folder: Path, model: keras.Model, spread=_ALONE) -> None:
    """Fill a compiled model and its optimizer from the checkpoint in the first host's folder.

    Raises:
        VgzooError: the checkpoint is of another model: its code has changed since.
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    variables = _variables(model)
    if spread.first:
        values = _read(folder, variables)
    else:
        values = [np.zeros(v.shape, v.dtype) for v in variables.values()]
    for variable, value in zip(variables.values(), spread.share(values), strict=True):
        variable.assign(value)


def _read(folder: Path, variables: dict[str, keras.Variable]) -> list[np.ndarray]:
    with safe_open(folder / FILE, "numpy") as file:
        stored = set(file.keys())
        for key, variable in variables.items():
            shape = tuple(file.get_slice(key).get_shape()) if key in stored else "no value"
            if shape != tuple(variable.shape):
                raise VgzooError(
                    f"{folder / FILE} has {shape} for {key}, the model wants "
                    f"{tuple(variable.shape)}: its code has changed since; take another folder, or "
                    "the commit that sittings.jsonl there names"
                )
        return [file.get_tensor(key) for key in variables]


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    named = {f"model/{v.path}": v for v in model.weights}
    # An optimizer's variables have no unique paths, but a fixed order. The optimizer's own name
    # counts how many were made in the process, so it is left out.
    for i, variable in enumerate(model.optimizer.variables):
        named[f"optimizer/{i:04d}/{variable.path.partition('/')[2]}"] = variable
    return named
