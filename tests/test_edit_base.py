"""What all edits share: the clip contract, values that move, edit lists, chance, streams."""

import inspect
import json

import keras
import numpy as np
import pytest
from edit_helpers import CLIP, PLAIN, assert_as_on_files, clip_for, make, numpy

from vgzoo import edit
from vgzoo.edit.footage import Footage, When
from vgzoo.edit.over import Over
from vgzoo.edit.registry import find, parameters
from vgzoo.edit.sampling import Warp
from vgzoo.errors import VgzooError


@pytest.mark.parametrize("name", edit.names())
def test_uint8_and_float_go_in_and_come_out(name):
    layer = make(name)
    clip = clip_for(layer)
    levels, shares = numpy(layer(clip)), numpy(layer(clip.astype("float32") / 255))
    assert levels.dtype == np.uint8 and shares.dtype == np.float32
    assert levels.shape == shares.shape and levels.ndim == 4
    if name != "random":  # which draws anew
        assert np.abs(levels - shares * 255).max() <= 0.51
        batch = numpy(layer(np.stack([clip, clip])))
        np.testing.assert_array_equal(batch, np.stack([levels, levels]))


@pytest.mark.parametrize("name", edit.names())
def test_an_edit_is_the_same_out_of_its_list(name):
    layer = make(name)
    twin = edit.from_json(edit.to_json(layer))
    clip = clip_for(layer)
    np.testing.assert_array_equal(numpy(twin(clip)), numpy(layer(clip)))
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    assert again.to_dict() == layer.to_dict()


