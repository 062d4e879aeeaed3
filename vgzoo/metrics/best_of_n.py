"""The best of N forecasts of each clip.

A model that knows it cannot know the future should hold the true one among its guesses. After SVG
(Denton and Fergus 2018, arXiv 1802.07687; they draw N = 100): of N forecasts of one clip the one
whose mean over its frames is best counts, and the best ones are averaged over the clips. Each
metric chooses for itself. The figure improves with N, so N belongs beside it and stands in its
name.
"""

from typing import Any

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.base import FrameMetric, MeanMetric, at_least_one, clip_pair


@keras.saving.register_keras_serializable("vgzoo")
class BestOfN(MeanMetric):
    """Mean over clips of the best among N forecasts of each.

    Args:
        metric: which figure: `FrameMSE()`, `FrameMAE()`, `PSNR()` or `SSIM(…)`.
        n: forecasts of each clip, at least 1.
        name: of the metric, `best_of_<n>_<metric>` if None.

    Raises:
        VgzooError: a metric that has no figure for a frame, or `n` below 1.

    Example:

    >>> from vgzoo.metrics import FrameMSE
    >>> truth = np.zeros((1, 2, 8, 8, 1))
    >>> forecasts = np.stack([truth + 0.5, truth + 0.25, truth + 1], axis=1)  # (B, N, T, H, W, C)
    >>> metric = BestOfN(FrameMSE(), n=3)
    >>> metric.name, metric(truth, forecasts)
    ('best_of_3_frame_mse', 4.0)
    """

    def __init__(self, metric: FrameMetric, n: int, name: str | None = None):
        if not isinstance(metric, FrameMetric):
            raise VgzooError(
                f"BestOfN got {metric!r}; wanted FrameMSE(), FrameMAE(), PSNR() or SSIM(...)"
            )
        forecasts = at_least_one("n", n)
        super().__init__(name or f"best_of_{forecasts}_{metric.name}")
        self.metric = metric
        self.n = forecasts

    def update_state(self, real: Any, generated: Any) -> None:
        """Takes clips and N forecasts of each.

        Args:
            real: the truth, `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1].
            generated: `(B, N, T, H, W, C)`, or `(N, T, H, W, C)` for one clip.

        Raises:
            VideoError: an array that holds no clips.
            VgzooError: another N, or clips of another shape.
        """
        real, generated = np.asarray(real), np.asarray(generated)
        if real.ndim == 4:
            real, generated = real[None], generated[None]
        wanted = (*real.shape[:1], self.n, *real.shape[1:])
        if real.ndim != 5 or generated.shape != wanted:
            raise VgzooError(
                f"{self.name}: forecasts of shape {generated.shape} came for real clips of shape "
                f"{real.shape}; wanted {wanted}, the forecasts of a clip in the second axis"
            )
        figures = [
            self.metric.frame_values(*clip_pair(real, generated[:, i])).mean(axis=1)
            for i in range(self.n)
        ]  # N times (B,)
        best = np.max if self.metric.higher_is_better else np.min
        self.add(best(figures, axis=0).sum(), len(real))

    def get_config(self) -> dict:
        metric = keras.saving.serialize_keras_object(self.metric)
        return {"metric": metric, "n": self.n, "name": self.name}

    @classmethod
    def from_config(cls, config: dict) -> "BestOfN":
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})
