"""The variables of TensorFlow 1's GRU cells, and the checkpoints that hold them.

`tf.nn.rnn_cell.GRUCell` (also TensorFlow r2.0's `tf.compat.v1.nn.rnn_cell.GRUCell`) and
`GRUBlockCellV2`, the reset gate before the recurrent product:

    gates/kernel      (features + units, 2 * units)   r | z, the inputs above the state
    gates/bias        (2 * units,)
    candidate/kernel  (features + units, units)
    candidate/bias    (units,)

`GRUBlockCell` names them `w_ru`, `b_ru`, `w_c`, `b_c`. Up to TensorFlow 1.1, `kernel`
and `bias` are `weights` and `biases`. `CudnnCompatibleGRUCell`, and `CudnnGRU` in a
checkpoint, apply the reset gate after the recurrent product:

    gates/kernel, gates/bias           as above; the bias is the sum of both
    candidate/input_projection/kernel  (features, units), and its bias (units,)
    candidate/hidden_projection/kernel (units, units), and its bias (units,)
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
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
from tf_gru_addon.weights.directions import FoundGRU, weights_file
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import GateOrder, LayoutArray
from tf_gru_addon.weights.limits import (
    only_forward,
    require_activations,
    require_weights,
)
from tf_gru_addon.weights.weights_file import WeightsFile

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
_GATES = GateOrder("rz")
#: The scope of the cell in a file that `write_weights` wrote: tf.nn.dynamic_rnn's.
_SCOPE = "rnn/gru_cell"
#: What every object-based checkpoint of TensorFlow 2 has.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
#: An optimizer's variables, which end as the cell's do: "Adam/m/rnn/gru_cell/...".
_OF_OPTIMIZER = re.compile(
    r"(?:^|/)(?:Ada(?:m\w*|grad|delta|factor)|Ftrl|Lion|Nadam|RMSprop|SGD)(?:_\d+)?"
    r"/[a-z_]+/"
)


def from_tf1_variables(variables: Mapping[str, Any]) -> GRUWeights:
    """Returns the weights that a cell's variables hold.

    Args:
        variables: The arrays by their names within the cell: "gates/kernel", ... The
            module's docstring lists names and shapes.

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
        np.concatenate([_GATES.to_canonical(gates[:features]), kernel], axis=1),
        np.concatenate(
            [_GATES.to_canonical(gates[features:]), recurrent_kernel], axis=1
        ),
        _bias(_GATES.to_canonical(gates_bias), biases),
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
        weights: The weights. With `reset_after=False` they become a `GRUCell`'s; with
            `reset_after=True` a `CudnnCompatibleGRUCell`'s, and the two biases of z,
            and of r, are added up. A missing bias becomes zeros.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_tf1_variables
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> {k: v.shape for k, v in to_tf1_variables(weights).items()}
        {'gates/kernel': (5, 4), 'gates/bias': (4,), 'candidate/kernel': (5, 2),
         'candidate/bias': (2,)}
    """
    require_weights(weights)
    weights = weights.fold_biases()
    both = np.concatenate([weights.kernel, weights.recurrent_kernel])
    bias, *recurrent_bias = weights.bias_or_zeros.reshape(-1, 3 * weights.units)
    gates, candidate = np.split(both, [2 * weights.units], axis=1)
    gates_bias, candidate_bias = np.split(bias, [2 * weights.units])
    arrays = [_GATES.from_canonical(gates), _GATES.from_canonical(gates_bias)]
    if not weights.reset_after:
        arrays += [candidate.copy(), candidate_bias.copy()]
        return dict(zip(_PLAIN, arrays, strict=True))
    kernel, recurrent_kernel = np.split(candidate, [weights.features])
    hidden_bias = recurrent_bias[0][2 * weights.units :]
    arrays += [kernel.copy(), candidate_bias.copy()]
    arrays += [recurrent_kernel.copy(), hidden_bias.copy()]
    return dict(zip(_CUDNN, arrays, strict=True))


def read_tf1_checkpoint(path: str | os.PathLike[str]) -> dict[str, GRUWeights]:
    """Returns the weights of all GRU cells in a checkpoint, by scope.

    Args:
        path: The checkpoint: the files' name without `.index` or `.data-...`. The
            oldest checkpoints are a single file; then its path.

    Raises:
        WeightsError: It cannot be read, or a variable of a cell is missing.

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


