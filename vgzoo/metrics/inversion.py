"""How well a GAN's latents show real clips: PSNR and SSIM of what `decode` makes of `invert`.

The floors are the nearest of the draws that the descent begins with, a black clip, and clips that
the model itself has made, for which there are latents that show them exactly.
"""

import numpy as np

from vgzoo.metrics import generation
from vgzoo.metrics.psnr import PSNR
from vgzoo.metrics.ssim import SSIM


def run(dataset: str, model, n: int, seed: int) -> dict:
    """Judges the inversion of n test clips of a dataset.

    Args:
        dataset: "mnist", "cifar10" or "imagenette".
        model: with `invert`, `decode` and `generate`.
        n: how many clips.
        seed: of the clips and of the draws.

    Returns:
        `{"metrics", "floors"}`: PSNR in dB and SSIM, means of all frames.
    """
    spec = model.clip_spec
    real = generation.real_clips(dataset, n, frames=spec["frames"], size=spec["height"], seed=seed)

    def found(clips: np.ndarray, **options) -> np.ndarray:
        return model.decode(model.invert(clips, seed=seed, **options), spec["frames"])

    def likeness(made: np.ndarray, clips: np.ndarray = real) -> dict[str, float]:
        figures = {}
        for metric in (PSNR(), SSIM()):
            metric.update_state(clips, made)
            figures[metric.name] = float(metric.result())
        return figures

    # Draws of another seed than those that the descent begins with.
    own = model.generate(n, seed=seed + 1)
    return {
        "metrics": likeness(found(real)),
        "floors": {
            "nearest draw": likeness(found(real, steps=1, learning_rate=0.0)),
            "black": likeness(np.zeros_like(real)),
            "clips of its own": likeness(found(own), own),
        },
    }
