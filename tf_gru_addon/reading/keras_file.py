"""`.keras` files, before Keras opens them."""

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
# Keras writes functions, such as activations, as of the module "builtins".
_PACKAGES = ("keras", "tf_gru_addon", "builtins")


def check_keras_file(path: str | os.PathLike) -> None:
    """Checks that Keras can load a `.keras` file without reading any other.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It claims more than it can hold, its config describes a
            model that is larger yet, or its HDF5 file leads elsewhere.
        Exception: Anything that is raised for a damaged file; see `boundary`.
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
    """Refuses what Keras before 3.9 would import, and call, from any module."""
    pending = [config]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending += part
        elif isinstance(part, dict):
            pending += part.values()
            if not is_known(part):
                name = part["class_name"]
                raise FileRefusedError(
                    f"its config names {name!r} of the module {part['module']!r}; only "
                    "classes of Keras, of this package and those registered with Keras "
                    "are loaded. If it is yours, load the model in Python, with "
                    f"custom_objects={{{name!r}: ...}}, and go on from there."
                )


def is_known(part: dict[str, Any]) -> bool:
    """Tells whether a part of a config names nothing that must be imported.

    That is a class of Keras or of this package, or one that is registered with Keras.

    Args:
        part: A dict, be it an object of Keras' format or any other.
    """
    import keras

    module, name = part.get("module"), str(part.get("class_name"))
    if not module or "class_name" not in part:
        return True
    is_class = name == "function" or name[:1].isupper() or name[:2] == "__"
    if is_class and str(module).partition(".")[0] in _PACKAGES:
        return True
    names = (name, str(part.get("registered_name")))
    return any(keras.saving.get_registered_object(each) for each in names)


def _variables(config: Any) -> int:
    """Returns how many bytes the variables of a model take, without making them.

    A config of a kilobyte can describe a layer of a billion units, which Keras makes
    before it looks for the numbers. In a graph, variables are shapes.
    """
    import keras
    import tensorflow as tf

    try:
        with tf.Graph().as_default():
            model = keras.saving.deserialize_keras_object(config)
            shapes = [tuple(variable.shape) for variable in model.variables]
    except Exception:  # Keras gives the reason when it loads the file itself
        return 0
    return _ITEM * sum(map(math.prod, shapes))
