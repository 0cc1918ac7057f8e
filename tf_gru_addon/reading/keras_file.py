"""`.keras` files, before Keras opens them."""

from __future__ import annotations

import io
import os

from tf_gru_addon.reading.hdf5 import open_hdf5
from tf_gru_addon.reading.zip_file import open_zip

WEIGHTS = "model.weights.h5"


def check_keras_file(path: str | os.PathLike) -> None:
    """Checks that Keras can load a `.keras` file without reading any other.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It claims more than it can hold, or its HDF5 file leads
            elsewhere.
        Exception: Anything that is raised for a damaged file; see `boundary`.
    """
    with open_zip(path) as file:
        file.check_all()
        for name in file.names:
            if name.endswith(".h5"):
                with open_hdf5(io.BytesIO(file.read(name)), file.budget):
                    pass
