"""How forecasts are judged: against what came, on the test split.

Two protocols, each with the numbers of the papers that use it:

- Stochastic Moving MNIST: 5 frames seen, 20 to come (SVG, Denton and Fergus 2018, arXiv 1802.07687,
  and SRVP, Franceschi et al. 2020, arXiv 2002.09219). The future cannot be known, so the best of
  100 forecasts of each clip counts, by PSNR and by SSIM apart; the first one stands beside it.
- Moving MNIST: 10 frames seen, 10 to come (OpenSTL, Tan et al. 2023, arXiv 2306.11249): MSE and MAE
  summed over a frame, SSIM, PSNR. A forecaster without a likelihood stands in OpenSTL's own table.

A model with a likelihood also has its bound in nats per frame, where a grey pixel counts as so much
of a white and so much of a black one (Srivastava et al. 2015, arXiv 1502.04681). The entropy of the
true pixels, taken so, is what no model can go below.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vgzoo import hub, registry
from vgzoo.errors import VgzooError
from vgzoo.metrics import generation, openstl
from vgzoo.metrics.base import FrameMetric
from vgzoo.metrics.best_of_n import BestOfN
from vgzoo.metrics.frame_mae import FrameMAE
from vgzoo.metrics.frame_mse import FrameMSE
from vgzoo.metrics.nats_per_frame import NatsPerFrame
from vgzoo.metrics.psnr import PSNR
from vgzoo.metrics.ssim import SSIM

TWIN = "svg-mnist-twin"
_BATCH = 16
_ROWS = 64  # forecasts made at a time


@dataclass(frozen=True)
class Task:
    """What is seen, what is to come, and what counts.

    Attributes:
        seen, ahead: frames.
        draws: forecasts of each clip.
        metrics: of frames.
        twin: bundled weights of the same network without latents, which stand among the floors.
        published: a table to stand beside; of Moving MNIST, for models with a likelihood.
    """

    seen: int
    ahead: int
    draws: int
    metrics: Callable[[], list[FrameMetric]]
    twin: str | None
    published: dict


TASKS = {
    "mnist-stochastic": Task(
        seen=5,
        ahead=20,
        draws=100,
        metrics=lambda: [PSNR(), SSIM("skimage")],
        twin=TWIN,
        published={
            "title": "Published, best of 100 on 5,000 clips",
            "header": ["Model", "PSNR", "SSIM"],
            "rows": [["SRVP (arXiv 2002.09219)", 16.93, 0.7799]],
        },
    ),
    "mnist": Task(
        seen=10,
        ahead=10,
        draws=1,
        metrics=lambda: [FrameMSE(), FrameMAE(), SSIM("openstl"), PSNR()],
        twin=None,
        published={
            "title": "Published, nats per frame on 10,000 clips",
            "header": ["Model", "Nats per frame"],
            "rows": [
                ["Composite LSTM (arXiv 1502.04681)", 341.2],
                ["Spatio-temporal autoencoder (arXiv 1511.06309)", 179.8],
                ["VPN (arXiv 1610.00527)", 87.6],
            ],
        },
    ),
}


def run(dataset: str, model, n: int, seed: int, clips_seen: int | None = None) -> dict:
    """Judges a forecaster.

    Args:
        dataset: one of `TASKS`.
        model: with `forecast` and, if it has a likelihood, `elbo`.
        n: how many clips.
        seed: of the clips and of the forecasts.
        clips_seen: how many clips it was trained on, if that is known.

    Returns:
        `{"metrics", "floors", "table"}`.

    Raises:
        VgzooError: a model that needs to see more frames than the protocol shows.
    """
    task = TASKS[dataset]
    if model.context > task.seen:
        raise VgzooError(
            f"{model.name} needs to see {model.context} frames, the protocol shows {task.seen}"
        )
    length = task.seen + task.ahead
    real = generation.real_clips(dataset, n, frames=length, size=model.height, seed=seed)
    floors = {
        "copy of the last frame": _judged(task, real, lambda seen, draws: seen[:, None, -1:]),
        "entropy of the truth": {"nats_per_frame": _entropy(real[:, task.seen :])},
    }
    if task.twin in registry.list_models() and task.twin != model.name:
        floors["deterministic twin"] = _of_model(task, real, hub.load(task.twin), seed)
    metrics = _of_model(task, real, model, seed)
    published = task.published
    if dataset == "mnist" and not hasattr(model, "elbo"):
        published = openstl.table(model, metrics, clips_seen)
    return {"metrics": metrics, "floors": floors, "table": published}


def _of_model(task: Task, real: np.ndarray, model, seed: int) -> dict[str, float]:
    def make(seen: np.ndarray, draws: int) -> np.ndarray:
        draws = draws if np.prod(model.forecast_noise_shape(1)) else 1  # without noise all are one
        return model.forecast(seen, task.ahead, n=draws, seed=seed, batch_size=_ROWS)

    figures = _judged(task, real, make)
    if hasattr(model, "elbo"):
        metric = NatsPerFrame()
        clips = real[:, task.seen - model.context :]
        metric.update_state(model.elbo(clips, seed=seed), frames=task.ahead)
        figures[metric.name] = metric.result()
    return figures


def _judged(task: Task, real: np.ndarray, make: Callable) -> dict[str, float]:
    """Figures of `make(seen, draws) → (B, draws or 1, ahead or 1, H, W, C)`."""
    one, best = task.metrics(), {}
    for i in range(0, len(real), _BATCH):
        seen, truth = np.split(real[i : i + _BATCH], [task.seen], axis=1)
        made = make(seen, task.draws)
        made = np.broadcast_to(made, (*made.shape[:2], *truth.shape[1:]))
        for metric in one:
            metric.update_state(truth, made[:, 0])
            if task.draws > 1:
                name = f"best_of_{task.draws}_{metric.name}"
                draws = made.shape[1]
                best.setdefault(name, BestOfN(metric, draws, name)).update_state(truth, made)
    return {metric.name: metric.result() for metric in (*best.values(), *one)}


def _entropy(clips: np.ndarray) -> float:
    """Nats per frame of pixels that are white as often as they are bright."""
    levels = np.arange(256) / 255
    each = np.zeros(256)
    inner = levels[1:-1]
    each[1:-1] = -inner * np.log(inner) - (1 - inner) * np.log1p(-inner)
    return float(each[clips].sum() / (len(clips) * clips.shape[1]))
