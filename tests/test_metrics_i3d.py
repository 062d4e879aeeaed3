"""I3D: its architecture, its values against plain NumPy, every kind of weights file."""

import keras
import numpy as np
import pytest
from i3d_weights import random_state
from numpy.lib.stride_tricks import sliding_window_view
from safetensors.numpy import load_file, save_file

from vgzoo.errors import VgzooError
from vgzoo.metrics import i3d


@pytest.fixture(scope="module")
def state():
    return random_state()


@pytest.fixture(scope="module")
def folder(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("i3d")
    save_file(state, folder / "i3d.safetensors")
    return folder


@pytest.fixture(scope="module")
def network(folder):
    return i3d.load(folder / "i3d.safetensors")


# -- architecture --------------------------------------------------------------------------


def test_the_parameters_are_the_published_12_7_million(network):
    trainable = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    assert trainable == 12_697_264
    stored = sum(int(np.prod(v.shape)) for v in network.non_trainable_variables)
    assert stored == 2 * 7_280  # a mean and a variance for each normalised channel


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        ("Conv3d_1a_7x7", (8, 112, 112, 64)),
        ("MaxPool3d_2a_3x3", (8, 56, 56, 64)),
        ("Conv3d_2c_3x3", (8, 56, 56, 192)),
        ("MaxPool3d_3a_3x3", (8, 28, 28, 192)),
        ("Mixed_3b", (8, 28, 28, 256)),
        ("Mixed_3c", (8, 28, 28, 480)),
        ("MaxPool3d_4a_3x3", (4, 14, 14, 480)),
        ("Mixed_4b", (4, 14, 14, 512)),
        ("Mixed_4e", (4, 14, 14, 528)),
        ("Mixed_4f", (4, 14, 14, 832)),
        ("MaxPool3d_5a_2x2", (2, 7, 7, 832)),
        ("Mixed_5c", (2, 7, 7, 1024)),
        ("AvgPool3d_6a_7x7", (1, 1, 1, 1024)),
        ("mean", (400,)),
    ],
)
def test_shapes_of_a_clip_of_16_frames(network, layer, shape):
    until = keras.Model(network.input, network.get_layer(layer).output)
    assert until.compute_output_shape((1, 16, 224, 224, 3)) == (1, *shape)


def test_the_dtype_policy_does_not_change_the_features(network, folder):
    clip = np.random.default_rng(3).uniform(-1, 1, (1, 9, 193, 193, 3)).astype("float32")
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy("mixed_bfloat16")
        got = i3d.load(folder / "i3d.safetensors").predict_on_batch(clip)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_allclose(got, network.predict_on_batch(clip), rtol=1e-5, atol=1e-5)


# -- values: the same network in NumPy, channels first, from the state dict ------------------


def _pad(x, sizes, strides):
    """TensorFlow's "SAME" with zeros: what is odd goes to the end."""
    pads = [(0, 0)]
    for length, size, stride in zip(x.shape[1:], sizes, strides, strict=True):
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, pads)


def _windows(x, sizes, strides):
    t, h, w = strides
    return sliding_window_view(_pad(x, sizes, strides), sizes, axis=(1, 2, 3))[:, ::t, ::h, ::w]


