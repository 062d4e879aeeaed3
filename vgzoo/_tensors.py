"""Keras variables to and from safetensors files, keyed by the variables' paths."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import load_file, save

from vgzoo._folder import check_file, tensor_header
from vgzoo.errors import HubError

if TYPE_CHECKING:
    import keras

# Names of dtypes as safetensors spells them.
_SPELLED = {
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "uint32": "U32",
    "uint8": "U8",
    "bool": "BOOL",
}
_ANEW = "get the folder anew or save it again"


def fill(
    variables: "list[keras.Variable]", path: Path, stored: str, label: str, grown: bool = False
) -> None:
    """Gives the variables the values of a file; none of them changes if any is refused.

    Args:
        variables: all that the file has to hold.
        path: a safetensors file.
        stored: how floats are stored there, "float32" or "float16".
        label: how messages call the folder.
        grown: whether the model may have more variables than the file; these stay as they are.
    """
    if grown:
        header = tensor_header(path, label)
        variables = [variable for variable in variables if variable.path in header]
    for variable, value in _read(path, variables, stored, label):
        variable.assign(value)


class Later:
    """`fill` to be called when the tensors are needed; the second call does nothing."""

    def __init__(self, variables: "list[keras.Variable]", path: Path, config: dict, label: str):
        self.variables, self.path, self.label = variables, path.absolute(), label
        self.entry = config["tensors"][path.name]
        self.stored = config.get("dtype", "float32")
        self.done = False

    def __call__(self) -> None:
        if self.done:
            return
        # That may be long after the folder was verified.
        check_file(self.path, self.entry, self.label)
        fill(self.variables, self.path, self.stored, self.label)
        self.done = True


def _read(
    path: Path, variables: "list[keras.Variable]", stored: str, label: str
) -> "list[tuple[keras.Variable, np.ndarray]]":
    """Each variable with its value, once all of them have passed."""
    label = f"{label}: {path.name}"
    header = tensor_header(path, label)
    wanted = {variable.path: variable for variable in variables}
    lacking, unknown = wanted.keys() - header.keys(), header.keys() - wanted.keys()
    for what, names in (("lacks tensor", lacking), ("has the unknown tensor", unknown)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise HubError(f"{label} {what} {min(names)!r}{more}; {_ANEW}")
    for key, variable in wanted.items():
        found, shape = header[key], tuple(variable.shape)
        dtype = _SPELLED[stored if _is_float(variable) else str(variable.dtype)]
        if found[0] != shape:
            raise HubError(f"{label} has {key!r} of shape {found[0]}, wanted {shape}; {_ANEW}")
        if found[1] != dtype:
            raise HubError(f"{label} has {key!r} as {found[1]}, wanted {dtype}; {_ANEW}")
    arrays = load_file(path)
    for key, array in arrays.items():
        if not np.all(np.isfinite(array)):
            raise HubError(f"{label} has values in {key!r} that are not finite; {_ANEW}")
    return [(variable, arrays[key]) for key, variable in wanted.items()]


def write(path: Path, variables: "list[keras.Variable]", half: bool) -> None:
    """Writes the variables' values, those that are floats as float32, or float16 if `half`.

    Raises:
        HubError: values that are not finite, or not in float16, or two variables of one path.
    """
    from keras import ops

    arrays = {}
    for variable in variables:
        array = ops.convert_to_numpy(variable)
        if _is_float(variable):
            array = array.astype("float32")
            if not np.all(np.isfinite(array)):
                raise HubError(
                    f"{variable.path!r} holds values that are not finite; nothing was saved, go "
                    "back to an earlier checkpoint"
                )
            if half:
                if np.max(np.abs(array), initial=0) > np.finfo("float16").max:
                    raise HubError(
                        f"{variable.path!r} holds values beyond float16; nothing was saved, save "
                        "with half=False"
                    )
                array = array.astype("float16")
        if variable.path in arrays:
            raise HubError(f"two variables are called {variable.path!r}; name their layers apart")
        arrays[variable.path] = np.ascontiguousarray(array).reshape(array.shape)
    path.write_bytes(save(arrays))  # `save_file` would make a file that only its owner may read


def _is_float(variable: "keras.Variable") -> bool:
    from keras.backend import is_float_dtype, standardize_dtype

    return is_float_dtype(standardize_dtype(variable.dtype))
