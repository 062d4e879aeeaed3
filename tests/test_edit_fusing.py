"""Edits as XLA compiles them, beside the same ones operation by operation."""

import keras
import numpy as np
import pytest
from edit_helpers import PLAIN, clip_for, make, numpy

from vgzoo import edit
from vgzoo.layers import fusing

tf = pytest.importorskip("tensorflow")
ROW = dict(
    edits=[
        {"edit": "exposure", "stops": 0.5},
        {"edit": "blur", "sigma": 1},
        {"edit": "rotate", "degrees": 10},
        {"edit": "vignette"},
    ]
)


@pytest.mark.parametrize("name", [*PLAIN, "sequential"])
def test_a_graph_makes_the_same(name):
    layer = make(name, **(ROW if name == "sequential" else {}))
    clip = clip_for(layer)
    # In batches whose size no one knows beforehand.
    graph = tf.data.Dataset.from_tensor_slices(np.stack([clip, clip[:, ::-1]])).batch(2).map(layer)
    made = next(iter(graph)).numpy()
    assert made.dtype == np.uint8
    assert np.abs(made[0].astype(int) - numpy(layer(clip))).max() <= 1


def test_draws_are_those_of_eager_calls():
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 16, 16, 3), "uint8")
    for name, drawn in (("rotate", {"degrees": (-20, 20)}), ("exposure", {"stops": (-1, 1)})):
        augment = edit.Random(name, seed=5, **drawn)
        graph = tf.data.Dataset.from_tensors(clips).map(lambda x, a=augment: a(x, step=3))
        apart = next(iter(graph)).numpy().astype(int) - numpy(augment(clips, step=3))
        assert np.abs(apart).max() <= 1


def test_gradients_go_through():
    clip = np.random.default_rng(0).uniform(0.2, 0.8, (4, 12, 14, 3)).astype("float32")
    steps = edit.Sequential([edit.Contrast(1.2), edit.Rotate(20), edit.Vignette(0.3)])

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(steps(x) ** 2)
        return tape.gradient(total, x)

    plain = gradient(tf.constant(clip))
    compiled = tf.function(gradient, autograph=False)(tf.constant(clip))
    assert float(tf.reduce_max(tf.abs(plain))) > 0.1
    np.testing.assert_allclose(compiled, plain, rtol=1e-4, atol=1e-5)


def test_sizes_unknown_when_a_graph_is_drawn():
    layer = edit.Exposure(1)
    run = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, None, 3), "uint8")])
    clip = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 10, 3), "uint8")
    for part in (clip, clip[:1, :2, :5]):
        assert np.abs(run(part).numpy().astype(int) - numpy(layer(part))).max() <= 1


def test_large_clips_are_compiled_once_and_see_new_numbers(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])  # no GPU
    clip = np.random.default_rng(0).integers(0, 256, (2, 9, 11, 3), "uint8")
    layer, turn = edit.Exposure(0.5), edit.Rotate(10)
    plain = [numpy(one(clip)).astype(int) for one in (layer, turn, edit.Exposure(1))]
    monkeypatch.setattr(fusing, "_LARGE", 0)
    monkeypatch.setattr(fusing, "_functions", kept := {})
    for _ in range(2):
        for one, wanted in zip((layer, turn), plain, strict=False):
            assert np.abs(numpy(one(clip)) - wanted).max() <= 1
    assert len(kept) == 2
    layer.stops = 1.0
    assert np.abs(numpy(layer(clip)) - plain[2]).max() <= 1
    monkeypatch.setattr(fusing, "_KEPT", 3)
    for height in (6, 7, 8):
        assert numpy(turn(clip[:, :height])).shape == (2, height, 11, 3)
    assert len(kept) == 3


def test_inside_a_model_that_keras_compiles():
    inputs = keras.Input((3, 12, 12, 3), dtype="uint8")
    model = keras.Model(inputs, edit.Rotate(30)(edit.Gamma(1.4)(inputs)))
    model.compile(jit_compile=True)
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 12, 12, 3), "uint8")
    wanted = numpy(edit.Rotate(30)(edit.Gamma(1.4)(clips))).astype(int)
    assert np.abs(model.predict(clips, verbose=0) - wanted).max() <= 1
