"""Parts of a clip through the causal autoencoder under JAX."""

import numpy as np
from every import build


def test_a_stream_gives_what_the_clip_gives():
    model = build("causalvae")
    clip = np.random.default_rng(0).integers(0, 256, (19, 16, 16, 3), "uint8")
    whole = model.reconstruct(clip).astype(int)
    assert whole.shape == clip.shape
    assert np.abs(np.stack(list(model.stream(clip))) - whole).max() <= 1
    model.fit_to([clip[None]] * 4)
    assert model.generate(1, frames=9).shape == (1, 9, 16, 16, 3)
