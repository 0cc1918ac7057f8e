"""Files of GRU weights, whatever framework wrote them.

| format      | the file                                            | read | written |
| ----------- | --------------------------------------------------- | ---- | ------- |
| npz         | this package's own, `.npz`                          | yes  | yes     |
| torch       | a `state_dict`: `.pt`, `.safetensors` or `.npz`     | yes  | yes     |
| onnx        | a model with GRU nodes                              | yes  | a layer |
| tf1         | a checkpoint, without `.index`                      | yes  | a GRU   |
| cudnn_gru   | a Keras 2 weights file of a CuDNNGRU, `.h5`         | yes  | a GRU   |
| keras2      | a Keras 2 weights file of a GRU, `.h5`              | yes  | a GRU   |
| keras       | any other HDF5 file of Keras 1, 2 or 3; `.keras`    | yes  | no      |
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from tf_gru_addon.reading import Budget, boundary, require_regular
from tf_gru_addon.reading.keras_file import WEIGHTS
from tf_gru_addon.reading.zip_file import open_zip
from tf_gru_addon.weights import (
    containers,
    keras_h5,
    npz_file,
    onnx_nodes,
    tf1,
    torch_state_dict,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.weights_file import WeightsFile

Stack = tuple[GRULayer, ...]

#: How Keras and TensorFlow 1 name the two directions, as a part of a path.
_WAYS = {
    "forward": "forward",
    "backward": "backward",
    "fw": "forward",
    "bw": "backward",
}
_WAY = re.compile(r"(?:^|/)(?:(?:forward|backward)(?=_)|(?:fw|bw)(?=/))")


def inspect_weights(
    path: str | os.PathLike, *, reset_after: bool | None = None
) -> WeightsFile:
    """Returns what GRUs a file holds; its content says of what format it is.

    Args:
        path: The file; of a TensorFlow checkpoint the name without `.index`.
        reset_after: The convention of Keras' GRUs without a bias, which nothing in
            their files shows.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is of no known format, or damaged, or a GRU in it cannot be
            read.

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
    path = Path(path)
    what = "it is damaged, cut short, or of no known format"
    with boundary(path, WeightsError, what):
        return _inspect(path, reset_after)


def _inspect(path: Path, reset_after: bool | None) -> WeightsFile:
    if path.name and path.with_name(path.name + ".index").exists():
        cells = tf1.read_tf1_checkpoint(path)
        return _single("tf1", cells)
    if path.is_dir():
        raise WeightsError("it is a folder. Give a file, or a checkpoint's name.")
    if not require_regular(path):
        raise WeightsError("it is empty.")
    with path.open("rb") as stream:
        start = stream.read(9)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return _keras(path, reset_after)
    if start.startswith(b"PK"):
        return _zip(path, reset_after)
    if start.startswith(b"\x80"):
        return _torch(containers.load_torch(path))
    if start[8:] == b"{":
        return _torch(containers.load_safetensors(path))
    layers = onnx_nodes.read_onnx(path)
    return WeightsFile("onnx", {name: (layer,) for name, layer in layers.items()})


def _zip(path: Path, reset_after: bool | None) -> WeightsFile:
    with open_zip(path) as file:
        if WEIGHTS in file.names:
            content = io.BytesIO(file.read(WEIGHTS))
            return _keras(content, reset_after, file.budget)
        is_torch = any(name.endswith("/data.pkl") for name in file.names)
    if is_torch:
        return _torch(containers.load_torch(path))
    arrays = containers.load_npz(path)
    mark = arrays.get("format")
    if mark is not None and mark.shape == () and str(mark) == npz_file.MARK:
        return WeightsFile("npz", {"gru": npz_file.from_npz_arrays(arrays)})
    return _torch(arrays)


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
    file: Path | io.BytesIO, reset_after: bool | None, budget: Budget | None = None
) -> WeightsFile:
    grus = keras_h5.read_keras_h5(file, reset_after, budget)
    cudnn = {name: is_cudnn for name, (_, is_cudnn) in grus.items()}
    weights = {name: weights for name, (weights, _) in grus.items()}
    known = bool(cudnn) and all(cudnn.values())
    return _single("cudnn_gru" if known else "keras", weights, known)


def _single(
    form: str, grus: dict[str, GRUWeights], activations_known: bool = True
) -> WeightsFile:
    """Returns the GRUs as layers, those of a Bidirectional as one."""
    pairs: dict[str, dict[str, GRUWeights]] = {}
    for name, weights in grus.items():
        found = _WAY.search(name)
        way = _WAYS[found[0].lstrip("/")] if found else "forward"
        scope = name[: found.start()] if found else name
        pair = pairs.setdefault(scope, {"forward": None})
        if pair.get(way) is not None:
            raise WeightsError(f"{scope or 'the file'}: two GRUs there run {way}.")
        pair[way] = weights
    stacks = {name or "gru": (GRULayer(**pair),) for name, pair in pairs.items()}
    return WeightsFile(form, stacks, activations_known)


def read_weights(
    path: str | os.PathLike,
    name: str | None = None,
    *,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    reset_after: bool | None = None,
) -> Stack:
    """Returns the layers of a GRU in a file; its content says of what format it is.

    Args:
        path: The file; of a TensorFlow checkpoint the name without `.index`.
        name: Which GRU, if there are several, by the names of `inspect_weights`.
        activation: The activation, where the file does not hold it; None for tanh.
        recurrent_activation: The recurrent activation, where the file does not hold
            it. Keras' files do not, and it must be given for them: "sigmoid" is the
            default of Keras 3 and of TensorFlow 2's GRU, "hard_sigmoid" that of
            Keras 1 and 2 and of TensorFlow r2.0's GRUCell.
        reset_after: The convention of a GRU of Keras without a bias.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: It is of no known format, or damaged; there is no GRU in it, or
            there are several and no name; an activation is not given, or is given
            and the file has another.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_weights, write_weights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> write_weights("gru.npz", weights, "npz")
        >>> read_weights("gru.npz")[0].forward == weights
        True
    """
    file = inspect_weights(path, reset_after=reset_after)
    known = ", ".join(map(repr, file.grus)) or "none"
    if name is None and len(file.grus) != 1:
        problem = "several GRUs: give name=" if file.grus else "no GRU"
        raise WeightsError(f"{path}: there is {problem}. There are: {known}.")
    if name is not None and name not in file.grus:
        raise WeightsError(f"{path}: there is no GRU {name!r}. There are: {known}.")
    stack = next(iter(file.grus.values())) if name is None else file.grus[name]
    given = {"activation": activation, "recurrent_activation": recurrent_activation}
    if file.activations_known:
        for layer in stack:
            for key, value in given.items():
                if value not in (None, getattr(layer, key)):
                    raise WeightsError(
                        f"{path}: {key} is {getattr(layer, key)} in the file; received "
                        f"{value!r}."
                    )
        return stack
    if recurrent_activation is None:
        raise WeightsError(
            f"{path}: Keras' weights do not say what the activations are. Give "
            'recurrent_activation=: "sigmoid" is the default of Keras 3 and of '
            'TensorFlow 2\'s GRU, "hard_sigmoid" that of Keras 1 and 2 and of '
            "TensorFlow r2.0's GRUCell."
        )
    activations = activation or "tanh", recurrent_activation
    return tuple(
        GRULayer(layer.forward, layer.backward, *activations) for layer in stack
    )
