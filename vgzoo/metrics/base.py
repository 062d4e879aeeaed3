"""What the metrics share: float64 sums on the host, and what comes in checked."""

import abc
from typing import Any, ClassVar

import keras
import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.video import as_uint8


class HostMetric(keras.metrics.Metric):
    """A metric that counts in NumPy between steps, not inside a compiled one.

    Keras' own sums are float32 variables, which lose the fifth digit over a test set.

    Args:
        name: of the metric.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        self.reset_state()

    def get_config(self) -> dict:
        return {"name": self.name}


class MeanMetric(HostMetric):
    """A mean: `total` over `count`, of whatever a subclass counts.

    Attributes:
        total: float64 sum so far.
        count: what it is divided by.
        counted: what is counted, for the message where there is none.
    """

    counted: ClassVar[str] = "clips"

    def reset_state(self) -> None:
        """Forgets everything."""
        self.total, self.count = 0.0, 0.0

    def add(self, total: float, count: float) -> None:
        self.total += float(total)
        self.count += float(count)

    def result(self) -> float:
        """The mean so far.

        Raises:
            VgzooError: there is nothing to take a mean of.
        """
        if not self.count:
            raise VgzooError(f"{self.name} has seen no {self.counted}: call update_state() first")
        return self.total / self.count


class FrameMetric(MeanMetric, abc.ABC):
    """A figure for each pair of frames; its mean over all frames is the result.

    A subclass writes `frame_values`.
    """

    higher_is_better: ClassVar[bool] = False

    def update_state(self, real: Any, generated: Any) -> None:
        """Takes clips and what was made of them.

        Args:
            real: the truth, `(B, T, H, W, C)` or one clip, uint8 or float in [0, 1].
            generated: forecast, reconstruction or edit, of the same shape.

        Raises:
            VideoError: an array that is no clip.
            VgzooError: two different shapes, or frames that the metric cannot take.
        """
        values = self.frame_values(*clip_pair(real, generated))
        self.add(values.sum(), values.size)

    @abc.abstractmethod
    def frame_values(self, real: np.ndarray, generated: np.ndarray) -> np.ndarray:
        """float64 `(B, T, H, W, C)` in [0, 1], twice → one figure a frame, `(B, T)`."""


def unit_clips(clips: Any) -> np.ndarray:
    """Clips by the contract as float64 in [0, 1], `(B, T, H, W, C)`; floats are not rounded.

    Raises:
        VideoError: an array that is no clip.
    """
    checked = as_uint8(clips)
    clips = np.asarray(clips)
    clips = checked / 255 if clips.dtype == np.uint8 else clips.astype("float64")
    return clips if clips.ndim == 5 else clips[None]


def clip_pair(real: Any, generated: Any) -> tuple[np.ndarray, np.ndarray]:
    """Both as `unit_clips` gives them, of one shape.

    Raises:
        VideoError, VgzooError: one is no clip, or the shapes differ.
    """
    real, generated = unit_clips(real), unit_clips(generated)
    if real.shape != generated.shape:
        raise VgzooError(
            f"real clips of shape {real.shape} and generated ones of {generated.shape} came; "
            "wanted one shape, each generated clip beside its real one"
        )
    return real, generated


def per_clip(name: str, values: Any) -> np.ndarray:
    """One finite or infinite number a clip: float64 `(B,)`.

    Raises:
        VgzooError: another shape, none at all, or NaN.
    """
    try:
        values = np.asarray(values, "float64")
    except (TypeError, ValueError, RuntimeError) as error:
        raise VgzooError(
            f"{name} is a {type(values).__name__} of no numbers; wanted (clips,)"
        ) from error
    values = values[None] if values.ndim == 0 else values
    if values.ndim != 1 or not values.size:
        raise VgzooError(f"{name} of shape {values.shape} came; wanted (clips,), one number each")
    if np.isnan(values).any():
        where = int(np.isnan(values).argmax())
        raise VgzooError(f"{name} is NaN for clip {where} of the batch; wanted a number")
    return values


def at_least_one(name: str, value: int) -> int:
    """A whole number from 1.

    Raises:
        VgzooError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise VgzooError(f"{name} must be a whole number of at least 1, not {value!r}")
    return int(value)
