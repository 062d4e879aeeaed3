"""How clips that were generated are judged: against real clips of the test split.

FCD, kernel distance, precision and recall are taken of one encoder's features of N generated and N
real clips. The floors are the same figures of N other real clips, drawn from the same test images:
as they are, blurred by one pixel, with their frames shuffled, and with every pixel drawn on its
own, a baseline that knows nothing but how bright each place is.

Of a model that is told which digits to show, the share of clips in which they are read counts too;
of one that samples in steps, the same figures stand in a table for fewer of them.
"""

from collections.abc import Sequence

import numpy as np
from keras import ops

from vgzoo import data
from vgzoo.errors import VgzooError
from vgzoo.metrics import distortions
from vgzoo.metrics.digits import MovingDigits
from vgzoo.metrics.frechet import FrechetDistance
from vgzoo.metrics.kernel_distance import KernelDistance
from vgzoo.metrics.precision_recall import PrecisionRecall

ENCODER, READER = "clip-encoder", "digit-reader"
BATCH = 32
FRAMES = 16  # of a video's clips
SHAPES = {"mnist": (64, 1), "cifar10": (32, 3), "imagenette": (64, 3)}  # side, channels
LEAST = 8  # clips, below which no distance means anything
STEPS = (1, 2, 4, 8, 16, 32)  # evaluations of the network, of a model that samples in steps


def clip_spec(dataset: str) -> dict[str, int]:
    """Frames, height, width and channels of the clips of a dataset."""
    side, channels = SHAPES[dataset]
    return {"frames": FRAMES, "height": side, "width": side, "channels": channels}


def real_clips(
    dataset: str, n: int, *, start: int = 0, frames: int, size: int | None = None, seed: int
) -> np.ndarray:
    """Clips `start … start + n` of the test split: uint8 `(n, frames, size, size, C)`."""
    batches = -(-n // BATCH)
    found = data.clips(
        dataset,
        "test",
        frames=frames,
        size=size or SHAPES[dataset][0],
        batch_size=BATCH,
        seed=seed,
        start=start,
        count=batches * BATCH,
    )
    return np.concatenate([ops.convert_to_numpy(batch["clip"]) for batch in found])[:n]


def features(encoder, clips: np.ndarray) -> np.ndarray:
    """An encoder's features of clips `(B, T, H, W, C)`; of an odd length the last frame is left."""
    return encoder.features(clips[:, : clips.shape[1] // 2 * 2])


def distances(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    """FCD, kernel distance, precision and recall of two sets of features `(N, D)`."""
    figures: dict[str, float] = {}
    for name, metric in (
        ("fcd", FrechetDistance()),
        ("kernel_distance", KernelDistance()),
        ("precision_recall", PrecisionRecall()),
    ):
        metric.update_state(real, generated)
        result = metric.result()
        figures |= result if isinstance(result, dict) else {name: result}
    return figures


def run(
    dataset: str,
    make,
    spec: dict[str, int],
    n: int,
    seed: int,
    *,
    labels: np.ndarray | None = None,
    steps: Sequence[int] = (),
    usual: int | None = None,
) -> dict:
    """Judges a generator.

    Args:
        dataset: "mnist", "cifar10" or "imagenette".
        make: `(n, seed) → uint8 (n, T, H, W, C)`; with `steps=` where there are some.
        spec: frames, height, width and channels of its clips.
        n: how many clips of each kind.
        seed: of all of them.
        labels: what the clips were to show, `(n, 2)` digits; None if that was not said.
        steps: numbers of evaluations for the table.
        usual: how many it takes where nothing is said, of which the figures are known then.

    Returns:
        `{"metrics", "floors"}`, and with steps `"table"`.

    Raises:
        VgzooError: clips of another kind than the dataset's, or too few.
    """
    from vgzoo import hub

    side, channels = SHAPES[dataset]
    if spec["channels"] != channels or spec["height"] != spec["width"]:
        raise VgzooError(
            f"clips of {dataset} are square with {channels} channels, not "
            f"{spec['height']}×{spec['width']} with {spec['channels']}"
        )
    if n < LEAST:
        raise VgzooError(f"n must be at least {LEAST}, not {n}")
    encoder = hub.load(ENCODER, dtype="float32")
    reader = None
    if dataset == "mnist" and spec["height"] == side:
        reader = hub.load(READER, dtype="float32")
    frames, size = spec["frames"], spec["height"]

    def real(start: int) -> np.ndarray:
        return real_clips(dataset, n, start=start, frames=frames, size=size, seed=seed)

    wanted = features(encoder, real(0))
    other = real(-(-n // BATCH) * BATCH)

    def judged(clips: np.ndarray, labels: np.ndarray | None = None) -> dict[str, float]:
        figures = distances(wanted, features(encoder, clips))
        if reader is not None:
            metric = MovingDigits(reader)
            metric.update_state(clips)
            figures |= metric.result()
            if labels is not None:
                right = (metric.pairs == np.sort(labels, axis=1)).all(axis=1)
                figures["label_accuracy"] = float(right.mean())
        return figures

    report = {
        "metrics": judged(make(n, seed), labels),
        "floors": {
            "real": judged(other),
            "real, blurred": judged(distortions.blurred(other, 1.0)),
            "real, shuffled": judged(
                distortions.distort(other, "shuffle", 1, frames=frames, seed=seed)
            ),
            "independent pixels": judged(distortions.independent_pixels(other, seed)),
        },
    }
    if steps:
        known = {usual: report["metrics"]}
        rows = [
            (count, known.get(count) or judged(make(n, seed, steps=count), labels))
            for count in steps
        ]
        report["table"] = {
            "title": "Evaluations of the network",
            "header": ["Evaluations", *rows[0][1]],
            "rows": [[count, *figures.values()] for count, figures in rows],
        }
    return report
