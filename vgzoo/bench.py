"""How fast a model runs here, and how much of the machine that is.

Utilisation is the model's achieved GFLOP/s over that of a plain matrix product, measured in the
same run on the same backend in the same dtype. The model's operations are counted in the graph the
backend really runs, never written down by hand: the multiplications and additions of its
convolutions and matrix products, which are what the matrix product's peak can be compared with.
Elementwise work costs time and earns nothing.
"""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import ops

from vgzoo import hub, models
from vgzoo._flops import flops
from vgzoo.errors import VgzooError

if TYPE_CHECKING:
    from vgzoo.models.base import VideoModel

POLICIES = ("float32", "mixed_bfloat16")
_MATMUL_SIZES = (1024, 2048, 3072)


def bench(
    name_or_model: "str | VideoModel",
    *,
    batch_sizes: Sequence[int] = (1, 4, 16, 32),
    train_batch: int = 16,
    dtype: str | None = None,
    policies: Sequence[str] = POLICIES,
    seconds: float = 2.0,
) -> dict:
    """Times generation and the training step of a model.

    Generation is `model.generate`, noise and conversion to uint8 included; training is Keras' own
    step, optimizer included, on a batch that lies in memory. Each is run twice to warm up and then
    at least three times; the median counts. A model that is handed in is copied, not trained.

    Args:
        name_or_model: what `vgzoo.load` takes, or a model.
        batch_sizes: clips at a time when generating.
        train_batch: clips of a training step.
        dtype: one Keras dtype policy to measure, in place of `policies`.
        policies: the dtype policies to measure side by side.
        seconds: time for each measurement.

    Returns:
        A dict of plain numbers, ready for JSON: `name`, `backend`, `load_s` (seconds from the name
        to the model; None for a model), `peak_memory_mb` (of the process so far), `policies` (a
        report for each policy), and the fields of the report that generates most frames per second:
        `dtype`, `batch`, `frames_per_s`, `gflop_per_frame`, `utilisation` at the best batch size,
        `train_batch`, `train_clips_per_s`, `train_gflop_per_clip`, `train_utilisation`,
        `peak_gflops`, and `rows`: `batch`, `frames_per_s` and `utilisation` of every batch size.

    Raises:
        VgzooError: a backend, dtype policy, batch size or model that cannot be measured.

    Example:

    >>> from vgzoo import models
    >>> model = models.build("r3gan", height=16, width=16, widths=(8, 8),
    ...                      discriminator_widths=(8, 8))
    >>> report = bench(model, batch_sizes=(1,), train_batch=4, dtype="float32", seconds=0.01)
    >>> report["frames_per_s"] > 0
    True
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise VgzooError(
            f"bench measures on tensorflow and jax, not on {backend}; set KERAS_BACKEND"
        )
    for batch in (*batch_sizes, train_batch):
        if not isinstance(batch, int | np.integer) or batch < 1:
            raise VgzooError(f"a batch size must be a whole number of at least 1, not {batch!r}")
    if not batch_sizes:
        raise VgzooError("bench needs at least one batch size, as in batch_sizes=(1, 16)")
    reports, load_s = {}, None
    for policy in policies if dtype is None else (dtype,):
        compute_dtype = _compute_dtype(policy)
        start = time.perf_counter()
        if isinstance(name_or_model, keras.Model):
            model = _copy(name_or_model, policy)
        else:
            model = hub.load(name_or_model, dtype=policy)
            load_s = load_s or time.perf_counter() - start
        making = _making(model)
        if making is None:
            raise VgzooError(f"bench measures what makes clips; {model.name} does not")
        # The machine may be busier at one moment than at another: the peak is sought twice.
        peak = _matmul_gflops(compute_dtype, seconds / 2)
        rows = [making(model, batch, seconds) for batch in batch_sizes]
        step = training(model, train_batch, seconds)
        peak = max(peak, _matmul_gflops(compute_dtype, seconds / 2))
        reports[policy] = _report(policy, peak, rows, step)
    best = max(reports.values(), key=lambda report: report["frames_per_s"])
    return {
        "name": model.name,
        "backend": backend,
        **best,
        "load_s": load_s,
        "peak_memory_mb": _peak_memory_mb(),
        "policies": reports,
    }


def _compute_dtype(policy: str) -> str:
    try:
        return keras.dtype_policies.get(policy).compute_dtype
    except (ValueError, TypeError) as error:
        raise VgzooError(
            f"unknown dtype policy {policy!r}; take one like {', '.join(POLICIES)}"
        ) from error


def _copy(model: "VideoModel", policy: str) -> "VideoModel":
    """The same model under another dtype policy, so that training leaves the caller's alone."""
    twin = models.build(model.arch, dtype=policy, **model.get_config())
    twin.name = model.name
    for group, variables in twin.tensor_groups().items():
        for ours, theirs in zip(variables, model.tensor_groups()[group], strict=True):
            # By way of numpy: JAX would share the buffer, and training donates it.
            ours.assign(ops.convert_to_numpy(theirs))
    return twin


