"""A model as an ONNX graph: tf2onnx converts the layers around the GRU nodes."""

from __future__ import annotations

import collections
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import keras

from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.cut import Cut, cut_out
from tf_gru_addon.export.onnx_gru import gru_nodes, require_supported
from tf_gru_addon.export.target import unique_name
from tf_gru_addon.layers.gru import GRU

if typing.TYPE_CHECKING:
    import onnx

_OPSET = 17


def onnx_model(model: keras.Model) -> tuple[onnx.ModelProto, list[GRU]]:
    """Returns a model in ONNX, and the layers whose state is an input and an output.

    Args:
        model: A `flat_model`.

    Raises:
        ExportError: ONNX cannot represent a layer; the message names it.
        ImportError: tf2onnx or onnx is not installed.
    """
    taken: set[str] = set()
    inputs = [unique_name(tensor.name, taken) for tensor in model.inputs]
    outputs = [unique_name(name, taken) for name in model.output_names]
    function, signature, cuts = cut_out(model, inputs, outputs)
    for cut in cuts:
        require_supported(cut)
    proto = _tf2onnx(model, function, signature)
    kept = _insert(proto.graph, cuts, inputs, outputs)
    _require_known(model, proto.graph)

    import onnx

    onnx.checker.check_model(proto, full_check=True)
    return proto, kept


def count_ops(graph: onnx.GraphProto) -> dict[str, int]:
    """Counts the ops of a graph, including those in its loops and branches."""
    return dict(collections.Counter(node.op_type for node in _all_nodes(graph)))


def _tf2onnx(model: keras.Model, function: Any, signature: Any) -> onnx.ModelProto:
    import tf2onnx

    try:
        proto, _ = tf2onnx.convert.from_function(function, signature, opset=_OPSET)
    except Exception as error:  # converters raise many kinds of errors
        raise ExportError(
            f"{model.name}: tf2onnx cannot convert the layers around the GRUs: {error}"
        ) from error
    return proto


def _require_known(model: keras.Model, graph: onnx.GraphProto) -> None:
    """Raises an ExportError if tf2onnx has left a TensorFlow op in the graph."""
    import onnx

    for node in _all_nodes(graph):
        if not node.domain and not onnx.defs.has(node.op_type):
            scope = node.name.rpartition("/")[0] or model.name
            raise ExportError(
                f"{scope}: ONNX has no counterpart of this layer's TensorFlow op "
                f"{node.op_type}. Replace the layer, or export a SavedModel."
            )


def _insert(
    graph: onnx.GraphProto, cuts: list[Cut], inputs: list[str], outputs: list[str]
) -> list[GRU]:
    """Inserts the GRU nodes; returns the layers whose state is an input."""
    import onnx

    ends = {value.name: value for value in (*graph.input, *graph.output)}
    inputs = [ends[name] for name in inputs if name in ends]
    outputs = [ends[name] for name in outputs]
    states: dict[GRU, str] = {}
    first_states, taken = [], set(ends)
    for cut in cuts:
        kept = cut.initial_state == "kept"
        if kept and cut.layer not in states:
            states[cut.layer] = unique_name(f"{cut.layer.name}_state", taken)
            first_states.append(states[cut.layer])
        nodes = gru_nodes(cut, states.get(cut.layer, ""))
        graph.node.extend(nodes.nodes)
        graph.initializer.extend(nodes.constants)
        if cut.layer.stateful:
            states[cut.layer] = f"{cut.name}_s"
    for layer, first in zip(states, first_states, strict=True):
        shape = list(layer.states[0].shape)
        after = unique_name(f"{layer.name}_next_state", taken)
        graph.node.append(onnx.helper.make_node("Identity", [states[layer]], [after]))
        for name, values in ((first, inputs), (after, outputs)):
            kind = onnx.TensorProto.FLOAT
            values.append(onnx.helper.make_tensor_value_info(name, kind, shape))
    _replace(graph.input, inputs)
    _replace(graph.output, outputs)
    _replace(graph.node, _live_in_order(graph))
    read = {name for node in graph.node for name in _reads(node)}
    _replace(graph.initializer, [c for c in graph.initializer if c.name in read])
    del graph.value_info[:]
    return list(states)


def _live_in_order(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Returns the nodes that the outputs need, in topological order."""
    producers = {name: node for node in graph.node for name in node.output if name}
    ordered: list[onnx.NodeProto] = []
    begun: set[int] = set()
    stack = [(producers[end.name], False) for end in graph.output]
    while stack:
        node, ready = stack.pop()
        if ready:
            ordered.append(node)
        elif id(node) not in begun:
            begun.add(id(node))
            stack.append((node, True))
            stack += [
                (producers[name], False) for name in _reads(node) if name in producers
            ]
    return ordered


def _replace(field: Any, values: Iterable[Any]) -> None:
    values = list(values)
    del field[:]
    field.extend(values)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yields the tensors that a node reads, including those its subgraphs read."""
    yield from node.input
    for inner in _inner_graphs(node):
        yield from (output.name for output in inner.output)
        for each in inner.node:
            yield from _reads(each)


def _inner_graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for inner in _inner_graphs(node):
            yield from _all_nodes(inner)
