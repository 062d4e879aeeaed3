"""The judges: one metric per file, each a `keras.metrics.Metric` with its reference named.

All of them are asked on the host, between steps: `update_state` takes whole batches of clips (uint8
or float in [0, 1], as everywhere) or features, `result` gives a plain float (or a dict of them),
and sums are kept in float64, so that no figure depends on the batch size.

Names are imported when they are first used.
"""

import importlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from vgzoo.metrics.best_of_n import BestOfN
    from vgzoo.metrics.bits_per_dim import BitsPerDim, dequantise
    from vgzoo.metrics.codecs import CodecBitsPerDim
    from vgzoo.metrics.digits import MovingDigits
    from vgzoo.metrics.fcd import FCD
    from vgzoo.metrics.flicker import TemporalFlicker
    from vgzoo.metrics.frame_mae import FrameMAE
    from vgzoo.metrics.frame_mse import FrameMSE
    from vgzoo.metrics.frechet import FrechetDistance, frechet_distance
    from vgzoo.metrics.fvd import FVD
    from vgzoo.metrics.kernel_distance import KernelDistance
    from vgzoo.metrics.nats_per_frame import NatsPerFrame
    from vgzoo.metrics.precision_recall import PrecisionRecall
    from vgzoo.metrics.psnr import PSNR
    from vgzoo.metrics.ssim import SSIM
    from vgzoo.metrics.warp_error import WarpError

_HOME = {
    "BestOfN": "best_of_n",
    "BitsPerDim": "bits_per_dim",
    "CodecBitsPerDim": "codecs",
    "FCD": "fcd",
    "FVD": "fvd",
    "FrameMAE": "frame_mae",
    "FrameMSE": "frame_mse",
    "FrechetDistance": "frechet",
    "KernelDistance": "kernel_distance",
    "MovingDigits": "digits",
    "NatsPerFrame": "nats_per_frame",
    "PSNR": "psnr",
    "PrecisionRecall": "precision_recall",
    "SSIM": "ssim",
    "TemporalFlicker": "flicker",
    "WarpError": "warp_error",
    "dequantise": "bits_per_dim",
    "frechet_distance": "frechet",
}

__all__ = [
    "BestOfN",
    "BitsPerDim",
    "CodecBitsPerDim",
    "FCD",
    "FVD",
    "FrameMAE",
    "FrameMSE",
    "FrechetDistance",
    "KernelDistance",
    "MovingDigits",
    "NatsPerFrame",
    "PSNR",
    "PrecisionRecall",
    "SSIM",
    "TemporalFlicker",
    "WarpError",
    "dequantise",
    "frechet_distance",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'vgzoo.metrics' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"vgzoo.metrics.{_HOME[name]}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
