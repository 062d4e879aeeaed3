"""How fast a dataset gives clips here, and how many of them a training step takes.

The clock runs over whole batches as training receives them: drawn, rendered, in order. A machine
that does other work at the same time gives fewer; so clips for each second of processor time and
the machine's load stand beside the rate.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import keras
from keras import ops

from vgzoo import bench, data, hub, models
from vgzoo.errors import UnknownModelError, VgzooError
from vgzoo.models.base import VideoModel
from vgzoo.train import recipes

_WARM_UP = 8  # batches: more than are made ahead


def bench_data(
    name: str,
    *,
    model: str | None = None,
    frames: int | None = None,
    batch_size: int = 32,
    seconds: float = 2.0,
) -> dict:
    """Times a dataset, beside the training step that it feeds.

    Args:
        name: as in `vgzoo.data.clips`.
        model: a recipe, or what `vgzoo.load` takes; None for the first recipe of a model,
            not a judge, that trains on the dataset, if there is one.
        frames: of a clip; None for the model's, or 16.
        batch_size: clips of a batch.
        seconds: time for each measurement.

    Returns:
        A dict of plain numbers, ready for JSON: `name`, `backend`, `clip` (frames, height, width,
        channels), `batch`, `ready_s` (to the first batch), `clips_per_s`, `frames_per_s`,
        `clips_per_cpu_s`, `load` (the machine's, of one minute) and `cores`; of the model `model`,
        `train_frames`, `train_dtype`, `train_batch`, `train_clips_per_s`, and `times_enough`:
        frames a second that come over those that training takes. Without a model these are None.

    Raises:
        VgzooError: a number out of its range, an unknown model, a dataset that is not there.

    Example:

    >>> bench_data("nowhere")
    Traceback (most recent call last):
    vgzoo.errors.DataError: no dataset 'nowhere'; ...
    """
    if not seconds > 0:
        raise VgzooError(f"seconds must be more than 0, not {seconds}")
    if name not in data.names() and not Path(name).is_dir():
        data.classes(name)  # says what there is
    fed = _fed(name, model)
    trained = None if fed is None else fed[1]
    if frames is None:
        frames = 16 if trained is None else trained.frames
    start = time.perf_counter()
    batches = iter(data.clips(name, frames=frames, batch_size=batch_size, count=-1))
    shape = _wait(batches)
    ready = time.perf_counter() - start
    for _ in range(_WARM_UP):
        _wait(batches)
    start, cpu, clips = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        _wait(batches)
        clips += batch_size
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    report = {
        "name": name,
        "backend": keras.backend.backend(),
        "clip": dict(zip(("frames", "height", "width", "channels"), shape[1:], strict=True)),
        "batch": batch_size,
        "ready_s": ready,
        "clips_per_s": clips / wall,
        "frames_per_s": clips * frames / wall,
        "clips_per_cpu_s": clips / cpu,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }
    return report | _appetite(fed, report["frames_per_s"], seconds)


def _wait(batches: Iterator[dict]) -> tuple[int, ...]:
    """The shape of the next batch's clips, once they are really there."""
    clip = next(batches)["clip"]
    ops.convert_to_numpy(clip[:1, :1])
    return tuple(clip.shape)


def _fed(name: str, model: str | None) -> tuple[str, VideoModel, int] | None:
    """The model that takes the clips, its name and the size of its batches."""
    if model is None:
        known = map(recipes.read, recipes.names())
        fitting = (title for title, r in known if r["dataset"] == name and not _judges(r["arch"]))
        model = next(fitting, None)
        if model is None:
            return None
    try:
        title, recipe = recipes.read(model)
    except UnknownModelError:
        fed = model, hub.load(model), 16
    else:
        built = models.build(recipe["arch"], dtype=recipe["dtype"], **recipe["kwargs"])
        fed = title, built, recipe["stages"][-1]["batch_size"]
    if _judges(fed[1].arch):
        raise VgzooError(f"{model} is a judge and trains on more than clips; name another model")
    return fed


def _judges(arch: str) -> bool:
    return models.model_class(arch).family == "judge"


def _appetite(fed: tuple | None, frames_per_s: float, seconds: float) -> dict:
    fields = ("model", "train_frames", "train_dtype", "train_batch", "train_clips_per_s")
    if fed is None:
        return dict.fromkeys((*fields, "times_enough"))
    title, model, batch = fed
    rate = bench.training(model, batch, seconds)["train_clips_per_s"]
    values = (title, model.frames, model.dtype_policy.name, batch, rate)
    enough = frames_per_s / (rate * model.frames)
    return dict(zip(fields, values, strict=True)) | {"times_enough": enough}
