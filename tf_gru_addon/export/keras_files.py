"""Loads a `.keras` file for inference, even if it names unknown training classes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras

from tf_gru_addon.errors import ExportError
from tf_gru_addon.reading import boundary, require_regular
from tf_gru_addon.reading.keras_file import CONFIG, check_keras_file, is_known
from tf_gru_addon.reading.zip_file import ZipFile, open_zip

#: Arguments that only training uses, by the end of their names: the function that finds
#: a value, and the replacement of an unknown one.
_ROLES = {
    "constraint": (keras.constraints.get, None),
    "initializer": (keras.initializers.get, "zeros"),
    "regularizer": (keras.regularizers.get, None),
}
_UNKNOWN = re.compile(r"(?:Could not locate (?:class|function) '|of type `)(\w+)")


def load_keras_file(path: str | os.PathLike[str]) -> tuple[keras.Model, list[str]]:
    """Loads the model in a `.keras` file, uncompiled.

    Losses, metrics and optimizers are not loaded. Constraints, regularizers and
    initializers of unknown classes are left out.

    Args:
        path: The file.

    Returns:
        The model, and the names of the classes and functions that were left out.

    Raises:
        ExportError: The file is not a `.keras` file, is damaged, or contains an unknown
            layer or function.
        FileNotFoundError: The file does not exist.
    """
    path = Path(path)
    remedy = "Save the model with model.save('NAME.keras')."
    with boundary(path, ExportError, "not a .keras file", remedy):
        require_regular(path)
        if path.suffix in (".h5", ".hdf5"):
            raise ExportError(
                f"{path}: a model of an older Keras. Convert it first: "
                f"tf-gru-addon convert {path} {path.with_suffix('.keras')}"
            )
        if path.suffix != ".keras" or not zipfile.is_zipfile(path):
            raise ExportError(f"{path}: not a .keras file. {remedy}")
    # The layers of this package register themselves when imported.
    from tf_gru_addon import layers as layers

    failing = boundary(path, ExportError, "cannot be loaded")
    with failing, _reasons(), open_zip(path) as file:
        file.check_all()
        config = json.loads(file.read(CONFIG))
        left_out = sorted(set(_leave_out(config)))
        if not left_out:
            return _load(path), []
        with tempfile.TemporaryDirectory() as folder:
            other = Path(folder) / path.name
            _rewrite(file, config, other)
            return _load(other), left_out


def _load(path: Path) -> keras.Model:
    check_keras_file(path)
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _leave_out(config: Any) -> Iterator[str]:
    """Replaces unknown classes and functions in a config, and yields their names."""
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
        if not _finds(find, value):
            yield _name(value)
            config[key] = default


def _finds(find: Callable[[Any], Any], value: Any) -> bool:
    """Returns whether Keras finds a class or function, without importing a module."""
    if isinstance(value, dict) and not is_known(value):
        return False
    try:
        find(value)
    except Exception:  # an unknown name may raise any error
        return False
    return True


def _name(value: Any) -> str:
    """Returns the name of a class or function in a config."""
    if not isinstance(value, dict):
        return str(value)
    function = value.get("class_name") == "function"
    return str(value.get("config" if function else "class_name"))


def _rewrite(file: ZipFile, config: Any, path: Path) -> None:
    """Writes a `.keras` file with another config."""
    with zipfile.ZipFile(path, "w") as other:
        for name in file.names:
            if name != CONFIG:
                other.writestr(name, file.read(name))
        other.writestr(CONFIG, json.dumps(config))


@contextlib.contextmanager
def _reasons() -> Iterator[None]:
    """Explains an error about a layer or a function that Keras does not know."""
    try:
        yield
    except Exception as error:
        text = str(error).strip()
        if unknown := _UNKNOWN.search(text):
            name = unknown[1]
            raise ExportError(
                f"cannot be loaded: {name!r} is a layer or a function that is unknown "
                "here. Load the model in Python, with keras.saving.load_model(path, "
                f"custom_objects={{{name!r}: {name}}}), and pass it to "
                "tf_gru_addon.export."
            ) from error
        _, found, cause = text.rpartition("Exception encountered: ")
        if found:
            raise ValueError(cause) from error
        raise