def _unit(state, name, x, stride=1):
    kernel = state[f"{name}.conv3d.weight"].astype("float64")
    x = np.einsum("ithwabc,oiabc->othw", _windows(x, kernel.shape[2:], (stride,) * 3), kernel)
    scale, shift, mean, var = (
        state[f"{name}.bn.{part}"][:, None, None, None]
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return np.maximum((x - mean) / np.sqrt(var + 1e-3) * scale + shift, 0)


def _pool(x, sizes, strides):
    return _windows(x, sizes, strides).max(axis=(4, 5, 6))


def _mixed(state, name, x):
    parts = [
        _unit(state, f"{name}.b0", x),
        _unit(state, f"{name}.b1b", _unit(state, f"{name}.b1a", x)),
        _unit(state, f"{name}.b2b", _unit(state, f"{name}.b2a", x)),
        _unit(state, f"{name}.b3b", _pool(x, (3, 3, 3), (1, 1, 1))),
    ]
    return np.concatenate(parts)


def _trunk(state, clip):
    """Clip `(T, H, W, 3)` → what Mixed_3b and Mixed_5c give, `(T, H, W, C)`."""
    x = _unit(state, "Conv3d_1a_7x7", clip.transpose(3, 0, 1, 2).astype("float64"), 2)
    x = _pool(x, (1, 3, 3), (1, 2, 2))
    x = _unit(state, "Conv3d_2c_3x3", _unit(state, "Conv3d_2b_1x1", x))
    x = early = _pool(x, (1, 3, 3), (1, 2, 2))
    for name in i3d.MIXED:
        if name == "Mixed_4b":
            x = _pool(x, (3, 3, 3), (2, 2, 2))
        if name == "Mixed_5b":
            x = _pool(x, (2, 2, 2), (2, 2, 2))
        x = _mixed(state, name, x)
        early = x if name == "Mixed_3b" else early
    return early.transpose(1, 2, 3, 0), x.transpose(1, 2, 3, 0)


@pytest.mark.parametrize("shape", [(9, 24, 17), (12, 34, 20)])
def test_blocks_give_what_numpy_gives(network, state, shape):
    clip = np.random.default_rng(1).uniform(-1, 1, (*shape, 3)).astype("float32")
    outputs = [network.get_layer(name).output for name in ("Mixed_3b", "Mixed_5c")]
    got = keras.Model(network.input, outputs)(clip[None])
    for ours, wanted in zip(got, _trunk(state, clip), strict=True):
        assert wanted.std() > 0.05
        np.testing.assert_allclose(ours[0], wanted, rtol=1e-3, atol=1e-4 * wanted.max())


def test_logits_are_averaged_over_time_after_a_pool_of_two_frames(network, state):
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2, 4, 7, 7, 1024)).astype("float32")
    head = keras.Model(network.get_layer("Mixed_5c").output, network.output)
    pooled = np.stack([x[:, t : t + 2].mean(axis=(1, 2, 3)) for t in range(3)], axis=1)
    kernel = state["logits.conv3d.weight"][:, :, 0, 0, 0]
    wanted = (pooled @ kernel.T + state["logits.conv3d.bias"]).mean(axis=1)
    np.testing.assert_allclose(head(x), wanted, atol=1e-5)


# -- weights files ---------------------------------------------------------------------------


def _same_weights(network, path):
    loaded = i3d.load(path)
    return all(np.array_equal(a, b) for a, b in zip(loaded.weights, network.weights, strict=True))


def _second_naming(state):
    """The names of kinetics_i3d_pytorch."""
    branch = {"b0": "0", "b1a": "1.0", "b1b": "1.1", "b2a": "2.0", "b2b": "2.1", "b3b": "3.1"}
    renamed = {}
    for name, value in state.items():
        name = name.replace("logits.", "conv3d_0c_1x1.").replace(".bn.", ".batch3d.")
        name = name.replace("Conv3d_", "conv3d_").replace("Mixed_", "mixed_")
        for ours, theirs in branch.items():
            name = name.replace(f".{ours}.", f".branch_{theirs}.")
        renamed[name] = value
    return renamed


def _graph_naming(state):
    """The names and axes of the published TensorFlow graph, which has no scales."""
    branch = {
        "b0": "Branch_0/Conv3d_0a_1x1",
        "b1a": "Branch_1/Conv3d_0a_1x1",
        "b1b": "Branch_1/Conv3d_0b_3x3",
        "b2a": "Branch_2/Conv3d_0a_1x1",
        "b2b": "Branch_2/Conv3d_0b_3x3",
        "b3b": "Branch_3/Conv3d_0b_1x1",
    }
    renamed = {}
    for name, value in state.items():
        if name.endswith("bn.weight"):
            continue
        unit, kind, part = name.rsplit(".", 2)
        block, _, own = unit.partition(".")
        unit = f"{block}/{branch[own]}" if own else unit
        unit = "Logits/Conv3d_0c_1x1" if unit == "logits" else unit
        unit = unit.replace("Mixed_5b/Branch_2/Conv3d_0b_3x3", "Mixed_5b/Branch_2/Conv3d_0a_3x3")
        parts = {"weight": "w", "bias": "b"} if kind == "conv3d" else {
            "bias": "beta",
            "running_mean": "moving_mean",
            "running_var": "moving_variance",
        }  # fmt: skip
        kind = {"conv3d": "conv_3d", "bn": "batch_norm"}[kind]
        if value.ndim == 5:
            value = value.transpose(2, 3, 4, 1, 0)
        elif kind == "batch_norm":
            value = value.reshape(1, 1, 1, 1, -1)
        renamed[f"RGB/inception_i3d/{unit}/{kind}/{parts[part]}"] = value
    return renamed


