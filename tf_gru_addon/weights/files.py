"""Files of GRU weights, whatever framework wrote them.

| format      | the file                                            | read | written |
| ----------- | --------------------------------------------------- | ---- | ------- |
| npz         | this package's own, `.npz`                          | yes  | yes     |
| torch       | a `state_dict`: `.pt`, `.safetensors` or `.npz`     | yes  | yes     |
| onnx        | a model with GRU nodes                              | yes  | a layer |
| tf1         | a checkpoint, without `.index`                      | yes  | a GRU   |
| keras3      | Keras 3's weights of a model of GRUs, `.weights.h5` | yes  | yes     |
| keras2      | Keras 2's weights of a GRU, `.h5`                   | yes  | a GRU   |
| cudnn_gru   | Keras 2's weights of a CuDNNGRU, `.h5`              | yes  | a GRU   |
| keras       | any other HDF5 file of Keras 1, 2 or 3; `.keras`    | yes  | no      |
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tf_gru_addon import arguments
from tf_gru_addon.reading import Budget, boundary
from tf_gru_addon.reading.keras_file import WEIGHTS
from tf_gru_addon.reading.zip_file import ZipFile, open_zip
from tf_gru_addon.weights import (
    containers,
    keras_h5,
    npz_file,
    onnx_nodes,
    tf1,
    torch_state_dict,
)
from tf_gru_addon.weights.activation_names import require_activation
from tf_gru_addon.weights.directions import FoundGRU, weights_file
from tf_gru_addon.weights.errors import WeightsError, argument
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.keras_config import json_object
from tf_gru_addon.weights.recognise import kind_of
from tf_gru_addon.weights.weights_file import ACTIVATIONS, WeightsFile

Stack = tuple[GRULayer, ...]


def inspect_weights(
    path: str | os.PathLike, *, reset_after: bool | None = None
) -> WeightsFile:
    """Returns what GRUs a file holds; its content says of what format it is.

    Args:
        path: The file; of a TensorFlow checkpoint the name without `.index`.
        reset_after: The convention of Keras' GRUs without a bias, which files of
            weights alone do not show.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is of no known format, or damaged, or a GRU in it cannot be
            read.
        ValueError: An argument is of another type.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import (
        ...     GRUWeights, inspect_weights, write_weights
        ... )
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> write_weights("model.npz", weights, "npz")
        >>> file = inspect_weights("model.npz")
        >>> file.format, list(file.grus)
        ('npz', ['gru'])
    """
    path = arguments.path("path", path)
    if reset_after is not None:
        reset_after = arguments.boolean("reset_after", reset_after)
    what = "it is damaged, cut short, or of no known format"
    with boundary(path, WeightsError, what):
        return _READERS[kind_of(path)](path, reset_after)


def _tf1(path: Path, reset_after: bool | None) -> WeightsFile:
    cells = {}
    for name, (weights, tanh) in tf1.read_tf1_cells(path).items():
        cells[name] = FoundGRU(weights, "tanh" if tanh else None, "sigmoid")
    return weights_file("tf1", cells)


def _onnx(path: Path, reset_after: bool | None) -> WeightsFile:
    layers = onnx_nodes.read_onnx(path)
    return WeightsFile("onnx", {name: (layer,) for name, layer in layers.items()})


def _zip(path: Path, reset_after: bool | None) -> WeightsFile:
    with open_zip(path) as file:
        if WEIGHTS in file.names:
            return _keras_zip(file, reset_after)
        is_torch = any(name.endswith("/data.pkl") for name in file.names)
    if is_torch:
        return _torch(containers.load_torch(path))
    arrays = containers.load_npz(path)
    mark = arrays.get("format")
    if mark is not None and mark.shape == () and str(mark) == npz_file.MARK:
        return WeightsFile("npz", {"gru": npz_file.from_npz_arrays(arrays)})
    return _torch(arrays)


def _keras_zip(file: ZipFile, reset_after: bool | None) -> WeightsFile:
    """Reads a `.keras` file; one without a config is of weights alone."""
    config = None
    if "config.json" in file.names:
        text = file.read("metadata.json") if "metadata.json" in file.names else b"{}"
        version = json_object(text, "metadata.json").get("keras_version")
        config = file.read("config.json"), version
    return _keras(io.BytesIO(file.read(WEIGHTS)), reset_after, config, file.budget)


def _torch(state_dict: dict) -> WeightsFile:
    prefixes = torch_state_dict.torch_prefixes(state_dict)
    if not prefixes:
        torch_state_dict.from_torch(state_dict)  # which says what there is
    return WeightsFile(
        "torch",
        {
            prefix.rstrip(".") or "gru": torch_state_dict.from_torch(state_dict, prefix)
            for prefix in prefixes
        },
    )


def _keras(
    file: Path | io.BytesIO,
    reset_after: bool | None,
    config: tuple[Any, Any] | None = None,
    budget: Budget | None = None,
) -> WeightsFile:
    grus = keras_h5.read_keras_h5(file, reset_after, config, budget)
    cudnn = bool(grus) and all(gru.cudnn for gru in grus.values())
    found = {
        name: FoundGRU(
            gru.weights, gru.activation, gru.recurrent_activation, gru.backwards
        )
        for name, gru in grus.items()
    }
    return weights_file("cudnn_gru" if cudnn else "keras", found)


_READERS = {
    "tf1": _tf1,
    "hdf5": _keras,
    "zip": _zip,
    "torch": lambda path, _: _torch(containers.load_torch(path)),
    "safetensors": lambda path, _: _torch(containers.load_safetensors(path)),
    "onnx": _onnx,
}


def read_weights(
    path: str | os.PathLike,
    name: str | Sequence[str] | None = None,
    *,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    reset_after: bool | None = None,
) -> Stack:
    """Returns the layers of a GRU in a file; its content says of what format it is.

    Args:
        path: The file; of a TensorFlow checkpoint the name without `.index`.
        name: Which GRU, if there are several, by the names of `inspect_weights`.
            Several names, the lowest layer first, or a name with "*" for any text, are
            joined to one stack.
        activation: The activation, where the file does not state it; None for tanh.
        recurrent_activation: The recurrent activation, where the file does not state
            it, as Keras' files of weights alone do not. It must be given for them:
            "sigmoid" is the default of Keras 3 and of TensorFlow 2's GRU,
            "hard_sigmoid" that of Keras 1 and 2 and of TensorFlow r2.0's GRUCell.
        reset_after: The convention of a GRU of Keras without a bias, where the file
            does not state it.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is of no known format, or damaged; there is no GRU in it, or
            there are several and no name; an activation is not given, or what is given
            is not what the file states.
        ValueError: An argument is of another type.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_weights, write_weights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> write_weights("gru.npz", weights, "npz")
        >>> read_weights("gru.npz")[0].forward == weights
        True
    """
    given = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "reset_after": reset_after,
    }
    file = inspect_weights(path, reset_after=reset_after)
    try:
        return stack_of(file, chosen(file, name), given)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def chosen(file: WeightsFile, name: str | Sequence[str] | None) -> list[str]:
    """Returns the names of the GRUs that `read_weights` is to join.

    Raises:
        WeightsError: There is none of that name, or there are several and no name.
        ValueError: `name` is of another type.
    """
    shown = [*map(repr, file.grus)]
    known = ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")
    known = f"There are: {known}." if shown else "There are none."
    if name is None:
        if not file.grus:
            raise WeightsError("there is no GRU in it.")
        if len(file.grus) > 1:
            raise WeightsError(
                f"there are {len(file.grus)} GRUs. Choose with {argument('name')}; "
                f"several names are joined to a stack. {known}"
            )
        return list(file.grus)
    names = [name] if isinstance(name, str) else name
    if not isinstance(names, list | tuple) or not all(
        isinstance(each, str) for each in names
    ):
        raise ValueError(
            f"name must be a GRU's name, a list of names or None; received: {name!r}."
        )
    found = []
    for each in names:
        pattern = ".*".join(re.escape(part) for part in each.split("*"))
        fits = [k for k in file.grus if k == each]
        fits = fits or [k for k in file.grus if re.fullmatch(pattern, k, re.DOTALL)]
        if not fits:
            raise WeightsError(f"there is no GRU of the name {each!r}. {known}")
        found += fits
    return found


def stack_of(file: WeightsFile, names: list[str], given: dict[str, Any]) -> Stack:
    """Returns the GRUs of these names as one stack.

    Args:
        file: What the file holds.
        names: The GRUs, the lowest first.
        given: What the caller says of them: the activations and the convention, each a
            value or None.

    Raises:
        WeightsError: What is given is not what the file states, or is not enough; or
            the GRUs do not fit on each other.
    """
    for key in ACTIVATIONS:
        if given[key] is not None:
            require_activation(key, given[key])
    layers = []
    for name in names:
        for layer in file.grus[name]:
            unstated = file.unstated.get(name, ())
            for key, value in given.items():
                stated = getattr(layer, key)
                if value not in (None, stated) and key not in unstated:
                    raise WeightsError(
                        f"{key} is {stated} in the file, of the GRU {name!r}; received "
                        f"{value!r}. Leave it out."
                    )
            layers.append(_with_activations(layer, name, unstated, given))
    try:
        return as_stack(layers)
    except WeightsError as error:
        raise WeightsError(f"{', '.join(map(repr, names))}: {error}") from error


def _with_activations(
    layer: GRULayer, name: str, unstated: Sequence[str], given: dict[str, Any]
) -> GRULayer:
    """Returns a layer with the activations that were given, where none are stated."""
    if "recurrent_activation" in unstated and given["recurrent_activation"] is None:
        raise WeightsError(
            f"nothing in the file says what the activations of {name!r} are. Give "
            f'{argument("recurrent_activation")}: "sigmoid" is the default of Keras 3 '
            'and of TensorFlow 2\'s GRU, "hard_sigmoid" that of Keras 1 and 2 and of '
            "TensorFlow r2.0's GRUCell."
        )
    kinds = [
        (given[key] or "tanh") if key in unstated else getattr(layer, key)
        for key in ACTIVATIONS
    ]
    return GRULayer(layer.forward, layer.backward, *kinds)
