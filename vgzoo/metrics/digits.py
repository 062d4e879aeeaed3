"""What only moving digits allow: which digits a clip shows, and whether they move as they should.

Two digits make 55 unordered pairs, and Moving MNIST shows all of them; a digit keeps its shape and
its speed and bounces. A reader that was trained on real digits (`digit-reader` of this zoo) finds
them, frame by frame. Beside every figure belongs that of real test clips: the reader errs too.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from vgzoo.data import motion
from vgzoo.errors import VgzooError
from vgzoo.metrics import trajectory
from vgzoo.metrics.base import HostMetric
from vgzoo.models.digit_reader import CELL

if TYPE_CHECKING:
    from vgzoo.models.digit_reader import DigitReader

PAIRS = np.array([(a, b) for a in range(10) for b in range(a, 10)])  # (55, 2)
_IDEAL = (np.eye(10)[PAIRS[:, 0]] + np.eye(10)[PAIRS[:, 1]]) / 2  # what a sure reader would say

SURE = 0.7  # confidence from which a clip counts as showing its pair
SHARE = 0.1  # of the clips that a pair has among real ones, so that a misread clip covers nothing
LEAST_MASS = 0.05  # of a digit's place; half of all is a sure one
NEAR = 2.5  # pixels
KEPT = 0.8  # of the frames
_TURN = 6.0  # pixels by which a velocity may change at most before more makes no difference


@keras.saving.register_keras_serializable("vgzoo")
class MovingDigits(HostMetric):
    """Digit pairs, confidence and validity of the trajectories of the clips seen so far.

    The result is a dict:

    - `"pair_coverage"`: how many of the 55 pairs are there. A pair is there if the confident clips
      that show it are at least a tenth of those that would among real clips (n/50, or n/100 of two
      equal digits), and at least one.
    - `"confidence"` in [0, 1]: mean share of the reader's mass that agrees with two whole digits.
    - `"trajectory_validity"` in [0, 1]: share of clips in which each of the two digits lies within
      2.5 pixels of one path of constant speed and bounces, in 80 % of the frames at least. A digit
      that becomes another one, or is lost from sight, is not there.

    Args:
        reader: a `DigitReader`, or what `vgzoo.load` takes to get one.
        name: of the metric.

    Example:

    >>> from vgzoo.models import build
    >>> metric = MovingDigits(build("digit_reader", filters=8, blocks=1))
    >>> metric.update_state(np.zeros((2, 16, 64, 64, 1), "uint8"))
    >>> metric.result()["trajectory_validity"]
    0.0
    """

    def __init__(
        self,
        reader: "DigitReader | str | Path" = "digit-reader",
        *,
        name: str = "moving_digits",
    ):
        super().__init__(name)
        given = isinstance(reader, keras.Model)
        self.source = None if given else str(reader)
        if not given:
            from vgzoo import hub

            reader = hub.load(reader, dtype="float32")
        self.reader = reader

    def get_config(self) -> dict:
        return {"reader": self.source, "name": self.name}

    def reset_state(self) -> None:
        """Forgets everything."""
        self.pairs = np.zeros((0, 2), int)
        self.confidences = np.zeros(0)
        self.valid = np.zeros(0, bool)

    def update_state(self, clips: Any) -> None:
        """Takes more clips, `(B, T, 64, 64, 1)` or one, uint8 or float in [0, 1].

        Raises:
            VideoError, VgzooError: an array that is no clip, or of another size.
        """
        clips = np.asarray(clips)
        clips = clips if clips.ndim == 5 else clips[None]
        for start in range(0, len(clips), 32):  # a clip's maps have as many numbers as itself, ×2.5
            self.add(read(self.reader.heatmaps(clips[start : start + 32])))

    def add(self, found: dict[str, np.ndarray]) -> None:
        """Takes what `read` found in more clips."""
        self.pairs = np.concatenate([self.pairs, found["pair"]])
        self.confidences = np.concatenate([self.confidences, found["confidence"]])
        self.valid = np.concatenate([self.valid, valid(found["track"], found["seen"])])

    def result(self) -> dict[str, float]:
        """The figures so far.

        Raises:
            VgzooError: no clips were seen.
        """
        count = len(self.valid)
        if not count:
            raise VgzooError(f"{self.name} has seen no clips: call update_state() first")
        sure = self.pairs[self.confidences >= SURE]
        shown = (sure[:, None] == PAIRS).all(axis=-1).sum(axis=0)
        share = count / np.where(PAIRS[:, 0] == PAIRS[:, 1], 100, 50)
        covered = shown >= np.maximum(1, SHARE * share)
        return {
            "pair_coverage": int(covered.sum()),
            "confidence": float(self.confidences.mean()),
            "trajectory_validity": float(self.valid.mean()),
        }


def valid(track: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Whether all digits of each clip keep to paths that are possible: bool `(B,)`.

    Args:
        track: `(B, D, T, 2)`, top and left edges in pixels.
        seen: bool `(B, D, T)`.
    """
    near = trajectory.distance(track, seen) <= NEAR
    return (near.mean(axis=-1) >= KEPT).all(axis=-1)


