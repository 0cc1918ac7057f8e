"""The ONNX nodes of a GRU layer.

ONNX's GRU has Keras' equations and gate order, z r h, but not Keras' masks: it takes
lengths, and outputs 0 where Keras repeats the last output. With a mask, the unmasked
timesteps of each row are therefore gathered to its front, the GRU runs with their
number as the length, and its outputs are gathered back. This is exact for any mask. A
row without unmasked timesteps has length 1, and its output is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import activations
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.cut import Cut
from tf_gru_addon.layers.gru_cell import GRUCell

#: ONNX's name of each activation, and its alpha and beta if it has them.
_ACTIVATIONS: dict[Callable[..., Any], tuple[str, list[float], list[float]]] = {
    keras.activations.sigmoid: ("Sigmoid", [], []),
    tf.sigmoid: ("Sigmoid", [], []),
    keras.activations.tanh: ("Tanh", [], []),
    tf.tanh: ("Tanh", [], []),
    keras.activations.relu: ("Relu", [], []),
    tf.nn.relu: ("Relu", [], []),
    activations.hard_sigmoid: ("HardSigmoid", [0.2], [0.5]),
    keras.activations.hard_sigmoid: ("HardSigmoid", [1 / 6], [0.5]),
    keras.activations.linear: ("Affine", [1.0], [0.0]),
    keras.activations.elu: ("Elu", [1.0], []),
    keras.activations.softplus: ("Softplus", [], []),
    keras.activations.softsign: ("Softsign", [], []),
}


def require_supported(cut: Cut) -> None:
    """Raises an ExportError that names the layer if ONNX's GRU cannot do the call."""
    layer = cut.layer
    for name in ("activation", "recurrent_activation"):
        function = getattr(layer, name)
        if function not in _ACTIVATIONS:
            called = getattr(function, "__name__", type(function).__name__)
            known = ", ".join(sorted({f.__name__ for f in _ACTIVATIONS}))
            raise ExportError(
                f"{layer.name}: ONNX's GRU has no counterpart of the {name} {called}. "
                f"It has {known}. Train with one of these, or export a SavedModel."
            )
    if layer.compute_dtype != "float32":
        raise ExportError(
            f"{layer.name}: ONNX Runtime's GRU computes in float32, but the layer in "
            f"{layer.compute_dtype}. Build the model again with the dtype float32, and "
            "set the weights of this one."
        )


