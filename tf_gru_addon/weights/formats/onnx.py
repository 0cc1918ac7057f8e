"""ONNX's `GRU` nodes.

    W  (directions, 3 * units, features)   z, r, h, one below the other
    R  (directions, 3 * units, units)
    B  (directions, 6 * units)             three input biases, three recurrent ones

`direction` is forward, reverse or bidirectional. `linear_before_reset=1` applies the
reset gate after the recurrent product. 0, the default, applies it before; then only the
sum of a gate's two biases counts. `layout` concerns the sequences, not the weights.
`sequence_lens` and `initial_h` are inputs of a node, not weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.reading import FileRefusedError, boundary, require_regular
from tf_gru_addon.weights.arrays import expect_shape, finite_array, units_of
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.formats.onnx_activations import (
    activations_for,
    activations_of,
)
from tf_gru_addon.weights.formats.onnx_constants import Constants, Tensors
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import LayoutArray
from tf_gru_addon.weights.packages import require_package
from tf_gru_addon.weights.recognise import not_weights
from tf_gru_addon.weights.weights_file import WeightsFile

if TYPE_CHECKING:
    import onnx

_DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}
#: The suffixes of ONNX models, including those for which ONNX picks another encoding.
_SUFFIXES = (".onnx", ".onnxtxt")
#: The keys of the fields that may follow the version in a ModelProto.
_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42"


def read_onnx(model: onnx.ModelProto | str | os.PathLike[str]) -> dict[str, GRULayer]:
    """Returns all GRU nodes of a model, by name, in the order of the graph.

    A node without a name gets the name of its first output.

    Args:
        model: The model, or the path of its file.

    Raises:
        WeightsError: It is not an ONNX model, the weights of a node are not constant,
            or a node has what no layer here supports: `clip`, two directions with
            different activations, an activation without a counterpart.
        ImportError: onnx is not installed.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_onnx, to_onnx
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> layers = read_onnx(to_onnx(weights))
        >>> layers["gru"].forward == weights
        True
    """
    require_package("onnx", "ONNX models")
    import onnx

    if isinstance(model, onnx.ModelProto):
        return _layers(model, Tensors(model.ByteSize()))
    path = os.fspath(arguments.path("model", model))
    with boundary(path, WeightsError, "not an ONNX model, or one cut short"):
        size = require_regular(path)
        # Without `format`, onnx would choose the parser by the suffix.
        model = onnx.load(path, format="protobuf", load_external_data=False)
        if not model.HasField("graph"):
            raise WeightsError(f"{path}: not an ONNX model: there is no graph in it.")
        return _layers(model, Tensors(size, os.path.dirname(path)))


def _layers(model: onnx.ModelProto, tensors: Tensors) -> dict[str, GRULayer]:
    layers: dict[str, GRULayer] = {}
    constants = Constants(model.graph, _opset(model), tensors)
    for node, known in _nodes(model.graph, constants):
        name = node.name or next(filter(None, node.output), "gru")
        if name in layers:
            raise WeightsError(f"Two GRU nodes have the name {name!r}. Rename one.")
        try:
            layers[name] = _layer(node, known)
        except (WeightsError, FileRefusedError) as error:
            raise WeightsError(f"GRU node {name!r}: {error}") from error
    return layers


def _opset(model: onnx.ModelProto) -> int:
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    return max(versions, default=1)


def _nodes(graph: Any, constants: Constants) -> Iterable[tuple[Any, Constants]]:
    """Yields the GRU nodes of a graph and of its subgraphs."""
    for node in graph.node:
        if node.op_type == "GRU" and node.domain in ("", "ai.onnx"):
            yield node, constants
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner, constants.inside(inner))


def _layer(node: Any, constants: Constants) -> GRULayer:
    from onnx import checker, helper

    try:
        checker.check_node(node)
    except (checker.ValidationError, ValueError) as error:
        raise WeightsError(f"it is not valid ONNX: {error}") from error
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if "clip" in attributes:
        raise WeightsError(
            f"clip={attributes['clip']} bounds the inputs of the activations, which no "
            "GRU layer of Keras does."
        )
    direction = attributes.get("direction", b"forward").decode("utf-8", "replace")
    if direction not in _DIRECTIONS:
        raise WeightsError(
            f"direction must be forward, reverse or bidirectional; received "
            f"{direction!r}."
        )
    activation, recurrent_activation = activations_of(
        attributes, _DIRECTIONS[direction]
    )
    weights = _weights(node, constants, attributes, _DIRECTIONS[direction])
    forward = None if direction == "reverse" else weights[0]
    backward = None if direction == "forward" else weights[-1]
    return GRULayer(forward, backward, activation, recurrent_activation)


def _weights(
    node: Any, constants: Constants, attributes: dict[str, Any], directions: int
) -> list[GRUWeights]:
    W, R, B = (
        finite_array(constants[name], kind) if name else None
        for kind, name in zip("WRB", [*node.input, "", "", ""][1:4], strict=True)
    )
    if W is None or R is None:
        raise WeightsError("the inputs W and R are missing.")
    units = units_of(R, "R", 3, axis=-2)
    rows = 3 * units
    expect_shape(R, "R", (directions, rows, units), "(directions, 3 * units, units)")
    words = "(directions, 3 * units, features)"
    expect_shape(W, "W", (directions, rows, None), words)
    if B is not None:
        expect_shape(B, "B", (directions, 6 * units), "(directions, 6 * units)")
    if attributes.get("hidden_size", units) != units:
        raise WeightsError(
            f"hidden_size is {attributes['hidden_size']}, but R is {R.shape}: {units} "
            "units."
        )
    after = bool(attributes.get("linear_before_reset", 0))
    weights = []
    for index in range(directions):
        bias = None if B is None else B[index].reshape(2, -1)
        if bias is not None and not after:
            bias = bias[0] + bias[1]
        weights.append(GRUWeights(W[index].T, R[index].T, bias, after))
    return weights


def to_onnx(
    layer: GRUWeights | GRULayer | Stack, *, name: str = "gru"
) -> onnx.ModelProto:
    """Returns a model with one GRU node.

    The input is `X` (timesteps, batch, features). The outputs are `Y` (timesteps,
    directions, batch, units) and `Y_h` (directions, batch, units).

    Args:
        layer: The layer, or one GRU's weights. Without `reset_after`, the recurrent
            biases are zeros.
        name: The node's name.

    Raises:
        WeightsError: It is a stack of several layers, or ONNX lacks an activation.
        ImportError: onnx is not installed.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, to_onnx
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> to_onnx(weights).graph.node[0].op_type
        'GRU'
    """
    require_package("onnx", "ONNX models")
    from onnx import helper, numpy_helper

    name = arguments.text("name", name)
    stack = as_stack(layer)
    if len(stack) > 1:
        raise WeightsError(
            f"A GRU node is one layer; received {len(stack)}. Write them one by one."
        )
    layer = stack[0]
    arrays = _arrays(layer)
    attributes = {
        "direction": layer.direction,
        "hidden_size": layer.units,
        "linear_before_reset": int(layer.reset_after),
        **activations_for(layer),
    }
    node = helper.make_node(
        "GRU", ["X", *arrays], ["Y", "Y_h"], name=name, **attributes
    )
    directions = len(layer.directions)
    shapes = {
        "X": ("timesteps", "batch", layer.features),
        "Y": ("timesteps", directions, "batch", layer.units),
        "Y_h": (directions, "batch", layer.units),
    }
    kind = helper.np_dtype_to_tensor_dtype(layer.dtype)
    x, *ys = (
        helper.make_tensor_value_info(key, kind, shape) for key, shape in shapes.items()
    )
    initializers = [numpy_helper.from_array(a, key) for key, a in arrays.items()]
    graph = helper.make_graph([node], name, [x], ys, initializers)
    # Since opset 14 the GRU has not changed.
    opset = helper.make_opsetid("", 14)
    return helper.make_model(graph, opset_imports=[opset], ir_version=8)


def _arrays(layer: GRULayer) -> dict[str, np.ndarray]:
    directions = layer.directions
    arrays = {
        "W": np.stack([weights.kernel.T for weights in directions]),
        "R": np.stack([weights.recurrent_kernel.T for weights in directions]),
    }
    if layer.use_bias:
        rows = 2 if layer.reset_after else 1
        biases = np.stack(
            [weights.bias_or_zeros.reshape(rows, -1) for weights in directions]
        )
        both = np.zeros((len(directions), 2, 3 * layer.units), layer.dtype)
        both[:, :rows] = biases
        arrays["B"] = both.reshape(len(directions), -1)
    return arrays


def _why_not(candidate: Candidate) -> str | None:
    start, path = candidate.start, candidate.path
    if not_weights(path, start):
        return "another kind of model"
    if path.suffix.lower() in _SUFFIXES:
        return None
    # The version's key, a small version, and the key of a field that may follow.
    if len(start) > 2 and start[0] == 8 and 0 < start[1] < 64 and start[2] in _FIELDS:
        return None
    return "neither named .onnx nor a serialized ModelProto"


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    layers = read_onnx(path)
    return WeightsFile("onnx", {name: (layer,) for name, layer in layers.items()})


def _write(path: Path, stack: Stack) -> None:
    path.write_bytes(to_onnx(stack).SerializeToString())


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    model = onnx.load(path, format="protobuf")
    onnx.checker.check_model(model)
    # ONNX Runtime has float32 kernels only.
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {"X": x.transpose(1, 0, 2).astype("float32")}
    (y,) = session.run(["Y"], feed)  # (timesteps, directions, batch, units)
    return np.asarray(y).transpose(2, 0, 1, 3).reshape(*x.shape[:2], -1)


FORMAT = Format(
    name="onnx",
    file="an ONNX model with `GRU` nodes; written: one layer as one node",
    suffixes=(".onnx",),
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold="several layers; activations that ONNX lacks",
    peer=Peer("ONNX Runtime", "onnxruntime", _run),
    packages=("onnx",),
    layouts={
        "ONNX, a direction (linear_before_reset=1 is reset after)": (
            LayoutArray("W", "(3 units, features)", ("Wzt", "Wrt", "Wht")),
            LayoutArray("R", "(3 units, units)", ("Uzt", "Urt", "Uht")),
            LayoutArray("B", "(6 units,)", ("biz bir bih boz bor boh",)),
        )
    },
)
