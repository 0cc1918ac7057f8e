"""The variables of TensorFlow 1's GRU cells, and the checkpoints that hold them.

`tf.nn.rnn_cell.GRUCell` (also TensorFlow r2.0's `tf.compat.v1.nn.rnn_cell.GRUCell`) and
`GRUBlockCellV2`, the reset gate before the recurrent product:

    gates/kernel      (features + units, 2 * units)   r | z, the inputs above the state
    gates/bias        (2 * units,)
    candidate/kernel  (features + units, units)
    candidate/bias    (units,)

`GRUBlockCell` calls the same `w_ru`, `b_ru`, `w_c`, `b_c`; TensorFlow 1.1 and before
had `weights` and `biases` for `kernel` and `bias`. `CudnnCompatibleGRUCell`, and
`CudnnGRU` in a checkpoint, have the reset gate after the recurrent product:

    gates/kernel, gates/bias           as above; the sum of the two biases
    candidate/input_projection/kernel  (features, units), and its bias (units,)
    candidate/hidden_projection/kernel (units, units), and its bias (units,)
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.reading import boundary
from tf_gru_addon.reading.checkpoint import checkpoint_budget
from tf_gru_addon.weights.arrays import (
    arrays_named,
    expect_shape,
    natural,
    units_of,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.limits import require_weights

_PLAIN = ("gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias")
_CUDNN = (
    "gates/kernel",
    "gates/bias",
    "candidate/input_projection/kernel",
    "candidate/input_projection/bias",
    "candidate/hidden_projection/kernel",
    "candidate/hidden_projection/bias",
)
#: Other names of the same arrays.
_SYNONYMS = {
    "w_ru": "gates/kernel",
    "b_ru": "gates/bias",
    "w_c": "candidate/kernel",
    "b_c": "candidate/bias",
    "gates/weights": "gates/kernel",
    "gates/biases": "gates/bias",
    "candidate/weights": "candidate/kernel",
    "candidate/biases": "candidate/bias",
}
_ENDINGS = (*_SYNONYMS, *dict.fromkeys((*_PLAIN, *_CUDNN)))
#: What every TensorFlow 2 checkpoint has.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
#: An optimizer's variables, which end as the cell's do: "Adam/m/rnn/gru_cell/...".
_OF_OPTIMIZER = re.compile(
    r"(?:^|/)(?:Ada(?:m\w*|grad|delta|factor)|Ftrl|Lion|Nadam|RMSprop|SGD)(?:_\d+)?"
    r"/[a-z_]+/"
)


def from_tf1_variables(variables: Mapping[str, Any]) -> GRUWeights:
    """Returns the weights of a cell's variables.

    Args:
        variables: The arrays by their names within the cell: "gates/kernel", ...

    Raises:
        WeightsError: An array is missing or surplus, or has another shape.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import from_tf1_variables
        >>> variables = {
        ...     "gates/kernel": np.ones((3 + 2, 4)),
        ...     "gates/bias": np.ones(4),
        ...     "candidate/kernel": np.ones((3 + 2, 2)),
        ...     "candidate/bias": np.zeros(2),
        ... }
        >>> from_tf1_variables(variables).describe()
        '3 features, 2 units, reset before, one bias a gate, float64, 36 parameters'
    """
    arguments.mapping("variables", variables, "a dict of arrays")
    named = {_SYNONYMS.get(name, name): array for name, array in variables.items()}
    if len(named) != len(variables):
        raise WeightsError(
            "The variables hold one array under two names; received "
            f"{', '.join(variables)}."
        )
    after = any("projection" in name for name in named)
    gates, gates_bias, *candidate = arrays_named(
        named, _CUDNN if after else _PLAIN, "A TensorFlow 1 GRU cell"
    )
    features, units = _sizes(gates, gates_bias)
    if after:
        kernel, bias, recurrent_kernel, recurrent_bias = candidate
        biases = [bias, recurrent_bias]
    else:
        both = "(features + units, units)"
        expect_shape(candidate[0], "candidate/kernel", (features + units, units), both)
        kernel, recurrent_kernel = np.split(candidate[0], [features])
        biases = [candidate[1]]
    name = "candidate/{}_projection/kernel".format
    expect_shape(kernel, name("input"), (features, units), "(features, units)")
    expect_shape(recurrent_kernel, name("hidden"), (units, units), "(units, units)")
    for bias in biases:
        expect_shape(bias, "each bias of candidate", (units,), "(units,)")
    return GRUWeights(
        np.concatenate([_z_r(gates[:features]), kernel], axis=1),
        np.concatenate([_z_r(gates[features:]), recurrent_kernel], axis=1),
        _bias(_z_r(gates_bias), biases),
        reset_after=after,
    )


def _sizes(gates: np.ndarray, bias: np.ndarray) -> tuple[int, int]:
    """Returns the features and the units, of the gates' checked arrays."""
    units = units_of(bias, "gates/bias", 2)
    expect_shape(bias, "gates/bias", (2 * units,), "(2 * units,)")
    words = "(features + units, 2 * units)"
    expect_shape(gates, "gates/kernel", (None, 2 * units), words)
    features = gates.shape[0] - units
    if features < 1:
        raise WeightsError(
            f"gates/kernel must have the shape {words}, and gates/bias shows {units} "
            f"units; received {gates.shape}."
        )
    return features, units


