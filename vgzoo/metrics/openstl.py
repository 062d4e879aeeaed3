"""The table that forecasters of Moving MNIST are compared by, 10 frames after 10.

As published with OpenSTL (Tan et al. 2023, arXiv 2306.11249) and, where another source is named,
beside it. An epoch there is 10,000 clips; what its authors call FLOPs counts a multiplication and
an addition as one.
"""

from vgzoo import bench

_CLIPS = 10_000  # of an epoch
_HEADER = ["Model", "Epochs", "Clips seen", "Parameters", "MACs of a clip"]
_HEADER += ["MSE", "MAE", "SSIM", "PSNR"]
_FIGURES = ("frame_mse", "frame_mae", "ssim_openstl", "psnr")
# Model, epochs, millions of parameters, thousand millions of MACs, then the figures.
_PUBLISHED = (
    ("ConvLSTM-S", 200, 15.0, 56.8, 29.80, 90.64, 0.9288, 22.10),
    ("ConvLSTM-L", 200, 33.8, 127.0, 27.78, 86.14, 0.9343, 22.44),
    ("PredNet", 200, 12.5, 8.6, 161.38, 201.16, 0.7783, 14.33),
    ("PhyDNet", 200, 3.1, 15.3, 28.19, 78.64, 0.9374, 22.62),
    ("PredRNN", 200, 23.8, 116.0, 23.97, 72.82, 0.9462, 23.28),
    ("PredRNN++", 200, 38.6, 171.7, 22.06, 69.58, 0.9509, 23.65),
    ("MIM", 200, 38.0, 179.2, 22.55, 69.97, 0.9498, 23.56),
    ("MAU", 200, 4.5, 17.8, 26.86, 78.22, 0.9398, 22.76),
    ("E3D-LSTM", 200, 51.0, 298.9, 35.97, 78.28, 0.9320, 21.11),
    ("PredRNN.V2", 200, 23.9, 116.6, 24.13, 73.73, 0.9453, 23.21),
    ("DMVFN", 200, 3.5, 0.2, 123.67, 179.96, 0.8140, 16.15),
    ("SimVP, IncepU", 200, 58.0, 19.4, 32.15, 89.05, 0.9268, 21.84),
    ("SimVP, gSTA", 200, 46.8, 16.5, 26.69, 77.19, 0.9402, 22.78),
    ("TAU", 200, 44.7, 16.0, 24.60, 71.93, 0.9454, 23.19),
    ("ConvLSTM-S", 2000, 15.0, 56.8, 22.41, None, None, None),
    ("PredRNN++", 2000, 38.6, 171.7, 14.07, None, None, None),
    ("SimVP, gSTA", 2000, 46.8, 16.5, 15.05, None, None, None),
    ("TAU", 2000, 44.7, 16.0, 15.69, None, None, None),
)


def table(model, figures: dict[str, float], clips_seen: int | None) -> dict:
    """A forecaster's row, and below it the published ones.

    Args:
        model: with `rollout`.
        figures: what it was judged by.
        clips_seen: how many it was trained on, if that is known.

    Returns:
        `{"title", "header", "rows"}`.
    """
    epochs = None if clips_seen is None else round(clips_seen / _CLIPS, 1)
    macs = bench.forecast_flops(model) / 2
    own = [model.name, epochs, clips_seen, model.count_params() / 1e6, macs / 1e9]
    own += [figures[name] for name in _FIGURES]
    rows = [own]
    for name, epochs, *rest in _PUBLISHED:
        rows.append([name, epochs, epochs * _CLIPS, *rest])
    return {
        "title": "Published by OpenSTL (arXiv 2306.11249): millions of parameters, 10⁹ MACs",
        "header": _HEADER,
        "rows": [["–" if value is None else value for value in row] for row in rows],
    }