class Nodes:
    """Nodes and constants to add to a graph.

    Args:
        prefix: The prefix of their names.
    """

    def __init__(self, prefix: str) -> None:
        import onnx

        self._onnx = onnx
        self._prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        """Adds a constant, and returns its name."""
        name = f"{self._prefix}/constant_{len(self.constants)}"
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        self.constants.append(self._onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Adds a node with one output, and returns the output's name."""
        output = output or f"{self._prefix}/{op}_{len(self.nodes)}"
        self.add_all(op, inputs, [output], **attributes)
        return output

    def add_all(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """Adds a node with these inputs and outputs."""
        name = f"{self._prefix}/{op}_{len(self.nodes)}"
        self.nodes.append(
            self._onnx.helper.make_node(op, inputs, outputs, name=name, **attributes)
        )

    def cast(self, value: str, dtype: str) -> str:
        """Adds a cast to the ONNX dtype with this name."""
        return self.add("Cast", value, to=getattr(self._onnx.TensorProto, dtype))


def gru_nodes(cut: Cut, state: str = "") -> Nodes:
    """Returns the nodes of one call.

    They read NAME_x, NAME_h and NAME_mask, and write NAME_y and NAME_s: see `Cut.name`.

    Args:
        cut: The call.
        state: The name of the tensor with the state of a stateful layer.
    """
    g = Nodes(cut.name)
    h0 = {"zeros": "", "given": f"{cut.name}_h", "kept": state}[cut.initial_state]
    if cut.masked:
        output, last = _masked(g, cut, h0)
    else:
        x = g.add("Transpose", f"{cut.name}_x", perm=[1, 0, 2])
        direction = "reverse" if cut.go_backwards else "forward"
        outputs, last = _gru(g, cut, x, h0, direction=direction)
        output = g.add("Transpose", outputs, perm=[1, 0, 2])
        output = output if cut.return_sequences else last
    if cut.return_sequences and cut.go_backwards:
        g.add("Slice", output, *map(g.constant, _REVERSED), output=f"{cut.name}_y")
    else:
        g.add("Identity", output, output=f"{cut.name}_y")
    g.add("Identity", last, output=f"{cut.name}_s")
    return g


_REVERSED = ([-1], [-(2**63)], [1], [-1])  # from, to, axis, step


def _masked(g: Nodes, cut: Cut, h0: str) -> tuple[str, str]:
    """Adds a call with a mask; returns its output, in time order, and its state."""
    mask = f"{cut.name}_mask"
    zero, one, first, second = map(g.constant, (0, 1, [0], [1]))
    unmasked = g.cast(mask, "INT64")  # [B, T]
    timesteps = g.add("Gather", g.add("Shape", mask), one)
    count = g.add("ReduceSum", unmasked, second, keepdims=1)  # [B, 1]

    # The unmasked timesteps in the order that the GRU reads them, then the others.
    steps = g.add("Range", zero, timesteps, one)
    rank = g.add("Mul", unmasked, timesteps)
    rank = g.add("Add" if cut.go_backwards else "Sub", rank, steps)
    order = f"{cut.name}/order"
    g.add_all(
        "TopK",
        [rank, g.add("Unsqueeze", timesteps, first)],
        [f"{order}_rank", order],
        axis=1,
    )
    x = _gather_steps(g, f"{cut.name}_x", order)
    lengths = g.add("Max", count, one)
    outputs, _ = _gru(
        g,
        cut,
        g.add("Transpose", x, perm=[1, 0, 2]),
        h0,
        lengths=g.cast(g.add("Squeeze", lengths, second), "INT32"),
    )

    # Not the node's own last state, because OpenVINO ignores the lengths for it.
    rows = g.add("Range", zero, g.add("Gather", g.add("Shape", mask), zero), one)
    ends = [g.add("Sub", lengths, one), g.add("Unsqueeze", rows, second)]
    last = g.add("GatherND", outputs, g.add("Concat", *ends, axis=1))  # [B, U]
    some = g.add("Greater", count, zero)
    initial = h0 or g.constant(np.zeros([1, cut.layer.units]), np.float32)
    state = g.add("Where", some, last, initial)
    nothing = g.constant(0, np.float32)
    if not cut.return_sequences:
        if cut.zero_output_for_mask:
            some = g.add(
                "Gather", mask, g.constant([0 if cut.go_backwards else -1]), axis=1
            )
        return g.add("Where", some, last, nothing), state

    until = g.add("CumSum", unmasked, one, reverse=int(cut.go_backwards))
    index = g.add("Max", g.add("Sub", until, one), zero)
    y = _gather_steps(g, g.add("Transpose", outputs, perm=[1, 0, 2]), index)
    has_output = mask if cut.zero_output_for_mask else g.add("Greater", until, zero)
    return g.add(
        "Where", g.add("Unsqueeze", has_output, g.constant([2])), y, nothing
    ), state


def _gather_steps(g: Nodes, values: str, steps: str) -> str:
    """Adds a gather of values, [B, T, N], at the timesteps [B, T] of each row."""
    steps = g.add("Unsqueeze", steps, g.constant([2]))
    return g.add("GatherND", values, steps, batch_dims=1)


def _gru(
    g: Nodes, cut: Cut, x: str, h0: str, lengths: str = "", direction: str = "forward"
) -> tuple[str, str]:
    """Adds the GRU node; returns its outputs, [T, B, U], and last state, [B, U]."""
    cell = cut.layer.cell
    chosen = [_ACTIVATIONS[f] for f in (cell.recurrent_activation, cell.activation)]
    # ONNX lists only the parameters of the activations that have any.
    parameters = {
        "activation_alpha": [a for _, alpha, _ in chosen for a in alpha],
        "activation_beta": [b for _, _, beta in chosen for b in beta],
    }
    outputs, last = f"{cut.name}/outputs", f"{cut.name}/last_state"
    g.add_all(
        "GRU",
        [
            x,
            g.constant(np.asarray(cell.kernel).T[np.newaxis], np.float32),
            g.constant(np.asarray(cell.recurrent_kernel).T[np.newaxis], np.float32),
            g.constant(_bias(cell), np.float32),
            lengths,
            g.add("Unsqueeze", h0, g.constant([0])) if h0 else "",
        ],
        [outputs, last],
        hidden_size=cell.units,
        direction=direction,
        linear_before_reset=int(cell.reset_after),
        activations=[name for name, _, _ in chosen],
        **{name: values for name, values in parameters.items() if values},
    )
    return (
        g.add("Squeeze", outputs, g.constant([1])),
        g.add("Squeeze", last, g.constant([0])),
    )


def _bias(cell: GRUCell) -> np.ndarray:
    """Returns the input biases and then the recurrent ones, (1, 6 * units)."""
    bias = np.zeros([2, 3 * cell.units])
    if cell.use_bias:
        bias[: 2 if cell.reset_after else 1] = np.asarray(cell.bias)
    return bias.reshape(1, -1)
