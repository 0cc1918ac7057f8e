"""The constants of an ONNX graph, also those that exporters compute in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError

#: What exporters put between a stored array and a node's input. None of them makes an
#: array larger than those that it is made of.
_REARRANGING = (
    "Cast",
    "Concat",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)


class Constants:
    """The values known before a graph runs, by name: `constants["W"]`.

    Args:
        graph: A `GraphProto`.
        opset: The version of ONNX's operators.
        outer: The constants of the graph around it, if any.
    """

    def __init__(self, graph: Any, opset: int, outer: Constants | None = None):
        self._opset = opset
        self._outer = outer
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._values: dict[str, np.ndarray] = {}
        self._read = 0  # how many numbers came from the file

    def inside(self, graph: Any) -> Constants:
        """Returns the constants of a graph within this one."""
        return Constants(graph, self._opset, outer=self)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a value.

        Raises:
            WeightsError: It is no constant, or cannot be read.
        """
        pending = [name]
        while pending:  # a loop, for a chain of nodes can be longer than the stack
            if self._knows(pending[-1]):
                pending.pop()
                continue
            node = self._makers[pending[-1]]
            unknown = [key for key in node.input if key and not self._knows(key)]
            if set(unknown) & set(pending):
                raise WeightsError(f"{name!r} depends on itself.")
            pending += unknown
            if not unknown:
                self._compute(node)
        return self._values[name]

    def _knows(self, name: str) -> bool:
        """Whether a value is there; it is fetched, unless a node is to compute it."""
        if name in self._values:
            return True
        if name in self._stored:
            self._keep(name, _array(self._stored[name]))
        elif name in self._makers:
            node = self._makers[name]
            if node.op_type == "Constant":
                self._keep(name, _constant(node))
            elif node.op_type in _REARRANGING:
                return False
            else:
                raise WeightsError(
                    f"the weights {name!r} are not constant: {node.op_type} computes "
                    "them. Export the model with its weights folded to constants."
                )
        elif self._outer is not None:
            self._keep(name, self._outer[name])
        else:
            raise WeightsError(
                f"the weights {name!r} are an input of the model. Export it with its "
                "weights in it."
            )
        return True

    def _keep(self, name: str, value: np.ndarray) -> None:
        self._values[name] = value
        self._read += value.size

    def _compute(self, node: Any) -> None:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        names = [name for name in node.input if name]
        feeds = {name: self._values[name] for name in names}
        # A chain of nodes can double an array again and again.
        if sum(self._values[name].size for name in names) > 4 * self._read:
            raise WeightsError(
                f"{node.output[0]!r} is larger than the arrays that it is made of."
            )
        graph = helper.make_graph(
            [node],
            "constants",
            [helper.make_empty_tensor_value_info(name) for name in feeds],
            [helper.make_empty_tensor_value_info(name) for name in node.output],
        )
        opset = helper.make_opsetid("", self._opset)
        model = helper.make_model(graph, opset_imports=[opset])
        try:
            values = ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:
            raise WeightsError(
                f"{node.output[0]!r} cannot be computed by {node.op_type} ({error})."
            ) from error
        self._values.update(zip(node.output, values, strict=True))


def _constant(node: Any) -> np.ndarray:
    for attribute in node.attribute:
        if attribute.name == "value":
            return _array(attribute.t)
        if attribute.name in ("value_int", "value_ints"):
            value = attribute.i if attribute.name == "value_int" else attribute.ints
            return np.array(value, np.int64)
        if attribute.name in ("value_float", "value_floats"):
            value = attribute.f if attribute.name == "value_float" else attribute.floats
            return np.array(value, np.float32)
    raise WeightsError(f"the constant {node.output[0]!r} holds no numbers.")


def _array(tensor: Any) -> np.ndarray:
    from onnx import numpy_helper

    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, LookupError, OSError) as error:
        raise WeightsError(f"{tensor.name!r} cannot be read ({error}).") from error