def test_the_names_of_the_other_port_load_too(network, state, tmp_path):
    path = tmp_path / "other.safetensors"
    renamed = {f"module.{name}": value for name, value in _second_naming(state).items()}
    save_file(renamed | {"module.conv3d_1a_7x7.batch3d.num_batches_tracked": np.array([7])}, path)
    assert _same_weights(network, path)


def test_the_tensorflow_module_loads_and_converts(state, tmp_path):
    import tensorflow as tf

    (tmp_path / "module" / "variables").mkdir(parents=True)
    tensors = _graph_naming(state)
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "module" / "variables" / "variables"),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )
    written = i3d.convert(tmp_path / "module", tmp_path / "i3d.safetensors")
    converted = load_file(written)
    assert converted.keys() == state.keys()
    for name, value in state.items():
        wanted = np.ones_like(value) if name.endswith("bn.weight") else value
        np.testing.assert_array_equal(converted[name], wanted, err_msg=name)


def _torch_module(torch, tensors):
    """A module whose state dict has these names, built as deep as the dots say."""
    root = torch.nn.Module()
    for name, value in tensors.items():
        *path, last = name.split(".")
        module = root
        for part in path:
            if part not in dict(module.named_children()):
                module.add_module(part, torch.nn.Module())
            module = getattr(module, part)
        module.register_buffer(last, torch.from_numpy(value))
    return root


def test_a_state_dict_of_pytorch_loads(network, state, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "rgb.pt"
    torch.save({name: torch.from_numpy(value) for name, value in state.items()}, path)
    assert _same_weights(network, path)


def test_torchscript_loads_only_after_an_explicit_conversion(network, state, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(_torch_module(torch, _second_naming(state))), path)
    with pytest.raises(VgzooError, match=r"TorchScript, a program.*i3d\.convert"):
        i3d.load(path)
    assert _same_weights(network, i3d.convert(path, tmp_path / "i3d.safetensors"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    torch = pytest.importorskip("torch")

    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("harmed").touch, ())

    path = tmp_path / "harm.pt"
    torch.save({"Conv3d_1a_7x7.conv3d.weight": Harm()}, path)
    for call in (i3d.load, lambda p: i3d.convert(p, tmp_path / "out.safetensors")):
        with pytest.raises(VgzooError, match="cannot be read as PyTorch weights"):
            call(path)
    assert not (tmp_path / "harmed").exists()
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("Mixed_4c.b2b.bn.running_var"), "lacks 'Mixed_4c.b2b.bn.running_var'"),
        (lambda s: s.update(extra=np.zeros(3, "float32")), "has the unknown tensor 'extra'"),
        (
            lambda s: s.update({"logits.conv3d.bias": np.zeros(157, "float32")}),
            r"'logits.conv3d.bias' of shape \(157,\), wanted \(400,\)",
        ),
        (
            lambda s: s.update({"Conv3d_1a_7x7.bn.bias": np.full(64, np.nan, "float32")}),
            "not finite",
        ),
    ],
)
def test_weights_that_are_not_i3d_are_refused(state, tmp_path, change, says):
    changed = dict(state)
    change(changed)
    save_file(changed, tmp_path / "wrong.safetensors")
    with pytest.raises(VgzooError, match=says):
        i3d.load(tmp_path / "wrong.safetensors")


def test_a_missing_or_damaged_file_is_one_line(tmp_path):
    with pytest.raises(VgzooError, match="does not exist"):
        i3d.load(tmp_path / "none.safetensors")
    (tmp_path / "noise.safetensors").write_bytes(b"\x09\x00\x00\x00noise")
    with pytest.raises(VgzooError, match="is no safetensors file of float32"):
        i3d.load(tmp_path / "noise.safetensors")
    with pytest.raises(VgzooError, match="holds no TensorFlow checkpoint"):
        i3d.load(tmp_path)
    with pytest.raises(VgzooError, match=r"ends in \.safetensors"):
        i3d.convert(tmp_path / "noise.safetensors", tmp_path / "out.pt")
