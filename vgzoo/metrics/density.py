"""How a density is judged: bits per dimension of the test split, and what it generates.

Uniform noise of one level's width is added once (`dequantise`), so the figure is an upper bound of
what the model needs for 8-bit pixels. The floors are two lossless codecs, each clip alone, and the
entropy of each pixel's own levels, which knows nothing of what is around it. Clips that are
generated are judged as a generator's, where the dataset has judges.
"""

import numpy as np

from vgzoo import data
from vgzoo.metrics import generation
from vgzoo.metrics.bits_per_dim import BitsPerDim
from vgzoo.metrics.codecs import CodecBitsPerDim

_BATCH = 64
_PUBLISHED = {
    "mnist-stills": [["Glow (arXiv 1807.03039)", 1.05], ["Residual Flow (arXiv 1906.02735)", 0.97]],
    "cifar10-stills": [["Glow (arXiv 1807.03039)", 3.35]],
}


def run(dataset: str, model, n: int, seed: int) -> dict:
    """Judges a model with a density.

    Args:
        dataset: any of `vgzoo.data`; of stills, at most as many as the test split has count.
        model: with `log_prob` and `generate`.
        n: how many clips.
        seed: of the clips, of the noise and of what is generated.

    Returns:
        `{"metrics", "floors"}`, for stills also `"table"`, and `"n"` where there were fewer.
    """
    spec = model.clip_spec
    clips = _test_clips(dataset, n, spec, seed)
    metric = BitsPerDim()
    metric.update_state(model.log_prob(clips, seed=seed), clips[0].size)
    report = {"metrics": {metric.name: metric.result()}, "n": len(clips)}
    floors = {"pixels alone": {metric.name: _entropy_of_pixels(dataset, clips, spec, seed)}}
    for codec, title in (("ffv1", "FFV1"), ("x264", "x264, lossless")):
        if min(clips.shape[2:4]) >= 16:  # codecs have a least size
            lossless = CodecBitsPerDim(codec)
            lossless.update_state(clips)
            floors[title] = {metric.name: lossless.result()}
    if dataset in generation.SHAPES:

        def make(count: int, seed: int) -> np.ndarray:
            return model.generate(count, seed=seed, batch_size=_BATCH)

        judged = generation.run(dataset, make, spec, len(clips), seed)
        report["metrics"] |= judged["metrics"]
        floors |= judged["floors"]
    report["floors"] = floors
    if dataset in _PUBLISHED:
        report["table"] = {
            "title": "Published, bits per dimension, uniform dequantisation",
            "header": ["Model", "Bits per dimension"],
            "rows": _PUBLISHED[dataset],
        }
    return report


def _test_clips(dataset: str, n: int, spec: dict, seed: int, split: str = "test") -> np.ndarray:
    options = {"frames": spec["frames"], "size": spec["height"], "seed": seed, "batch_size": 1}
    if dataset.endswith("-stills"):
        most = len(data.clips(dataset, split, **options))
        n = min(n, most)
    found = data.clips(dataset, split, count=n, **options)
    return np.concatenate([np.asarray(batch["clip"]) for batch in found])


def _entropy_of_pixels(dataset: str, clips: np.ndarray, spec: dict, seed: int) -> float:
    """Bits of test pixels by how often a level comes at each place of training clips."""
    known = _test_clips(dataset, len(clips), spec, seed, split="train")
    size = known[0, 0].size
    known, clips = (part.reshape(-1, size) for part in (known, clips))
    counts = np.zeros((size, 256))
    for levels in known:
        counts[np.arange(size), levels] += 1
    # A share of one clip's worth goes to all levels, so that none is impossible.
    share = (counts + 1 / 256) / (len(known) + 1)
    return float(-np.log2(share[np.arange(size), clips]).mean())
