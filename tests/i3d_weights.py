"""Weights for I3D: the names and shapes of the published ones, with values that are random."""

import numpy as np

from vgzoo.metrics import i3d


def shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of pytorch-i3d's state dict, written down from its code."""
    shapes = {}

    def unit(name, before, after, size):
        shapes[f"{name}.conv3d.weight"] = (after, before, size, size, size)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.bn.{part}"] = (after,)

    unit("Conv3d_1a_7x7", 3, 64, 7)
    unit("Conv3d_2b_1x1", 64, 64, 1)
    unit("Conv3d_2c_3x3", 64, 192, 3)
    width = 192
    for block, (c0, c1a, c1b, c2a, c2b, c3) in i3d.MIXED.items():
        unit(f"{block}.b0", width, c0, 1)
        unit(f"{block}.b1a", width, c1a, 1)
        unit(f"{block}.b1b", c1a, c1b, 3)
        unit(f"{block}.b2a", width, c2a, 1)
        unit(f"{block}.b2b", c2a, c2b, 3)
        unit(f"{block}.b3b", width, c3, 1)
        width = c0 + c1b + c2b + c3
    shapes["logits.conv3d.weight"], shapes["logits.conv3d.bias"] = (400, width, 1, 1, 1), (400,)
    return shapes


def random_state() -> dict[str, np.ndarray]:
    """A state dict scaled so that signals neither die nor explode."""
    rng = np.random.default_rng(0)
    values = {}
    for name, shape in shapes().items():
        if len(shape) == 5:
            values[name] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("bn.weight", "running_var")):
            values[name] = rng.uniform(0.7, 1.4, shape)
        else:
            values[name] = rng.normal(0, 0.2, shape)
    return {name: value.astype("float32") for name, value in values.items()}