def _z_r(gates: np.ndarray) -> np.ndarray:
    """Exchanges r and z."""
    return np.concatenate(np.split(gates, 2, axis=-1)[::-1], axis=-1)


def _bias(gates: np.ndarray, candidate: list[np.ndarray]) -> np.ndarray:
    if len(candidate) == 1:
        return np.concatenate([gates, candidate[0]])
    return np.stack(
        [
            np.concatenate([gates, candidate[0]]),
            np.concatenate([np.zeros_like(gates), candidate[1]]),
        ]
    )


def to_tf1_variables(weights: GRUWeights) -> dict[str, np.ndarray]:
    """Returns the variables of a TensorFlow 1 cell that computes the same.

    Args:
        weights: The weights. Those of `reset_after=False` become a `GRUCell`'s; those
            of `reset_after=True` a `CudnnCompatibleGRUCell`'s, the two biases of z and
            of r folded into one. A bias that there is not becomes zeros.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_tf1_variables
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> {k: v.shape for k, v in to_tf1_variables(weights).items()}
        {'gates/kernel': (5, 4), 'gates/bias': (4,), 'candidate/kernel': (5, 2),
         'candidate/bias': (2,)}
    """
    require_weights(weights)
    weights = weights.with_bias().fold_biases()
    units = weights.units
    gates = np.concatenate([weights.kernel, weights.recurrent_kernel])[:, : 2 * units]
    candidate = weights.candidate
    bias = weights.bias[0] if weights.reset_after else weights.bias
    variables = {"gates/kernel": _z_r(gates), "gates/bias": _z_r(bias[: 2 * units])}
    if weights.reset_after:
        arrays = [
            candidate.kernel,
            candidate.bias[0],
            candidate.recurrent_kernel,
            candidate.bias[1],
        ]
        return variables | {
            name: array.copy() for name, array in zip(_CUDNN[2:], arrays, strict=True)
        }
    kernel = np.concatenate([candidate.kernel, candidate.recurrent_kernel])
    return variables | {
        "candidate/kernel": kernel,
        "candidate/bias": candidate.bias.copy(),
    }


def read_tf1_checkpoint(path: str | os.PathLike) -> dict[str, GRUWeights]:
    """Returns the weights of all the GRU cells in a checkpoint, by their scopes.

    Args:
        path: The checkpoint, as TensorFlow calls it: the files' name without `.index`
            or `.data-...` (or, of the oldest checkpoints, the file itself).

    Raises:
        WeightsError: It cannot be read, or the variables of a cell are not complete.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import (
        ...     GRUWeights, read_tf1_checkpoint, write_tf1_checkpoint
        ... )
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> write_tf1_checkpoint("model.ckpt", {"rnn/gru_cell": weights})
        >>> read_tf1_checkpoint("model.ckpt")["rnn/gru_cell"] == weights
        True
    """
    return {scope: weights for scope, (weights, _) in read_tf1_cells(path).items()}


