"""What a model in training is looked at by."""

import numpy as np
from keras import ops
from PIL import Image

from vgzoo import random
from vgzoo.data.sources import shrink
from vgzoo.models.base import VideoModel
from vgzoo.train import recipes


def clips(model: VideoModel, recipe: dict, count: int = 4) -> np.ndarray:
    """So many clips, uint8 `(count, T, H, W, C)`, always of the same noise.

    Of an autoencoder they are clips of the validation split, each before what comes back of it; of
    what only forecasts, the same and forecasts, each behind the context: one true clip to three;
    of an editor, what it is given of them, before what it makes of that, task by task.
    """
    if model.family == "editor":
        real = recipes.shown(recipe, -(-count // 2))
        rows = [list(edits(model, clip[None]).values())[i % 4] for i, clip in enumerate(real)]
        return np.concatenate([clip for row in rows for clip in row])[:count]
    if "forecast" in model.tasks and "generate" not in model.tasks:
        real = recipes.shown(recipe, -(-count // 4), frames=model.frames)
        seen, ahead = real[:, : model.context], model.frames - model.context
        made = np.moveaxis(model.forecast(seen, ahead, n=3), 1, 0)
        made = np.concatenate([np.broadcast_to(seen, (3, *seen.shape)), made], axis=2)
        return np.stack([real, *made], axis=1).reshape(-1, *real.shape[1:])[:count]
    if "reconstruct" in model.tasks:
        real = recipes.shown(recipe, -(-count // 2))
        made = model.reconstruct(real)
        return np.stack([real, made], axis=1).reshape(-1, *real.shape[1:])[:count]
    return model.generate(count, seed=0)


def fewer_colours(clips: np.ndarray) -> np.ndarray:
    """Clips in 32 greys or 64 colours, uint8 as before: half as many bytes in a gif."""
    if clips.shape[-1] == 1:
        return np.round(np.round(clips / 255 * 31) / 31 * 255).astype("uint8")
    whole = Image.fromarray(clips.reshape(-1, *clips.shape[-2:]))
    few = whole.quantize(64, dither=Image.Dither.NONE).convert("RGB")
    return np.asarray(few).reshape(clips.shape)


def edits(model: VideoModel, clips: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """What an editor is given of clips, and what it makes of that, by its tasks.

    Args:
        model: of the family "editor".
        clips: uint8 `(B, T, H, W, 3)`, sides multiples of 4.
    """
    noise = random.normal_rows(0, 0, len(clips), clips.shape[1:])
    noisy = (clips + 25 * noise).clip(0, 255).round().astype("uint8")
    small = {n: ops.convert_to_numpy(shrink(clips, n)) for n in (2, 4)}
    box = np.zeros(clips.shape[2:4], bool)
    height, width = box.shape
    box[height // 4 : -height // 2, width // 3 : -width // 3] = True
    grey = np.repeat(clips.mean(axis=-1, keepdims=True).round().astype("uint8"), 3, axis=-1)
    found = {
        "restore": (noisy, model.edit(noisy, method="restore")),
        "superresolve4": (
            small[4].repeat(4, axis=2).repeat(4, axis=3),
            model.edit(small[4], method="superresolve", factor=4),
        ),
        "inpaint": (np.where(box[..., None], 0, clips).astype("uint8"), model.inpaint(clips, box)),
        "colorize": (grey, model.edit(grey, method="colorize")),
        "superresolve2": (
            small[2].repeat(2, axis=2).repeat(2, axis=3),
            model.edit(small[2], method="superresolve", factor=2),
        ),
    }
    made = model.interpolate(clips[:, ::2], 2)
    held = np.repeat(clips[:, ::2], 2, axis=1)[:, : made.shape[1]]
    return found | {"interpolate": (held, made)}
