"""How a network that restores clips is judged: task by task, beside what needs no training.

Test clips of camera motion are damaged in ways that are told here, and what is made of them is
compared with what they were: mean PSNR of all frames in dB; of a filled hole, of its pixels; of new
frames, of these. Colours are judged by the mean distance of a and b in Lab, and by how much they
flicker along the true motion. The floors do the same by classical means (`baselines`), each with
its best setting for these very clips.

Where `VGZOO_DATA` holds real videos, in `videos/`, some tasks are done on them too, in a table.
"""

import os
from pathlib import Path

import numpy as np
from keras import ops

from vgzoo import data, random, video
from vgzoo.data.sources import shrink
from vgzoo.edit.base import opencv
from vgzoo.metrics import baselines, lossy
from vgzoo.metrics.flicker import TemporalFlicker

FRAMES = 9
SIDES = {"imagenette": 64, "cifar10": 32}
NOISE = (15, 25, 50)  # deviation, levels of 255
BLUR = 1.2  # deviation, pixels
QUALITY = 20  # of JPEG
_VIDEO_FRAMES, _VIDEO_HEIGHT = 17, 160
_BATCH = 16
_CHOSEN = 8  # clips by which a setting is chosen
_PICTURES = 256  # of the training split, whose mean colour is a baseline

Clips = list[np.ndarray]  # each uint8 (T, H, W, 3)


def run(dataset: str, model, n: int, seed: int) -> dict:
    """Judges a restorer on n test clips of a dataset.

    Args:
        dataset: one of `SIDES`.
        model: of the family "editor".
        n: how many clips.
        seed: of the clips and of their damage.

    Returns:
        `{"metrics", "floors"}`, and `"table"` where there are real videos.
    """
    found = list(_real(dataset, n, seed))
    clips = np.concatenate([batch["clip"] for batch in found])[:n]
    figures: dict[str, dict[str, float]] = {"": {}}

    def tell(task: str, value: float, of: str = "") -> None:
        figures.setdefault(of, {})[task] = float(value)

    for factor in (2, 4):
        small = _means(clips, factor)
        task = f"superresolve{factor}_psnr"
        tell(task, _psnr(clips, model.edit(small, method="superresolve", factor=factor)))
        for name, method in (("bicubic", "cubic"), ("Lanczos", "lanczos")):
            made = [baselines.enlarged(clip, factor, method) for clip in small]
            tell(task, _psnr(clips, made), name)
    for task, worn in _worn(clips, seed).items():
        task = f"{task}_psnr"
        tell(task, _psnr(clips, model.edit(worn, method="restore")))
        tell(task, _psnr(clips, worn), "as it came")
        tell(task, _psnr(clips, _denoised(clips, worn)), "non-local means")
    for task, holes in _holes(clips.shape, seed).items():
        task = f"inpaint_{task}_psnr"
        gone = np.where(holes[..., None], 0, clips).astype("uint8")
        tell(task, _psnr(clips, model.inpaint(gone, holes), holes))
        for name, fill in (
            ("Telea", baselines.telea),
            ("temporal median", baselines.temporal_median),
        ):
            made = [fill(clip, hole) for clip, hole in zip(gone, holes, strict=True)]
            tell(task, _psnr(clips, made, holes), name)
    for factor in (2, 4):
        seen, task = clips[:, ::factor], f"interpolate{factor}_psnr"
        new = np.arange(FRAMES) % factor > 0
        tell(task, _psnr(clips[:, new], model.interpolate(seen, factor)[:, new]))
        for name, make in (("linear blending", baselines.blended), ("DIS", baselines.flowed)):
            made = np.stack([make(clip, factor) for clip in seen])
            tell(task, _psnr(clips[:, new], made[:, new]), name)
    grey = _grey(clips)
    coloured = model.edit(grey, method="colorize")
    flow, visible = (np.concatenate([b[key] for b in found])[:n] for key in ("flow", "visible"))
    pictures, _ = data.images(dataset, "train")
    mean = _lab(pictures[:_PICTURES])[..., 1:].mean(axis=(0, 1, 2))
    tell("colour_error", _colour_error(clips, coloured))
    tell("colour_error", _colour_error(clips, grey), "grey")
    tell("colour_error", _colour_error(clips, None, mean), "mean colour")
    for name, shown in (("", coloured), ("real", clips)):
        metric = TemporalFlicker()
        metric.update_state(shown, flow, visible)
        tell("colour_flicker", metric.result(), name)
    metrics = figures.pop("")
    report = {"metrics": metrics, "floors": figures}
    rows = _on_videos(model, seed)
    if rows:
        report["table"] = {
            "title": f"Real videos, {_VIDEO_FRAMES} frames at {_VIDEO_HEIGHT} rows: PSNR in dB",
            "header": ["Video", "Task", "This model", "Without training", "by"],
            "rows": rows,
        }
    return report