def _report(policy: str, peak: float, rows: list[dict], training: dict) -> dict:
    for row in rows:
        row["utilisation"] = row["frames_per_s"] * row["gflop_per_frame"] / peak
    fastest = max(rows, key=lambda row: row["frames_per_s"])
    clips_per_s, gflop_per_clip = training["train_clips_per_s"], training["train_gflop_per_clip"]
    return {
        "dtype": policy,
        **fastest,
        **training,
        "train_utilisation": clips_per_s * gflop_per_clip / peak,
        "peak_gflops": peak,
        "rows": rows,
    }


def _making(model: "VideoModel") -> Callable | None:
    """What times a model at what it is for."""
    if "generate" in model.tasks:
        return _generation
    if "forecast" in model.tasks:
        return _forecasting
    return _editing if model.family == "editor" else None


def _generation(model: "VideoModel", batch: int, seconds: float) -> dict:
    labels = model.checked_labels(None, batch, 0) if model.classes else None

    def network(noise):
        return model.sample(noise, labels=labels, frames=model.frames, steps=None)

    noise = np.zeros((batch, *model.noise_shape(model.frames)), "float32")
    frames = batch * model.frames
    times = _timed(lambda: model.generate(batch, batch_size=batch), seconds)
    return {
        "batch": batch,
        "frames_per_s": frames / statistics.median(times),
        "gflop_per_frame": flops(network, noise) / frames / 1e9,
    }


def _forecasting(model: "VideoModel", batch: int, seconds: float) -> dict:
    frames = model.frames - model.context
    clips = np.zeros((batch, model.context, *_size(model)), "uint8")
    times = _timed(lambda: model.forecast(clips, frames, batch_size=batch), seconds)
    return {
        "batch": batch,
        "frames_per_s": batch * frames / statistics.median(times),
        "gflop_per_frame": forecast_flops(model) / frames / 1e9,
    }


def _editing(model: "VideoModel", batch: int, seconds: float) -> dict:
    """Of a restorer `batch` frames at a time, of clips as long as those trained on."""
    clips = np.zeros((1, model.frames, *_size(model)), "uint8")
    times = _timed(lambda: model.edit(clips, batch_size=batch), seconds)

    def network(clips):
        return model.edited(clips, "restore")

    return {
        "batch": batch,
        "frames_per_s": model.frames / statistics.median(times),
        "gflop_per_frame": flops(network, clips.astype("float32")) / model.frames / 1e9,
    }


def forecast_flops(model: "VideoModel") -> int:
    """Floating-point operations of what comes after one clip's context, as `flops` counts them."""
    frames = model.frames - model.context

    def network(context, noise):
        return model.rollout(model.initial_state(context), noise)[0]

    context = np.zeros((1, model.context, *_size(model)), "float32")
    return flops(network, context, np.zeros((1, *model.forecast_noise_shape(frames)), "float32"))


def _size(model: "VideoModel") -> tuple[int, int, int]:
    return model.height, model.width, model.channels


def training(model: "VideoModel", batch: int, seconds: float) -> dict:
    """Times the training step of a model, on a batch that lies in memory; this trains the model.

    Returns:
        `train_batch`, `train_clips_per_s` and `train_gflop_per_clip`.
    """
    shape = (batch, model.frames, model.height, model.width, model.channels)
    clip = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    data = {"clip": ops.convert_to_tensor(clip)}
    if model.classes:
        data["label"] = ops.convert_to_tensor(model.checked_labels(None, batch, 0))
    model.compile()
    model.optimizer.build(model.trainable_variables)
    if keras.backend.backend() == "tensorflow":
        count = flops(model.train_step, (data,))
    else:
        kinds = (model.trainable_variables, model.non_trainable_variables)
        kinds += (model.optimizer.variables, model.metrics_variables)
        state = tuple([v.value for v in kind] for kind in kinds)
        count = flops(model.train_step, state, (data,))
    times = _timed(lambda: model.train_on_batch(data), seconds)
    return {
        "train_batch": batch,
        "train_clips_per_s": batch / statistics.median(times),
        "train_gflop_per_clip": count / batch / 1e9,
    }


def _timed(run: Callable[[], object], seconds: float) -> list[float]:
    """Times of several calls, after two that compile and warm up."""
    for _ in range(2):
        run()
    times: list[float] = []
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def _matmul_gflops(dtype: str, seconds: float) -> float:
    """The best rate of a square matrix product over a few sizes."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        matmul = tf.function(tf.matmul)
    else:
        import jax

        matmul = jax.jit(ops.matmul)
    best = 0.0
    for size in _MATMUL_SIZES:
        a, b = (keras.random.normal((size, size), dtype=dtype, seed=i) for i in (1, 2))

        def run(a=a, b=b):
            # One element is read, so that the clock waits for the result.
            return float(ops.cast(matmul(a, b)[0, 0], "float32"))

        best = max(best, 2e-9 * size**3 / min(_timed(run, seconds / len(_MATMUL_SIZES))))
    return best


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
