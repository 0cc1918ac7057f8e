"""`.keras` files, before Keras opens them."""

from __future__ import annotations

import io
import json
import math
import os

from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.zip_file import open_zip

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
_ITEM = 4


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
            size = _variables(file.read(CONFIG))
            file.budget.take(size, f"the model that {CONFIG} describes")


def _variables(config: bytes) -> int:
    """Returns how many bytes the variables of a model take, without making them.

    A config of a kilobyte can describe a layer of a billion units, which Keras makes
    before it looks for the numbers. In a graph, variables are shapes.
    """
    import keras
    import tensorflow as tf

    try:
        with tf.Graph().as_default():
            model = keras.saving.deserialize_keras_object(json.loads(config))
            shapes = [tuple(variable.shape) for variable in model.variables]
    except Exception:  # Keras gives the reason when it loads the file itself
        return 0
    return _ITEM * sum(map(math.prod, shapes))
