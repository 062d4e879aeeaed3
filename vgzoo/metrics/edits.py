"""How edits of moving digits are judged: is it the other digit, and where the first one was?

In n real test clips of two different digits one is to become a third one, on the path of the one it
replaces, beside the other one as it is. `digit-reader` says which digits a changed clip shows and
where; where they should be is known. The floors are the clips as they were, which keep all paths
and show the wrong digit, and other clips that show the right digits on other paths.
"""

import numpy as np

from vgzoo import data
from vgzoo.data import motion
from vgzoo.metrics.digits import KEPT
from vgzoo.metrics.generation import READER
from vgzoo.metrics.judges import read_clips, rendered

NEAR = 2.0  # pixels
STRENGTHS = (0.5, 0.8, 0.95, 1.0)  # of the table
_BATCH = 32


def run(dataset: str, model, n: int, seed: int) -> dict:
    """Judges a model that changes one digit of two.

    Args:
        dataset: "mnist".
        model: with `edit`, of clips of 64×64.
        n: how many clips; the table has a quarter of them in each row.
        seed: of the clips, of what they are to become, and of the edits.

    Returns:
        `{"metrics", "floors", "table"}`. `"label_accuracy"` is the share of clips in which just the
        two digits wanted are read; `"near"` that of frames in which a digit lies within two pixels
        of its path; `"path_kept"` that of clips in which both do, in 80 % of the frames at least.
    """
    from vgzoo import hub

    reader = hub.load(READER, dtype="float32")
    clips, labels, wanted, paths = cases(dataset, n, model.frames, seed)
    others, *_ = cases(dataset, n, model.frames, seed, start=n, labels=wanted)

    def judged(made: np.ndarray) -> dict[str, float]:
        found = read_clips(reader, made)
        return score(found, wanted[: len(made)], paths[: len(made)])

    def edited(count: int, **options) -> np.ndarray:
        return model.edit(
            clips[:count],
            labels=wanted[:count],
            source_labels=labels[:count],
            seed=seed,
            batch_size=_BATCH,
            **options,
        )

    part = max(n // 4, 1)
    rows = [
        [method, strength, *judged(edited(part, method=method, strength=strength)).values()]
        for method in ("flowedit", "sdedit")
        for strength in STRENGTHS
    ]
    metrics = judged(edited(n))
    return {
        "metrics": metrics,
        "floors": {"as they were": judged(clips), "other clips": judged(others)},
        "table": {
            "title": f"Ways to edit ({part} clips of each)",
            "header": ["Method", "Strength", *metrics],
            "rows": rows,
        },
    }


def cases(
    dataset: str,
    n: int,
    frames: int,
    seed: int,
    *,
    start: int = 0,
    split: str = "test",
    labels: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Clips to edit.

    Args:
        dataset, split: whose digits.
        n, start, frames, seed: which clips.
        labels: digits `(n, 2)` that they show; any two that differ if None.

    Returns:
        uint8 `(n, frames, 64, 64, 1)`; the two digits of each and the two that it is to show, of
        which the second stays, int32 `(n, 2)`; and their paths, int32 `(n, 2, frames, 2)`.
    """
    images, classes = data.images(dataset, split)
    drawn = motion.draw((images, classes), seed=seed, start=start, count=n, frames=frames)
    rng = np.random.default_rng((seed, start))
    if labels is None:
        first = rng.integers(0, 10, n)
        labels = np.stack([first, (first + rng.integers(1, 10, n)) % 10], axis=1)
    labels = labels.astype("int32")
    which = rng.random(labels.shape)
    members = [np.flatnonzero(classes == digit) for digit in range(10)]
    counts = np.array([len(each) for each in members])
    places = (which * counts[labels]).astype("int64")
    chosen = [
        [images[members[digit][i]] for digit, i in zip(*row, strict=True)]
        for row in zip(labels, places, strict=True)
    ]
    # Neither of the two that are there.
    wanted = labels.copy()
    low, high = np.sort(labels, axis=1).T
    other = rng.integers(0, 8, n)
    other = other + (other >= low)
    wanted[:, 0] = other + (other >= high)
    clips = rendered(np.array(chosen)[..., 0], drawn["path"])
    return clips, labels, wanted, drawn["path"]


def score(found: dict, wanted: np.ndarray, paths: np.ndarray) -> dict[str, float]:
    """Figures of what `vgzoo.metrics.digits.read` found, beside what should be there.

    Args:
        found: of n clips.
        wanted: digits `(n, 2)`.
        paths: `(n, 2, T, 2)`, top and left edges in pixels, in the order of the digits.
    """
    order = np.argsort(wanted, axis=1)
    right = (found["pair"] == np.take_along_axis(wanted, order, axis=1)).all(axis=1)
    paths = np.take_along_axis(paths, order[..., None, None], axis=1)
    near, turned = (
        found["seen"] & (np.linalg.norm(found["track"] - each, axis=-1) <= NEAR)
        for each in (paths, paths[:, ::-1])
    )
    # Of other digits than those wanted either may be on the first path.
    turns = ~right & (turned.mean(axis=(1, 2)) > near.mean(axis=(1, 2)))
    near = np.where(turns[:, None, None], turned, near)
    return {
        "label_accuracy": float(right.mean()),
        "near": float(near.mean()),
        "path_kept": float((near.mean(axis=-1) >= KEPT).all(axis=-1).mean()),
    }