def _real(dataset: str, n: int, seed: int):
    batches = data.clips(
        dataset,
        "test",
        frames=FRAMES,
        size=SIDES[dataset],
        batch_size=min(_BATCH, n),
        seed=seed,
        count=-(-n // min(_BATCH, n)) * min(_BATCH, n),
        flow=True,
    )
    for batch in batches:
        yield {key: ops.convert_to_numpy(value) for key, value in batch.items()}


def _psnr(real, made, where: np.ndarray | None = None) -> float:
    """Mean over frames, dB; of the pixels `where` `(B, T, H, W)` in those that have some."""
    values = []
    for i, (truth, found) in enumerate(zip(real, made, strict=True)):
        error = np.square(truth / 255 - found / 255).mean(axis=-1)
        if where is None:
            each = error.mean(axis=(1, 2))
        else:
            inside = where[i].sum(axis=(1, 2))
            each = (error * where[i]).sum(axis=(1, 2))[inside > 0] / inside[inside > 0]
        values.append(-10 * np.log10(np.maximum(each, 1e-10)))
    return float(np.concatenate(values).mean())


def _means(clips: np.ndarray, factor: int) -> np.ndarray:
    return ops.convert_to_numpy(shrink(clips, factor))


def _worn(clips: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Clips as each damage leaves them."""
    cv2 = opencv()
    noise = random.normal_rows(seed, 0, len(clips), clips.shape[1:])
    found = {
        f"noise{sigma}": (clips + sigma * noise).clip(0, 255).round().astype("uint8")
        for sigma in NOISE
    }
    found["blur"] = np.stack(
        [np.stack([cv2.GaussianBlur(frame, (0, 0), BLUR) for frame in clip]) for clip in clips]
    )
    found["jpeg"] = np.stack([lossy.jpeg(clip, QUALITY)[0] for clip in clips])
    return found


def _denoised(clips, worn) -> Clips:
    """Non-local means, of the strength that is best for the first clips."""

    def gain(strength: float) -> float:
        made = [baselines.nonlocal_means(clip, strength) for clip in worn[:_CHOSEN]]
        return _psnr(clips[:_CHOSEN], made)

    best = max(baselines.STRENGTHS, key=gain)
    return [baselines.nonlocal_means(clip, best) for clip in worn]


def _holes(shape: tuple[int, ...], seed: int) -> dict[str, np.ndarray]:
    """Masks bool `(B, T, H, W)`: a box that stands, a disc that moves, and writing."""
    cv2 = opencv()
    count, frames, height, width, _ = shape
    table = random.uniform_rows(seed, 0, count, 6)
    rows, columns = np.mgrid[:height, :width]
    box = np.zeros((count, frames, height, width), bool)
    disc, text = box.copy(), box.copy()
    side, radius = height // 3, height // 7
    for i, (y, x, turn, start_y, start_x, line) in enumerate(table):
        top, left = int(y * (height - side)), int(x * (width - side))
        box[i, :, top : top + side, left : left + side] = True
        angle = 2 * np.pi * turn
        for t in range(frames):
            middle_y = height * (0.25 + 0.5 * start_y) + 2 * (t - frames // 2) * np.sin(angle)
            middle_x = width * (0.25 + 0.5 * start_x) + 2 * (t - frames // 2) * np.cos(angle)
            disc[i, t] = (rows - middle_y) ** 2 + (columns - middle_x) ** 2 < radius**2
        written = np.zeros((height, width), "uint8")
        place = (2, int(height * (0.3 + 0.6 * line)))
        cv2.putText(written, "vgzoo 123", place, cv2.FONT_HERSHEY_SIMPLEX, height / 170, 1, 1)
        text[i] = written > 0
    return {"box": box, "moving": disc, "text": text}


def _grey(clips: np.ndarray) -> np.ndarray:
    luma = clips @ np.array([0.2126, 0.7152, 0.0722])
    return np.repeat(luma[..., None], 3, axis=-1).round().astype("uint8")


def _lab(clip: np.ndarray) -> np.ndarray:
    """CIE Lab, float32 `(T, H, W, 3)`."""
    cv2 = opencv()
    return np.stack([cv2.cvtColor(f.astype("float32") / 255, cv2.COLOR_RGB2LAB) for f in clip])


def _colour_error(clips, made, mean: np.ndarray | None = None) -> float:
    """Mean distance of a and b; of one colour everywhere, if nothing was made."""
    apart = []
    for i, clip in enumerate(clips):
        found = mean if made is None else _lab(made[i])[..., 1:]
        apart.append(np.linalg.norm(_lab(clip)[..., 1:] - found, axis=-1).mean())
    return float(np.mean(apart))


# -- real videos -------------------------------------------------------------------------------


def _on_videos(model, seed: int) -> list[list]:
    folder = Path(os.environ.get("VGZOO_DATA", "")) / "videos"
    if "VGZOO_DATA" not in os.environ or not folder.is_dir():
        return []
    rows = []
    for file in sorted(folder.glob("*.mp4")):
        clip = _small(video.read(file, frames=_VIDEO_FRAMES))
        for task, (ours, others) in _video_tasks(model, clip, seed).items():
            best = max(others, key=others.get)
            rows.append([file.stem, task, ours, others[best], best])
    return rows


def _small(clip: np.ndarray) -> np.ndarray:
    """Frames of few rows, sides multiples of 4."""
    cv2 = opencv()
    wide = round(clip.shape[2] * _VIDEO_HEIGHT / clip.shape[1] / 4) * 4
    frames = [cv2.resize(f, (wide, _VIDEO_HEIGHT), interpolation=cv2.INTER_AREA) for f in clip]
    return np.stack(frames)


def _video_tasks(model, clip: np.ndarray, seed: int) -> dict[str, tuple[float, dict[str, float]]]:
    def psnr(made, real=clip, where=None) -> float:
        return _psnr([real], [made], where)

    found = {}
    new = np.arange(len(clip)) % 2 > 0
    seen = clip[::2]
    found["every second frame removed"] = (
        psnr(model.interpolate(seen, 2)[new], clip[new]),
        {
            name: psnr(make(seen, 2)[new], clip[new])
            for name, make in (("linear blending", baselines.blended), ("DIS", baselines.flowed))
        },
    )
    for factor in (2, 4):
        small = _means(clip[None], factor)[0]
        found[f"superresolve ×{factor}"] = (
            psnr(model.edit(small, method="superresolve", factor=factor)),
            {
                name: psnr(baselines.enlarged(small, factor, method))
                for name, method in (("bicubic", "cubic"), ("Lanczos", "lanczos"))
            },
        )
    noisy = _worn(clip[None], seed)["noise25"]
    found["noise of 25 levels"] = (
        psnr(model.edit(noisy[0], method="restore")),
        {"non-local means": psnr(_denoised(clip[None], noisy)[0])},
    )
    holes = _holes((1, *clip.shape), seed)["moving"]
    gone = np.where(holes[0, ..., None], 0, clip).astype("uint8")
    found["a moving hole"] = (
        psnr(model.inpaint(gone, holes[0]), where=holes),
        {
            "Telea": psnr(baselines.telea(gone, holes[0]), where=holes),
            "temporal median": psnr(baselines.temporal_median(gone, holes[0]), where=holes),
        },
    )
    return found
