"""What every architecture that forecasts keeps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from every import assert_same_clips, build, every_forecaster, kept
from tiny import TINY, clip_batch

from vgzoo.errors import VgzooError


@every_forecaster
def test_forecast_gives_what_follows(arch):
    model = kept(arch)
    seen = clip_batch(TINY[arch], 3)
    size = model.height, model.width, model.channels
    ahead = model.frames - model.context
    made = model.forecast(seen)
    assert made.shape == (3, ahead, *size) and made.dtype == np.uint8 and np.ptp(made) > 10
    assert model.forecast(seen, 7, n=2).shape == (3, 2, 7, *size)
    assert model.forecast(seen[0], 7, n=6).shape == (6, 7, *size)
    assert model.forecast(seen[0]).shape == (ahead, *size)
    unit = (seen / 255).astype("float32")
    assert_same_clips(model.forecast(unit), made)
    assert_same_clips(model.forecast(seen[:, -model.context :]), made)


@every_forecaster
def test_a_forecast_depends_on_its_clip_seed_and_numbers_alone(arch):
    model = build(arch)
    for variable in model.trainable_variables:  # or chaos makes roundings grow
        variable.assign(0.5 * variable)
    seen = clip_batch(TINY[arch], 5)
    made = model.forecast(seen, 20, n=3, seed=4)
    assert_same_clips(model.forecast(seen, 20, n=3, seed=4), made)
    assert_same_clips(model.forecast(seen[:2], 20, n=3, seed=4), made[:2])
    assert_same_clips(model.forecast(seen, 20, n=2, seed=4), made[:, :2])
    assert_same_clips(model.forecast(seen, 20, seed=4), made[:, 0])
    assert_same_clips(model.forecast(seen, 12, n=3, seed=4), made[:, :, :12])
    for batch_size in (1, 7):
        assert_same_clips(model.forecast(seen, 20, n=3, seed=4, batch_size=batch_size), made)
    other = model.forecast(seen, 20, n=3, seed=5)
    if np.prod(model.forecast_noise_shape(1)):
        assert np.abs(other.astype(int) - made).max() > 10
        assert np.abs(made[:, 0].astype(int) - made[:, 1]).max() > 10
    else:
        np.testing.assert_array_equal(other, made)
    calm = model.forecast(seen, 5, n=3, temperature=0)
    assert_same_clips(calm[:, 1:], calm[:, :-1])


@every_forecaster
def test_forecast_leaves_global_random_state_alone(arch):
    model, seen = kept(arch), clip_batch(TINY[arch], 1)

    def after(act) -> tuple:
        keras.utils.set_random_seed(0)
        act()
        return np.random.random(), float(tf.random.uniform(())), float(keras.random.uniform(()))

    assert after(lambda: model.forecast(seen)) == after(lambda: None)


@every_forecaster
def test_bad_forecasts_get_one_line(arch):
    model, seen = kept(arch), clip_batch(TINY[arch], 1)
    for arguments in (
        {"frames": 0}, {"frames": 2.5}, {"n": 0}, {"n": 1 << 21}, {"seed": -1}, {"batch_size": 0},
        {"temperature": -1}, {"temperature": float("nan")},
    ):  # fmt: skip
        with pytest.raises(VgzooError, match=next(iter(arguments))) as caught:
            model.forecast(seen, **arguments)
        assert "\n" not in str(caught.value)
    few, wide = seen[:, : model.context - 1], np.concatenate([seen, seen], axis=3)
    for clip in (few, wide, np.concatenate([seen] * 3, axis=-1)):
        with pytest.raises(VgzooError, match="takes .* or more of") as caught:
            model.forecast(clip)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arch", ["r3gan", "clip_encoder"])
def test_what_does_not_forecast_says_so(arch):
    with pytest.raises(VgzooError, match="does not generate; its tasks are"):
        kept("svg").generate(1)
    with pytest.raises(VgzooError, match="does not forecast; its tasks are"):
        kept(arch).forecast(clip_batch(TINY[arch], 1))
