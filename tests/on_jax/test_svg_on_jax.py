"""Forecasts under JAX, and the bound that they are trained by."""

import numpy as np
from every import kept
from tiny import TINY, clip_batch


def test_forecasts_do_not_depend_on_how_they_are_made():
    model, seen = kept("svg"), clip_batch(TINY["svg"], 3)
    made = model.forecast(seen, 12, n=3, seed=2).astype(int)
    assert made.shape == (3, 3, 12, 16, 16, 1) and np.ptp(made) > 10
    for options in ({"batch_size": 2}, {"batch_size": 1}):
        assert np.abs(model.forecast(seen, 12, n=3, seed=2, **options) - made).max() <= 1
    assert np.abs(model.forecast(seen, 5, n=3, seed=2) - made[:, :, :5]).max() <= 1


def test_what_is_logged_is_about_the_bound():
    model, clip = kept("svg"), clip_batch(TINY["svg"], 4)
    model.compile()
    logged = model.evaluate(clip, batch_size=4, verbose=0, return_dict=True)
    bound = -model.elbo(clip).mean() / 3  # of a frame to come
    np.testing.assert_allclose(logged["nll"] + logged["kl"], bound, rtol=0.05)