@pytest.mark.parametrize("name", PLAIN)
def test_files_and_tensors_agree(name):
    assert_as_on_files(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_stream_in_windows_is_the_whole_clip(name):
    layer = make(name)
    clip = clip_for(layer)
    footage = Footage(5, 25, lambda: iter([clip[:2], clip[2:3], clip[3:]]))
    result = layer.stream(footage)
    edited = np.concatenate(list(result.chunks()))
    assert len(edited) == result.frames
    levels = 10 if isinstance(layer, Warp) else 1
    assert np.abs(edited.astype(int) - numpy(layer(clip))).max() <= levels


@pytest.mark.parametrize("name", PLAIN)
def test_grey_is_rgb_with_equal_channels(name):
    layer = make(name)
    if 1 not in layer.channels:
        with pytest.raises(VgzooError, match="takes RGB"):
            layer(CLIP[..., :1])
        return
    grey = CLIP[..., :1]
    one, three = numpy(layer(grey)), numpy(layer(grey.repeat(3, -1)))
    assert np.abs(one.repeat(3, -1).astype(int) - three).max() <= 1


@pytest.mark.parametrize("name", PLAIN)
def test_the_first_parameter_is_said_by_its_name_alone(name):
    kind = find(name)
    for key, (low, high) in kind.ranges.items():
        assert key in parameters(kind)
        for wrong in (high + 1, low - 1, float("nan"), "much", [[1]], []):
            with pytest.raises(VgzooError, match=f"{name}: {key}=") as error:
                make(name, **{key: wrong})
            assert "\n" not in str(error.value)


def test_values_a_frame_and_keyframes_are_the_numbers_frame_by_frame():
    series = [0.0, 0.5, 1.0, 1.5, 2.0]
    whole = numpy(edit.Exposure(series)(CLIP))
    keyed = numpy(edit.Exposure(edit.Keyframes({0: 0, 1: 2}, unit="share"))(CLIP))
    for index, stops in enumerate(series):
        alone = numpy(edit.Exposure(stops)(CLIP[index : index + 1]))[0]
        np.testing.assert_array_equal(whole[index], alone)
    np.testing.assert_array_equal(keyed, whole)
    host = np.concatenate(
        [edit.Exposure(series).host(CLIP[i : i + 1], When(i, 5)) for i in range(5)]
    )
    np.testing.assert_array_equal(host, whole)
    with pytest.raises(VgzooError, match="2 values for 5 frames"):
        edit.Exposure([0, 1])(CLIP)


# Numbers that cannot change within a clip: they say what a clip consists of, not how it looks.
FIXED = {
    "clahe": {"tiles"},
    "cross_fade": {"frames"},
    "elastic": {"cells", "seed"},
    "equirect_view": {"height", "width"},
    "freeze": {"at", "frames"},
    "grain": {"seed"},
    "colorize": {"tile"},
    "inpaint": {"tile"},
    "interpolate": {"factor", "tile"},
    "restore": {"tile"},
    "superresolve": {"factor", "tile"},
    "loop": {"fade"},
    "pad": {"top", "bottom", "left", "right"},
    "radial_blur": {"samples"},
    "random": {"seed"},
    "stabilise": {"radius"},
    "speed": {"factor"},  # which takes all three, and is no draw of `random`'s
    "trim": {"start"},
    "wipe": {"frames"},
}
STEPS = {  # as much as is to be seen in small frames
    ("chromatic_aberration", "amount"): 0.1,
    ("median", "radius"): 2,
    ("bilateral", "radius"): 2,
    ("temporal_median", "radius"): 2,
    ("denoise", "radius"): 2,
    ("deflicker", "radius"): -3,
    ("echo", "radius"): -3,
    ("posterize", "bits"): -3,
    ("crop", "top"): 3,
    ("crop", "left"): 3,
    ("pixelate", "size"): 3,
    ("motion_blur", "length"): -4,
    ("motion_blur", "degrees"): 90,
}


@pytest.mark.parametrize("name", PLAIN)
def test_every_number_moves(name):
    kind, fixed = find(name), FIXED.get(name, set())
    defaults = {k: p.default for k, p in inspect.signature(kind.__init__).parameters.items()}
    numbers = {k for k, v in defaults.items() if type(v) in (int, float)}
    assert numbers - set(kind.ranges) == fixed
    for key, (low, high) in kind.ranges.items():
        if key == "size" and issubclass(kind, Over):
            continue  # drawn by another filter: see the tests of composition
        first = getattr(make(name), key)
        step = STEPS.get((name, key), min(0.02 * (high - low), 1))
        last = first + step if low <= first + step <= high else first - step
        more = {"height": 6, "width": 8} if name == "crop" else {}
        series = np.linspace(first, last, 5).tolist()
        layer = make(name, **{key: series}, **more)
        clip = clip_for(layer)
        came = numpy(layer(clip))
        for index, number in enumerate(series):
            alone = numpy(make(name, **{key: number}, **more)(clip))[index]
            assert np.abs(came[index].astype(int) - alone).max() <= 1, (key, number)
        host = layer.host(clip).astype(int)
        assert np.abs(host - came).max() <= (10 if isinstance(layer, Warp) else 1), key
        keyed = make(name, **{key: edit.Keyframes({0: first, 4: last})}, **more)
        assert np.abs(numpy(keyed(clip)).astype(int) - came).max() <= 1, key


@pytest.mark.parametrize("easing", ["linear", "ease-in", "ease-out", "ease-in-out", "smooth"])
def test_easings_rise_from_one_key_to_the_next(easing):
    values = edit.Keyframes([(10, 3), (0, 1)], easing=easing).at(range(-2, 14))
    assert values[2] == 1 and values[12] == 3 and (np.diff(values) >= 0).all()
    assert (values[:2] == 1).all() and (values[12:] == 3).all()


def test_keyframes_in_seconds_need_a_rate_and_hold_steps():
    keys = edit.Keyframes({0: 1, 2: 5}, easing="hold", unit="seconds")
    assert keys.at(range(5), fps=2).tolist() == [1, 1, 1, 1, 5]
    with pytest.raises(VgzooError, match="fps"):
        keys.at(range(5))
    for wrong in ({}, {0: "x"}, [(0, 1), (0, 2)], {0: float("inf")}, [1, 2]):
        with pytest.raises(VgzooError, match="keyframes"):
            edit.Keyframes(wrong)
    with pytest.raises(VgzooError, match="did you mean 'smooth'"):
        edit.Keyframes({0: 1}, easing="smoth")


@pytest.mark.parametrize(
    "text, line",
    [
        ("{", "no JSON"),
        ("3", "holds no edits"),
        ('[{"edit": "exposur"}]', "did you mean 'exposure'"),
        ('[{"edit": "exposure", "stop": 1}]', "did you mean 'stops'"),
        ('[{"edit": "exposure", "stops": 99}]', "wanted -10 to 10"),
        ('[{"edit": "exposure", "stops": {"keyframes": [[0, 99]]}}]', "wanted -10 to 10"),
        ('[{"edit": ["exposure"]}]', "no edit"),
        ('[{"edit": "random", "of": "exposure", "stops": [2, 1]}]', "low, high"),
        ('[{"edit": "random", "of": "exposure", "stop": [1, 2]}]', "did you mean 'stops'"),
        ("[1]", "is no edit"),
    ],
)
def test_a_wrong_edit_list_is_one_line(text, line):
    with pytest.raises(VgzooError, match=line) as error:
        edit.from_json(text)
    assert "\n" not in str(error.value)


def test_the_short_form():
    steps = edit.parse("exposure=0.3 levels=black:0.1,white:0.9 invert")
    assert steps.edits[1].black == 0.1 and len(steps.edits) == 3
    for wrong in ("", "invrt", "exposure=much", "invert=3", "levels=blak:1", "'open"):
        with pytest.raises(VgzooError):
            edit.parse(wrong)


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((5, 8, 3), "uint8"),
        np.zeros((5, 8, 8, 4), "uint8"),
        np.zeros((5, 8, 8, 3), "int32"),
        np.full((5, 8, 8, 3), 1.5, "float32"),
        np.full((5, 8, 8, 3), np.nan, "float32"),
    ],
)
def test_what_is_no_clip_is_refused(clip):
    with pytest.raises(VgzooError, match="wanted"):
        edit.Exposure(1)(clip)