def read_tf1_cells(path: str | os.PathLike[str]) -> dict[str, tuple[GRUWeights, bool]]:
    """Returns the weights by scope, and whether the activation is known to be tanh.

    It is for `GRUBlockCell` and `CudnnCompatibleGRUCell`. The other variables are those
    of a `GRUCell`, whose activation can be any; a checkpoint does not state it. All
    these cells have sigmoid gates.
    """
    import tensorflow as tf

    path = os.fspath(arguments.path("path", path))
    what = "not a TensorFlow checkpoint, or a damaged one"
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
    found = {}
    for scope, variables in arrays.items():
        try:
            weights = from_tf1_variables(variables)
        except WeightsError as error:
            raise WeightsError(f"{path}: {scope or 'the cell'}: {error}") from error
        found[scope] = weights, weights.reset_after or "w_ru" in variables
    return found


def _cells(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Returns, by scope and ending, the names of the cells' variables."""
    cells: dict[str, dict[str, str]] = {}
    for name in names:
        for ending in () if _OF_OPTIMIZER.search(name) else _ENDINGS:
            if name == ending or name.endswith("/" + ending):
                scope = name[: -len(ending)].rstrip("/")
                cells.setdefault(scope, {})[ending] = name
    # The gates identify a cell. Another layer may be named "candidate".
    gates = {"gates/kernel", "gates/weights", "w_ru"}
    return {scope: cell for scope, cell in cells.items() if gates & set(cell)}


def write_tf1_checkpoint(
    path: str | os.PathLike[str], cells: Mapping[str, GRUWeights]
) -> None:
    """Writes a checkpoint from which TensorFlow 1 restores the variables of cells.

    Args:
        path: The checkpoint, without `.index` or `.data-...`.
        cells: The weights by scope. The scope of `tf.nn.dynamic_rnn(GRUCell(units), x)`
            is "rnn/gru_cell".

    Raises:
        WeightsError: A file exists already, or `cells` is empty.
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


def _why_not(candidate: Candidate) -> str | None:
    names = candidate.variables
    if names is None:
        return "no checkpoint: there is no such file with .index appended"
    if _OBJECT_GRAPH in names and not _cells(names):
        return "an object-based checkpoint of TensorFlow 2"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    found = {
        name: FoundGRU(weights, "tanh" if tanh else None, "sigmoid")
        for name, (weights, tanh) in read_tf1_cells(path).items()
    }
    return weights_file("tf1", found)


def _write(path: Path, stack: Stack) -> None:
    who = "A TensorFlow 1 cell"
    weights = only_forward(stack, who)
    if weights.reset_after:
        require_activations(stack[0], who)
    else:  # a GRUCell has any activation, which the checkpoint does not state
        require_activations(stack[0], who, ("recurrent_activation",))
    write_tf1_checkpoint(path, {_SCOPE: weights})


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray | None:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    names = to_tf1_variables(stack[0].directions[0])
    cell = {name: reader.get_tensor(f"{_SCOPE}/{name}") for name in names}
    if stack[0].reset_after:
        return None  # TensorFlow 2 has no CudnnCompatibleGRUCell
    with tf.device("CPU"):
        cell = {name: tf.cast(array, tf.float32) for name, array in cell.items()}
        h = tf.zeros([len(x), stack[0].units])
        outputs = []
        for inputs in tf.unstack(tf.constant(x, tf.float32), axis=1):
            *_, h = tf.raw_ops.GRUBlockCell(
                x=inputs,
                h_prev=h,
                w_ru=cell["gates/kernel"],
                b_ru=cell["gates/bias"],
                w_c=cell["candidate/kernel"],
                b_c=cell["candidate/bias"],
            )
            outputs.append(h)
        return np.asarray(tf.stack(outputs, axis=1))


_GATE_ARRAYS = (
    LayoutArray("gates/kernel", "(features + units, 2 units)", ("Wr Wz", "Ur Uz")),
    LayoutArray("gates/bias", "(2 units,)", ("br bz",)),
)
FORMAT = Format(
    name="tf1",
    file="a TensorFlow 1 checkpoint; written: one cell, of the scope `rnn/gru_cell`",
    suffixes=(".ckpt",),
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold=(
        "several layers; a layer that runs backward; recurrent activations other than "
        "sigmoid; with reset after, activations other than tanh"
    ),
    gate_order="r z (gates), h (candidate)",
    activations="unstated",
    peer=Peer("TensorFlow", "tensorflow", _run),
    layouts={
        "TensorFlow 1 GRUCell, GRUBlockCell (reset before)": (
            *_GATE_ARRAYS,
            LayoutArray("candidate/kernel", "(features + units, units)", ("Wh", "Uh")),
            LayoutArray("candidate/bias", "(units,)", ("bh",)),
        ),
        "TensorFlow 1 CudnnCompatibleGRUCell (reset after)": (
            *_GATE_ARRAYS,
            LayoutArray("input_projection", "kernel, bias", ("Wh", "bih")),
            LayoutArray("hidden_projection", "kernel, bias", ("Uh", "boh")),
        ),
    },
)
