"""What a model in training is looked at by."""

import numpy as np

from vgzoo.models.base import VideoModel
from vgzoo.train import recipes


def clips(model: VideoModel, recipe: dict, count: int = 4) -> np.ndarray:
    """So many clips, uint8 `(count, T, H, W, C)`, always of the same noise.

    Of an autoencoder they are clips of the validation split, each before what comes back of it; of
    what only forecasts, the same and forecasts, each behind the context: one true clip to three.
    """
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