def read(maps: np.ndarray) -> dict[str, np.ndarray]:
    """What a reader's maps `(B, T, H, W, 10)` say about each clip.

    Returns:
        `"pair"` int `(B, 2)`, the lesser digit first; `"confidence"` `(B,)`; `"track"`
        `(B, 2, T, 2)`, top and left edges in pixels; `"seen"` bool `(B, 2, T)`.
    """
    mass = maps.sum(axis=(2, 3)).mean(axis=1)  # (B, 10)
    overlap = np.minimum(mass[:, None], _IDEAL).sum(axis=-1)  # (B, 55)
    which = overlap.argmax(axis=1)
    pair = PAIRS[which]
    planes = [
        np.take_along_axis(maps, pair[:, None, None, None, i, None], axis=-1)[..., 0]
        for i in (0, 1)
    ]
    (first, weight1, rest), (second, weight2, _) = _peak(planes[0]), _peak(planes[1])
    twin = pair[:, 0] == pair[:, 1]
    if twin.any():
        other, weight, _ = _peak(rest[twin])
        # One peak that holds what two digits should hold: one lies upon the other.
        merged = (weight < LEAST_MASS) & (weight1[twin] > 0.75)
        other[merged], weight[merged] = first[twin][merged], weight1[twin][merged]
        both = np.stack([first[twin], other], axis=2)  # (b, T, 2, 2)
        both, swapped = _followed(both)
        first[twin], second[twin] = both[:, :, 0], both[:, :, 1]
        weights = np.stack([weight1[twin], weight], axis=-1)
        weights = np.where(swapped[..., None], weights[..., ::-1], weights)
        weight1[twin], weight2[twin] = weights[..., 0], weights[..., 1]
    return {
        "pair": pair,
        "confidence": overlap.max(axis=1),
        "track": np.stack([first, second], axis=1),
        "seen": np.stack([weight1, weight2], axis=1) >= LEAST_MASS,
    }


def _peak(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `(B, T, H, W)`: place of the 3×3 cells of most mass, `(B, T, 2)` as the top left edge of a
    digit in pixels; their mass `(B, T)`; and the plane without them.
    """
    batch, frames, height, width = plane.shape
    padded = np.pad(plane, ((0, 0), (0, 0), (1, 1), (1, 1)))
    steps = [(i, j) for i in range(3) for j in range(3)]
    around = sum(padded[:, :, i : i + height, j : j + width] for i, j in steps)
    row, column = np.divmod(around.reshape(batch, frames, -1).argmax(axis=-1), width)
    b, t = np.ogrid[:batch, :frames]
    parts = np.stack([padded[b, t, row + i, column + j] for i, j in steps], axis=-1)
    mass = parts.sum(axis=-1)
    offset = np.array(steps) - 1
    place = np.stack([row, column], axis=-1) + parts @ offset / np.maximum(mass, 1e-9)[..., None]
    rest = padded.copy()
    for i, j in steps:
        rest[b, t, row + i, column + j] = 0
    centre = (motion.DIGIT - 1) / 2 - (CELL - 1) / 2
    return CELL * place - centre, mass, rest[:, :, 1:-1, 1:-1]


def _followed(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two alike things, told apart by how they move.

    Args:
        places: `(B, T, 2, 2)`, in each frame two places in any order.

    Returns:
        The places in the order in which velocities change least over the clip (a bounce, or a gap,
        costs no more than `_TURN`), and bool `(B, T)`, where the order was changed.
    """
    batch, frames = places.shape[:2]
    if frames < 3:
        return places, np.zeros((batch, frames), bool)
    orders = np.stack([places, places[:, :, ::-1]], axis=2)  # (B, T, order, thing, 2)
    past, now, after = orders[:, :-2], orders[:, 1:-1], orders[:, 2:]
    bend = past[:, :, :, None, None] - 2 * now[:, :, None, :, None] + after[:, :, None, None]
    cost = np.minimum(np.linalg.norm(bend, axis=-1), _TURN).sum(axis=-1)  # (B, T-2, 2, 2, 2)
    best = np.zeros((batch, 2, 2))  # least cost that ends in these orders of the last two frames
    best[:, 1] = np.inf  # the first frame's order is as it is
    trace = np.empty((batch, frames - 2, 2, 2), int)
    for t in range(frames - 2):
        total = best[..., None] + cost[:, t]  # (B, past, now, after)
        trace[:, t], best = total.argmin(axis=1), total.min(axis=1)
    order = np.empty((batch, frames), int)
    rows = np.arange(batch)
    order[:, -2], order[:, -1] = np.divmod(best.reshape(batch, 4).argmin(axis=1), 2)
    for t in range(frames - 3, -1, -1):
        order[:, t] = trace[rows, t, order[:, t + 1], order[:, t + 2]]
    return np.take_along_axis(orders, order[:, :, None, None, None], axis=2)[:, :, 0], order == 1
