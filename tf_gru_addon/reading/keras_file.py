"""Checks `.keras` files before Keras loads them."""

from __future__ import annotations

import io
import json
import math
import os
from typing import Any

from tf_gru_addon.reading.budget import FileRefusedError
from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.zip_file import open_zip

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
_ITEM = 4
# Keras writes the module of functions, such as activations, as "builtins".
_PACKAGES = ("keras", "tf_gru_addon", "builtins")


def check_keras_file(path: str | os.PathLike[str]) -> None:
    """Checks that Keras can safely load a `.keras` file.

    Raises:
        FileNotFoundError: The file does not exist.
        FileRefusedError: It claims more bytes than its budget, its config describes a
            larger model or names unknown classes, or its HDF5 file refers to others.
        Exception: Anything that is raised for a damaged file; use `boundary`.
    """
    with open_zip(path) as file:
        file.check_all()
        for name in file.names:
            if name.endswith(".h5"):
                with open_hdf5(io.BytesIO(file.read(name)), file.budget):
                    pass
        if CONFIG in file.names:
            config = json.loads(file.read(CONFIG))
            _check_names(config)
            size = _variables(config)
            file.budget.take(size, f"the model that {CONFIG} describes")


def _check_names(config: Any) -> None:
    """Refuses names that Keras before 3.9 would import and call from any module."""
    pending = [config]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, dict):
            pending += node.values()
            if not is_known(node):
                name = node["class_name"]
                raise FileRefusedError(
                    f"its config names {name!r} of the module {node['module']!r}; only "
                    "classes of Keras, of this package and those registered with Keras "
                    "are loaded. If it is yours, load the model in Python with "
                    f"custom_objects={{{name!r}: ...}}."
                )


def is_known(node: dict[str, Any]) -> bool:
    """Whether a dict of a config can be loaded without importing unknown modules.

    Args:
        node: A serialized object in Keras' format, or any other dict.

    Returns:
        False if it names a class that is not of Keras, not of this package and not
        registered with Keras.
    """
    import keras

    module, name = node.get("module"), str(node.get("class_name"))
    if not module or "class_name" not in node:
        return True
    is_class = name == "function" or name[:1].isupper() or name[:2] == "__"
    if is_class and str(module).partition(".")[0] in _PACKAGES:
        return True
    names = (name, str(node.get("registered_name")))
    return any(keras.saving.get_registered_object(each) for each in names)


def _variables(config: Any) -> int:
    """Returns the bytes that a model's variables take, without allocating them.

    A config of a kilobyte can describe a layer of a billion units, which Keras would
    allocate before reading the weights. In a graph, variables only have shapes.
    """
    import keras
    import tensorflow as tf

    try:
        with tf.Graph().as_default():
            model = keras.saving.deserialize_keras_object(config)
            shapes = [tuple(variable.shape) for variable in model.variables]
    except Exception:  # Keras reports the reason when it loads the file
        return 0
    return _ITEM * sum(map(math.prod, shapes))
