"""Sonnet's `snt.GRU` in a checkpoint, and the layout that it shares with Haiku.

    w_i  (features, 3 * units)   z, r, a side by side
    w_h  (units, 3 * units)
    b    (3 * units,)

    z  = sigmoid(x Wz + h Uz + bz)
    r  = sigmoid(x Wr + h Ur + br)
    a  = tanh(x Wa + (r * h) Ua + ba)
    h' = (1 - z) * h + z * a

Sonnet's z is 1 - z here: its columns are negated. The reset gate is applied before the
recurrent product. In a checkpoint, an object has the variables `_w_i`, `_w_h` and `b`:
`module` with `tf.train.Checkpoint(module=core)`, `module/_layers/0` and so on with a
`snt.DeepRNN`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading.checkpoint import ObjectCheckpoint
from tf_gru_addon.weights.arrays import arrays_named, expect_shape, units_of
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import GateOrder, LayoutArray
from tf_gru_addon.weights.limits import require_activations, require_reset
from tf_gru_addon.weights.weights_file import WeightsFile

NAMES = ("w_i", "w_h", "b")
ORDER = GateOrder("zrh", update_negated=True)
CANNOT_HOLD = (
    "reset after; activations other than tanh and sigmoid; a layer that runs backward"
)
LAYOUT = (
    LayoutArray("w_i", "(features, 3 units)", ("-Wz Wr Wh",)),
    LayoutArray("w_h", "(units, 3 units)", ("-Uz Ur Uh",)),
    LayoutArray("b", "(3 units,)", ("-bz br bh",)),
)
_VARIABLES = ("_w_i", "_w_h", "b")


def from_sonnet(arrays: Mapping[str, Any], what: str = "Sonnet's GRU") -> GRUWeights:
    """Returns the weights of an `snt.GRU` or `hk.GRU`.

    Args:
        arrays: The arrays "w_i", "w_h" and "b".
        what: The GRU, as errors name it.

    Raises:
        WeightsError: An array is missing or surplus, or has another shape or dtype.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights.formats.sonnet import from_sonnet
        >>> arrays = {"w_i": np.ones((3, 6)), "w_h": np.ones((2, 6)), "b": np.ones(6)}
        >>> from_sonnet(arrays).describe()
        '3 features, 2 units, reset before, one bias a gate, float64, 36 parameters'
    """
    w_i, w_h, b = arrays_named(arrays, NAMES, what)
    units = units_of(w_h, "w_h", 3)
    expect_shape(w_h, "w_h", (units, 3 * units), "(units, 3 * units)")
    expect_shape(w_i, "w_i", (None, 3 * units), "(features, 3 * units)")
    expect_shape(b, "b", (3 * units,), "(3 * units,)")
    kernel, recurrent_kernel, bias = map(ORDER.to_canonical, (w_i, w_h, b))
    return GRUWeights(kernel, recurrent_kernel, bias, reset_after=False)


def to_sonnet(layer: GRULayer, who: str = "Sonnet's GRU") -> dict[str, np.ndarray]:
    """Returns the arrays of an `snt.GRU` or `hk.GRU`, by name.

    Args:
        layer: A forward layer. A missing bias becomes zeros, as these GRUs have one.
        who: The framework's GRU, as errors name it.

    Raises:
        WeightsError: The layer runs backward, has `reset_after`, or other activations
            than tanh and sigmoid.
    """
    if layer.backward is not None or layer.forward is None:
        raise WeightsError(
            f"{who} runs forward, and this layer is {layer.direction}. Write each "
            "direction by itself."
        )
    require_reset(layer, who, after=False)
    require_activations(layer, who)
    arrays = map(ORDER.from_canonical, layer.forward.with_bias().arrays())
    return dict(zip(NAMES, arrays, strict=True))


def why_not(candidate: Candidate) -> str | None:
    """Returns why a file is no checkpoint of Sonnet's; None if it is one."""
    if candidate.variables is None:
        return "not a TensorFlow checkpoint"
    end = "/_w_h/.ATTRIBUTES/VARIABLE_VALUE"
    if not any(f"/{name}".endswith(end) for name in candidate.variables):
        return "a checkpoint without the variable _w_h of an snt.GRU"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    checkpoint = ObjectCheckpoint(path)
    grus: dict[str, Stack] = {}
    for place, variables in checkpoint.objects():
        shape = checkpoint.shape(variables["_w_h"]) if "_w_h" in variables else ()
        if len(shape) != 2 or shape[1] != 3 * shape[0]:
            continue  # Sonnet's LSTM has the same names
        arrays = {
            name: checkpoint.read(variables[variable])
            for name, variable in zip(NAMES, _VARIABLES, strict=True)
            if variable in variables
        }
        name = place or "gru"
        grus[name] = (GRULayer(from_sonnet(arrays, name)),)
    return WeightsFile("sonnet", grus)


def _write(path: Path, stack: Stack) -> None:
    import tensorflow as tf

    cores = []
    for layer in stack:
        with tf.device("CPU"):
            variables = map(tf.Variable, to_sonnet(layer).values())
            named = dict(zip(_VARIABLES, variables, strict=True))
            cores.append(tf.train.Checkpoint(**named))
    module = tf.train.Checkpoint(_layers=cores) if len(cores) > 1 else cores[0]
    tf.train.Checkpoint(module=module).write(str(path))


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import sonnet
    import tensorflow as tf

    cores = []
    for layer in stack:
        dtype = tf.as_dtype(layer.dtype)
        core = sonnet.GRU(layer.units, dtype=dtype)
        core(tf.zeros([1, layer.features], dtype), tf.zeros([1, layer.units], dtype))
        cores.append(core)
    module = sonnet.DeepRNN(cores) if len(cores) > 1 else cores[0]
    checkpoint = tf.train.Checkpoint(module=module)
    checkpoint.read(str(path)).assert_existing_objects_matched().expect_partial()
    y = tf.constant(x.transpose(1, 0, 2))
    for core, layer in zip(cores, stack, strict=True):
        inputs = tf.cast(y, tf.as_dtype(layer.dtype))
        y, _ = sonnet.static_unroll(core, inputs, core.initial_state(len(x)))
    return np.asarray(y, np.float64).transpose(1, 0, 2)


FORMAT = Format(
    name="sonnet",
    file="a TensorFlow checkpoint of a Sonnet `snt.GRU`, by its name without `.index`",
    why_not=why_not,
    read=_read,
    write=_write,
    cannot_hold=CANNOT_HOLD,
    gate_order="z r a",
    activations="fixed",
    peer=Peer("Sonnet", "sonnet", _run),
    layouts={"Sonnet and Haiku (reset before)": LAYOUT},
)