def read_tf1_cells(path: str | os.PathLike) -> dict[str, tuple[GRUWeights, bool]]:
    """Returns what `read_tf1_checkpoint` does, and whether each cell's kind is known.

    `GRUBlockCell` and `CudnnCompatibleGRUCell` have the activation tanh. The variables
    of the others are those of a `GRUCell`, which can have any; nothing in a checkpoint
    shows which. The gates of all of them are sigmoids.
    """
    import tensorflow as tf

    path = os.fspath(arguments.path("path", path))
    what = "not a TensorFlow checkpoint, or one that is damaged"
    remedy = "Give the name without .index or .data-00000-of-00001."
    with boundary(path, WeightsError, what, remedy):
        budget = checkpoint_budget(path)
        reader = tf.train.load_checkpoint(path)
        shapes = reader.get_variable_to_shape_map()
        dtypes = reader.get_variable_to_dtype_map()
        cells = _cells(sorted(shapes, key=natural))
        for cell in cells.values():
            for name in cell.values():
                size = math.prod(shapes[name]) * dtypes[name].size
                budget.take(size, f"the variable {name!r}")
        arrays = {
            scope: {ending: reader.get_tensor(name) for ending, name in cell.items()}
            for scope, cell in cells.items()
        }
    if not cells and _OBJECT_GRAPH in shapes:
        raise WeightsError(
            f"{path}: a TensorFlow 2 checkpoint, of objects. Only those of TensorFlow "
            "1, which have names of variables, are read. Load it into its model and "
            'save that: model.save_weights("model.weights.h5").'
        )
    found = {}
    for scope, variables in arrays.items():
        try:
            weights = from_tf1_variables(variables)
        except WeightsError as error:
            raise WeightsError(f"{path}: {scope or 'the cell'}: {error}") from error
        found[scope] = weights, weights.reset_after or "w_ru" in variables
    return found


def _cells(names: list[str]) -> dict[str, dict[str, str]]:
    """Returns by scope the names of a cell's variables, by their endings."""
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        for ending in () if _OF_OPTIMIZER.search(name) else _ENDINGS:
            if name == ending or name.endswith("/" + ending):
                scope = name[: -len(ending)].rstrip("/")
                cells.setdefault(scope, {})[ending] = name
    # A cell is known by its gates; another layer may well be called "candidate".
    gates = {"gates/kernel", "gates/weights", "w_ru"}
    return {scope: cell for scope, cell in cells.items() if gates & set(cell)}


def write_tf1_checkpoint(
    path: str | os.PathLike, cells: Mapping[str, GRUWeights]
) -> None:
    """Writes a checkpoint from which TensorFlow 1 restores the cells' variables.

    Args:
        path: The checkpoint, without `.index` or `.data-...`.
        cells: The weights by their scopes: `tf.nn.dynamic_rnn(GRUCell(units), x)` has
            "rnn/gru_cell".

    Raises:
        WeightsError: Something is there already, or there is nothing to write.
    """
    import tensorflow as tf

    path = os.fspath(arguments.path("path", path))
    arguments.mapping("cells", cells, "a dict of GRUWeights by their scopes")
    arrays = {}
    for scope, weights in cells.items():
        if not isinstance(weights, GRUWeights):
            raise WeightsError(
                f"cells[{scope!r}] must be GRUWeights; received a "
                f"{type(weights).__name__}."
            )
        for name, array in to_tf1_variables(weights).items():
            arrays[f"{scope}/{name}" if scope else name] = array
    if not arrays:
        raise WeightsError("A checkpoint needs at least one cell; received none.")
    for ending in ("", ".index", ".data-00000-of-00001"):
        if os.path.exists(path + ending):
            raise WeightsError(f"{path + ending} exists already. Choose another name.")
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
