"""Every edit under JAX, with no TensorFlow installed."""

import keras
import numpy as np
import pytest
from edit_helpers import CLIP, PLAIN, assert_as_on_files, numpy

from vgzoo import edit


@pytest.mark.parametrize("name", PLAIN)
def test_an_edit_is_what_it_is_on_files(name):
    assert_as_on_files(name)


def test_edits_stand_inside_a_jitted_function():
    import jax

    grade = edit.Sequential([edit.Exposure(edit.Keyframes({0: 0, 4: 1})), edit.Blur(1.0)])
    np.testing.assert_array_equal(jax.jit(grade)(CLIP), numpy(grade(CLIP)))


def test_chance_replays_and_goes_on():
    augment = edit.Random("brightness", amount=(-0.3, 0.3), seed=1)
    first = numpy(augment(CLIP, step=0))
    np.testing.assert_array_equal(first, numpy(augment(CLIP, step=0)))
    assert (first != numpy(augment(CLIP, step=1))).any()
    inputs = keras.Input(CLIP.shape, dtype="uint8")
    model = keras.Model(inputs, augment(inputs))
    assert model.predict(np.stack([CLIP] * 4), batch_size=2, verbose=0).dtype == np.uint8
