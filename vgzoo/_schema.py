"""The fields of `config.json`, as code: what a weights folder says about itself."""

FORMAT = 1
TENSOR_FILES = {
    "model": "model.safetensors",
    "discriminator": "discriminator.safetensors",
}
# The kind of each field: a type, a tuple of types, [kind] for a list, a dict for a nested object.
SCHEMA = {
    "format": int,
    "name": str,
    "arch": str,
    "kwargs": dict,
    "family": str,
    "tasks": [str],
    "dataset": str,
    "clip": {"frames": int, "height": int, "width": int, "channels": int, "fps": (int, float)},
    "params": int,
    "license": {"code": str, "weights": str, "data": str},
    "tensors": dict,
    "dtype": str,
    "references": [str],
}
OPTIONAL = {"dtype"}  # float32 where it is left out
TENSOR_ENTRY = {"sha256": str, "size": int}
FAMILIES = ("gan", "vae", "flow", "forecaster", "editor", "judge")
DTYPES = ("float32", "float16")


def problem(config: dict) -> str | None:
    """The first thing wrong with a config taken alone, in one line; None if nothing is."""
    return _mismatch(config, SCHEMA, "config.json", OPTIONAL) or _bad_value(config)


def _mismatch(value, kind, where: str, optional=frozenset()) -> str | None:
    """What is wrong with a value of the wanted kind, or None."""
    if isinstance(kind, dict):
        if not isinstance(value, dict):
            return f"{where} is {value!r:.60}, wanted an object"
        for key in sorted(kind.keys() - value.keys() - optional):
            return f"{where} has no field {key!r}"
        for key in sorted(value.keys() - kind.keys()):
            return f"{where} has an unknown field {key!r}"
        wrong = (_mismatch(value[key], kind[key], f"{where} {key!r}") for key in value)
        return next(filter(None, wrong), None)
    if isinstance(kind, list):
        if not isinstance(value, list):
            return f"{where} is {value!r:.60}, wanted a list"
        wrong = (_mismatch(item, kind[0], f"an item of {where}") for item in value)
        return next(filter(None, wrong), None)
    if not isinstance(value, kind) or isinstance(value, bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        return f"{where} is {value!r:.60}, wanted {names}"
    return None


def _bad_value(config: dict) -> str | None:
    """What the types alone do not say about a config whose types are right."""
    if config["format"] < 1:
        return f"config.json 'format' is {config['format']}, wanted {FORMAT}"
    if config["family"] not in FAMILIES:
        return (
            f"config.json 'family' is {config['family']!r:.60}, wanted one of {', '.join(FAMILIES)}"
        )
    if config.get("dtype", "float32") not in DTYPES:
        return f"config.json 'dtype' is {config['dtype']!r:.60}, wanted one of {', '.join(DTYPES)}"
    for size in config["clip"]:
        if config["clip"][size] <= 0:
            return f"config.json 'clip' has {size} {config['clip'][size]}, wanted more than 0"
    for name, entry in config["tensors"].items():
        # A closed set of names: no absolute path, no "..", no subfolder can be meant.
        if name not in TENSOR_FILES.values():
            return f"tensor file {name!r:.60} is not one of {', '.join(TENSOR_FILES.values())}"
        if wrong := _mismatch(entry, TENSOR_ENTRY, f"'tensors' {name!r}"):
            return wrong
    if TENSOR_FILES["model"] not in config["tensors"]:
        return f"config.json 'tensors' has no {TENSOR_FILES['model']!r}"
    return _structured(config["kwargs"])


def _structured(kwargs: dict) -> str | None:
    # Objects are how Keras spells "import this class and build it", so none may pass; a dtype is
    # the choice of whoever loads, not of the folder.
    for key, value in kwargs.items():
        if key == "dtype":
            return "config.json 'kwargs' has 'dtype', which is an argument of vgzoo.load"
        if not _is_plain(value):
            return f"config.json 'kwargs' {key!r:.60} is no plain value or list of plain values"
    return None


def _is_plain(value) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)
