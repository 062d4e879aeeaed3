"""Sets of features, real and generated, from which distances between distributions are taken."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from vgzoo.errors import VgzooError
from vgzoo.metrics.base import HostMetric


class Rows:
    """All rows, kept as float64."""

    def __init__(self):
        self.count = 0
        self._parts: list[np.ndarray] = []

    def update(self, rows: np.ndarray) -> None:
        self._parts.append(rows)
        self.count += len(rows)

    def stacked(self) -> np.ndarray:
        return np.concatenate(self._parts)


class Moments:
    """Count, mean and scatter of rows, gathered batch by batch in float64 (Chan et al. 1983)."""

    def __init__(self):
        self.count, self.mean, self.scatter = 0, 0.0, 0.0

    def update(self, rows: np.ndarray) -> None:
        count = self.count + len(rows)
        mean = rows.mean(axis=0)
        shift, centred = mean - self.mean, rows - mean
        weight = self.count * len(rows) / count
        self.scatter = self.scatter + centred.T @ centred + weight * np.outer(shift, shift)
        self.mean = self.mean + shift * (len(rows) / count)
        self.count = count

    def gaussian(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean `(D,)` and covariance `(D, D)`, divided by N - 1."""
        return self.mean, self.scatter / (self.count - 1)


class FeatureMetric(HostMetric, abc.ABC):
    """A metric between a set of real features and a set of generated ones.

    Its state is NumPy, one `keep` for each set; a subclass writes `distance`.

    Attributes:
        keep: what becomes of the features, `Rows` or `Moments`.
        least: how many of each the metric needs.
    """

    keep: ClassVar[Callable[[], Rows | Moments]] = Rows
    least: ClassVar[int] = 2

    def reset_state(self) -> None:
        """Forgets both sets."""
        self.real, self.generated = type(self).keep(), type(self).keep()
        self.width: int | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """How many real and how many generated features were seen: to print beside the figure."""
        return self.real.count, self.generated.count

    def update_state(self, real: Any = None, generated: Any = None) -> None:
        """Takes more features of either kind; they need not be as many.

        Args:
            real: `(B, D)` numbers, one row a clip, or None.
            generated: likewise.

        Raises:
            VgzooError: another shape, another D than before, NaN or infinite values. Nothing of
                the call is taken then.
        """
        width, taken = self.width, []
        for name, rows in (("real", real), ("generated", generated)):
            if rows is not None:
                rows = _checked(name, rows, width)
                width = rows.shape[1]
                taken.append((getattr(self, name), rows))
        if not taken:
            raise VgzooError(f"{self.name}: no features came; give real=, generated= or both")
        self.width = width
        for kept, rows in taken:
            kept.update(rows)

    def result(self) -> float | dict[str, float]:
        """The figure for what was seen so far.

        Raises:
            VgzooError: too few of either kind.
        """
        if min(self.counts) < self.least:
            real, generated = self.counts
            raise VgzooError(
                f"{self.name} of {real} real and {generated} generated features: it needs at least "
                f"{self.least} of each"
            )
        return self.distance()

    @abc.abstractmethod
    def distance(self) -> float | dict[str, float]:
        """The figure, both sets being large enough."""


def _checked(name: str, rows: Any, width: int | None) -> np.ndarray:
    try:
        rows = np.array(rows, "float64")  # a copy: the caller may reuse its buffer
    except (TypeError, ValueError, RuntimeError) as error:
        raise VgzooError(
            f"{name} features are a {type(rows).__name__} that is no array of numbers; "
            "wanted (clips, features)"
        ) from error
    if rows.ndim != 2 or not rows.size:
        raise VgzooError(f"{name} features of shape {rows.shape} came; wanted (clips, features)")
    if width not in (None, rows.shape[1]):
        raise VgzooError(
            f"{name} features of width {rows.shape[1]} came after {width}; take both sets from "
            "one encoder"
        )
    if not np.isfinite(rows).all():
        clip = int((~np.isfinite(rows)).any(axis=1).argmax())
        raise VgzooError(f"{name} features of clip {clip} are NaN or infinite; wanted numbers")
    return rows