def test_chance_is_one_draw_a_clip_and_replays():
    grey = np.full((6, 4, 2, 2, 3), 100, "uint8")
    augment = edit.Random("exposure", stops=(-2, 2), seed=3)
    first = numpy(augment(grey, step=7))
    np.testing.assert_array_equal(first, numpy(augment(grey, step=7)))
    assert (first == first[:, :1]).all() and len(np.unique(first)) == 6
    assert (first != numpy(augment(grey, step=8))).any()
    frames = numpy(edit.Random("exposure", stops=(-2, 2), seed=3, per="frame")(grey, step=0))
    assert len(np.unique(frames)) > 12
    half = numpy(edit.Random("invert", probability=0.5, seed=1)(grey.repeat(8, 0), step=0))
    assert 10 < (half[:, 0, 0, 0, 0] == 155).sum() < 38
    next_ones = [numpy(augment(grey)) for _ in range(2)]
    assert (next_ones[0] != next_ones[1]).any()
    np.testing.assert_array_equal(next_ones[0], numpy(augment(grey, step=0)))
    np.testing.assert_array_equal(numpy(augment(grey, training=False)), grey)


def test_chance_in_tf_data_and_in_a_model():
    tf = pytest.importorskip("tensorflow")
    clips = np.full((8, 4, 6, 6, 3), 100, "uint8")
    augment = edit.Sequential([edit.Contrast(1.5), edit.Exposure(edit.Keyframes({0: 0, 3: 1}))])
    random = edit.Random("brightness", amount=(-0.3, 0.3), seed=1)
    data = tf.data.Dataset.from_tensor_slices(clips).batch(2).enumerate()
    data = data.map(lambda i, x: random(augment(x), step=i), num_parallel_calls=2)
    first, second = ([x.numpy() for x in data] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert first[0].shape == (2, 4, 6, 6, 3) and (first[0] != first[1]).any()

    inputs = keras.Input((4, 6, 6, 3), dtype="uint8")
    model = keras.Model(inputs, random(augment(inputs)))
    assert model.output_shape == (None, 4, 6, 6, 3)
    assert model.predict(clips, verbose=0).dtype == np.uint8
