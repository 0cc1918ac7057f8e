"""A `.keras` file as a model for inference, also where training classes are unknown."""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from tf_gru_addon.export.errors import ExportError

#: What matters in training alone: the end of an argument's name, what finds its value,
#: and what takes the place of an unknown one.
_ROLES = {
    "constraint": (keras.constraints.get, None),
    "initializer": (keras.initializers.get, "zeros"),
    "regularizer": (keras.regularizers.get, None),
}
_MAX_CONFIG = 1 << 26  # bytes; a thousand layers take one million
_UNKNOWN = re.compile(r"(?:Could not locate (?:class|function) '|of type `)(\w+)")


def load_keras_file(path: str | os.PathLike) -> tuple[keras.Model, list[str]]:
    """Returns the model in a `.keras` file, uncompiled, and what was left out.

    Losses, metrics and optimizers are never loaded. Constraints, regularizers and
    initializers whose class is unknown here are left out.

    Args:
        path: The file.

    Returns:
        The model, and the names of the classes and functions left out.

    Raises:
        ExportError: It is no such file, it is damaged, or it holds a layer or a
            function that is unknown here.
        FileNotFoundError: There is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file.")
    if path.suffix in (".h5", ".hdf5"):
        raise ExportError(
            f"{path}: a model of an older Keras. Convert it first: "
            f"tf-gru-addon convert {path} {path.with_suffix('.keras')}"
        )
    if path.suffix != ".keras" or not zipfile.is_zipfile(path):
        raise ExportError(
            f"{path}: not a .keras file. Save the model with model.save('NAME.keras')."
        )
    # The layers of this package register themselves when imported.
    from tf_gru_addon.layers import gru, gru_cell  # noqa: F401

    try:
        with zipfile.ZipFile(path) as file:
            if (length := file.getinfo("config.json").file_size) > _MAX_CONFIG:
                raise ValueError(f"its config.json would take {length:,} bytes")
            config = json.loads(file.read("config.json"))
            left_out = sorted(set(_leave_out(config)))
            if not left_out:
                return _load(path), []
            with tempfile.TemporaryDirectory() as folder:
                other = Path(folder) / path.name
                _rewrite(file, config, other)
                return _load(other), left_out
    except Exception as error:  # damage, and layers of others, show in many ways
        raise ExportError(f"{path}: cannot be loaded: {_reason(error)}") from error


def _load(path: Path) -> keras.Model:
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _leave_out(config: Any) -> Iterator[str]:
    """Replaces what is unknown in a config, and yields its names."""
    if isinstance(config, list):
        for value in config:
            yield from _leave_out(value)
    if not isinstance(config, dict):
        return
    for key, value in config.items():
        find, default = _ROLES.get(key.rpartition("_")[2], (None, None))
        if find is None or value is None:
            yield from _leave_out(value)
            continue
        try:
            find(value)
        except Exception:  # whatever an unknown name raises
            yield _name(value)
            config[key] = default


def _name(value: Any) -> str:
    """Returns the name of a class or function in a config."""
    if not isinstance(value, dict):
        return str(value)
    function = value.get("class_name") == "function"
    return str(value.get("config" if function else "class_name"))


def _rewrite(file: zipfile.ZipFile, config: Any, path: Path) -> None:
    """Writes a `.keras` file with another config."""
    with zipfile.ZipFile(path, "w") as other:
        for name in file.namelist():
            if name != "config.json":
                with file.open(name) as source, other.open(name, "w") as target:
                    while block := source.read(1 << 20):
                        target.write(block)
        other.writestr("config.json", json.dumps(config))


def _reason(error: Exception) -> str:
    """Returns what to do about a file that Keras does not load."""
    text = str(error).strip()
    if unknown := _UNKNOWN.search(text):
        name = unknown[1]
        return (
            f"{name!r} is a layer or a function that is unknown here. Load the model "
            f"in Python, with keras.saving.load_model(path, custom_objects="
            f"{{{name!r}: {name}}}), and pass it to tf_gru_addon.export."
        )
    return text.rpartition("Exception encountered: ")[2] or type(error).__name__
