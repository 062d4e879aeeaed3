"""How an autoencoder is judged: what comes back of real test clips, and at how many bits.

A Gaussian latent is coded with 8 bits a value, evenly between the least and the greatest of its
channel, and what is judged is decoded from that; a quantised one needs log₂ of its codes a place.
The floors are the same clips through JPEG and H.264 at the best setting that takes no more bits a
clip, and as the means of blocks of the latent's size.

Beside them stand the figures of clips that are generated from the model's prior.
"""

import numpy as np

from vgzoo import hub
from vgzoo.metrics import generation, lossy
from vgzoo.metrics.psnr import PSNR
from vgzoo.metrics.ssim import SSIM

_BITS = 8  # of a value of a Gaussian latent
_BATCH = 16


def run(dataset: str, model, n: int, seed: int) -> dict:
    """Judges an autoencoder on n test clips of a dataset.

    Args:
        dataset: "mnist", "cifar10" or "imagenette".
        model: with `encode`, `decode` and `generate`.
        n: how many clips.
        seed: of the real and of the generated ones.

    Returns:
        `{"metrics", "floors"}`: PSNR in dB and SSIM, means of all frames; bits per pixel; FCD of
        what comes back against the clips themselves, and of generated clips.
    """
    spec = model.clip_spec
    real = generation.real_clips(
        dataset, 2 * n, frames=spec["frames"], size=spec["height"], seed=seed
    )
    real, other = real[:n], real[n:]
    encoder = hub.load(generation.ENCODER, dtype="float32")

    def distances(clips: np.ndarray) -> dict[str, float]:
        return generation.distances(wanted, generation.features(encoder, clips))

    wanted = generation.features(encoder, real)

    def judged(made: np.ndarray, bits: float) -> dict[str, float]:
        figures = {}
        for metric in (PSNR(), SSIM()):
            for i in range(0, n, _BATCH):
                metric.update_state(real[i : i + _BATCH], made[i : i + _BATCH])
            figures[metric.name] = metric.result()
        figures["bits_per_pixel"] = bits / real[0, ..., 0].size
        return figures | {"fcd": distances(made)["fcd"]}

    latents, bits = _coded(model, model.encode(real))
    figures = judged(model.decode(latents)[:, : spec["frames"]], bits)
    new = model.generate(n, seed=seed, batch_size=_BATCH)
    generated = distances(new)
    figures |= {f"generated_{key}": value for key, value in generated.items()}
    whole = distances(other)
    return {
        "metrics": figures,
        "floors": {
            "JPEG": judged(*lossy.at_most(lossy.jpeg, real, bits, range(1, 96))),
            "H.264": judged(*lossy.at_most(lossy.h264, real, bits, range(51, -1, -1))),
            "block means": judged(_block_means(real, model), bits),
            "other real clips": {"fcd": whole["fcd"]}
            | {f"generated_{key}": value for key, value in whole.items()},
        },
    }


def _coded(model, latents: np.ndarray) -> tuple[np.ndarray, float]:
    """Latents as they come through so many bits a clip, and these."""
    places = latents[0, ..., 0].size
    if model.quantizer is not None:
        return latents, places * float(np.log2(model.quantizer.codes))
    least, most = (f(latents, axis=(0, 1, 2, 3)) for f in (np.min, np.max))
    step = np.maximum(most - least, 1e-6) / (2**_BITS - 1)
    coded = np.round((latents - least) / step) * step + least
    return coded.astype("float32"), float(_BITS * latents[0].size)


def _block_means(clips: np.ndarray, model) -> np.ndarray:
    """Each block that becomes one place of the latent in its mean colour."""
    steps, rows, columns, _ = model.noise_shape(clips.shape[1])
    high, wide = clips.shape[2] // rows, clips.shape[3] // columns
    per = -(-(clips.shape[1] - 1) // max(steps - 1, 1))
    made = np.empty_like(clips)
    for start, end in [(0, 1)] + [(1 + i * per, 1 + (i + 1) * per) for i in range(steps - 1)]:
        part = clips[:, start:end].astype("float32")
        blocks = part.reshape(*part.shape[:2], rows, high, columns, wide, -1)
        means = np.round(blocks.mean(axis=(1, 3, 5), keepdims=True))
        made[:, start:end] = np.broadcast_to(means, blocks.shape).reshape(part.shape)
    return made
