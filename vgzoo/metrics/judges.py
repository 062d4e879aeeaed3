"""The judges, judged: do they give real clips their due, and do they notice damage?

Both protocols take real test clips and break them by growing amounts (`distortions.LEVELS`).
"""

import numpy as np
from keras import ops

from vgzoo import data
from vgzoo.data import motion
from vgzoo.metrics import distortions, generation
from vgzoo.metrics.digits import MovingDigits, read
from vgzoo.metrics.frechet import frechet_distance

DATASETS = ("mnist", "cifar10", "imagenette")


def digits(reader, n: int, seed: int) -> dict:
    """Judges a digit reader on n clips of test digits.

    `metrics` are those of `MovingDigits`, the share of clips whose pair is read rightly, and the
    median distance of a digit from where it is. The table has what `MovingDigits` says about n / 4
    clips, broken in each way, and about clips whose digits become others half way.
    """
    frames = reader.frames
    bank = data.images("mnist", "test")
    drawn = motion.draw(bank, seed=seed, start=0, count=n, frames=distortions.frames_needed(frames))
    clips = rendered(drawn["digits"], drawn["path"])
    whole = clips[:, :frames]
    found = read_clips(reader, whole)
    metric = MovingDigits(reader)
    metric.add(found)
    right = (found["pair"] == np.sort(drawn["label"], axis=1)).all(axis=1)
    path = drawn["path"][:, :, :frames]
    # Which digit is called the first does not matter.
    off = [np.linalg.norm(found["track"] - p, axis=-1) for p in (path, path[:, ::-1])]
    swapped = off[1].mean(axis=(1, 2)) < off[0].mean(axis=(1, 2))
    off = np.where(swapped[:, None, None], off[1], off[0])

    part = clips[: max(1, n // 4)]
    rows = [_row("as they are", "", reader, part[:, :frames])]
    for kind, levels in distortions.LEVELS.items():
        for level in (levels[1], levels[3]):
            broken = distortions.distort(part, kind, level, frames=frames, seed=seed)
            rows.append(_row(kind, level, reader, broken))
    after = motion.draw(bank, seed=seed, start=n, count=len(part), frames=frames)["digits"]
    morphed = part[:, :frames].copy()
    later = rendered(after, path[: len(part)])
    morphed[:, frames // 2 :] = later[:, frames // 2 :]
    rows.append(_row("other digits half way", "", reader, morphed))
    return {
        "metrics": {
            **metric.result(),
            "pair_accuracy": float(right.mean()),
            "place_error_px": float(np.median(off)),
        },
        "floors": {},
        "table": {
            "title": f"Real test clips, broken ({len(part)} of each)",
            "header": ["Broken by", "Level", "Pairs", "Confidence", "Trajectory validity"],
            "rows": rows,
        },
    }


def clips(encoder, n: int, seed: int) -> dict:
    """Judges a clip encoder: FCD of n real test clips against n others that are broken.

    `metrics` are the floors, FCD of whole clips, for each dataset, and the share of all rankings
    (datasets × kinds of damage) in which FCD grows from each level to the next, the floor included.
    """
    rows, figures = [], {}
    for dataset in DATASETS:
        frames = encoder.frames
        real = generation.real_clips(dataset, n, frames=frames, seed=seed)
        mean, cov = _gaussian(encoder.features(real))
        start = -(-n // generation.BATCH) * generation.BATCH
        longer = generation.real_clips(
            dataset, n, start=start, frames=distortions.frames_needed(frames), seed=seed
        )

        def fcd(clips: np.ndarray, mean=mean, cov=cov) -> float:
            return frechet_distance(mean, cov, *_gaussian(encoder.features(clips)))

        floor = figures[f"fcd_floor_{dataset}"] = fcd(longer[:, :frames])
        for kind, levels in distortions.LEVELS.items():
            made = [
                fcd(distortions.distort(longer, kind, level, frames=frames, seed=seed))
                for level in levels
            ]
            steps = [f"{value:.4g} ({level:g})" for value, level in zip(made, levels, strict=True)]
            grows = bool((np.diff([floor, *made]) > 0).all())
            rows.append([dataset, kind, f"{floor:.4g}", *steps, "yes" if grows else "no"])
    ranked = sum(row[-1] == "yes" for row in rows) / len(rows)
    return {
        "metrics": {"ranked": ranked, **figures},
        "floors": {},
        "table": {
            "title": f"FCD of {n} whole clips and {n} broken ones (by so much)",
            "header": ["Dataset", "Broken by", "Not", "1", "2", "3", "4", "In order"],
            "rows": rows,
        },
    }


def _gaussian(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features = features.astype("float64")
    return features.mean(axis=0), np.cov(features, rowvar=False)


def rendered(images: np.ndarray, path: np.ndarray) -> np.ndarray:
    """Clips of digits `(B, digits, 28, 28)` on paths, rendered some at a time."""
    size = generation.BATCH
    parts = [slice(i, i + size) for i in range(0, len(images), size)]
    made = [ops.convert_to_numpy(motion.render(images[part], path[part])) for part in parts]
    return np.concatenate(made)


def read_clips(reader, clips: np.ndarray) -> dict[str, np.ndarray]:
    """What `vgzoo.metrics.digits.read` finds in clips, some at a time."""
    parts = [
        read(reader.heatmaps(clips[i : i + generation.BATCH]))
        for i in range(0, len(clips), generation.BATCH)
    ]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _row(kind: str, level, reader, clips: np.ndarray) -> list:
    metric = MovingDigits(reader)
    metric.update_state(clips)
    found = metric.result()
    return [
        kind,
        level,
        found["pair_coverage"],
        round(found["confidence"], 3),
        round(found["trajectory_validity"], 3),
    ]
