"""The constants of an ONNX graph, including those that the graph computes."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tf_gru_addon.reading import Budget, FileRefusedError, require_regular
from tf_gru_addon.reading.boundary import reason
from tf_gru_addon.weights.errors import WeightsError

#: The operators that exporters put between a stored array and a node's input. The
#: output of each is at most as large as its inputs.
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


#: A node takes 0.3 ms to compute, and a GRU's weights pass through about twenty.
_MAX_COMPUTED = 10_000
#: The size of the largest dtype to which a node can cast.
_ITEM = 8


class Tensors:
    """The stored arrays of a model, in its file and in files of external data.

    Args:
        size: The size of the model's file in bytes.
        folder: The folder of the files with external data.
    """

    def __init__(self, size: int, folder: str = ""):
        self.budget = Budget(size)
        self.computed = 0
        self._folder = folder
        self._sizes: dict[str, int] = {}

    def array(self, tensor: Any) -> np.ndarray:
        """Returns the array of a `TensorProto`.

        Raises:
            WeightsError: It cannot be read.
            FileRefusedError: It is in something other than a regular file, or is larger
                than the budget.
        """
        from onnx import numpy_helper
        from onnx.external_data_helper import uses_external_data

        try:
            if uses_external_data(tensor):
                self._take_external(tensor)
            return numpy_helper.to_array(tensor, self._folder)
        except (WeightsError, FileRefusedError):
            raise
        except Exception as error:  # damage shows in many ways
            raise WeightsError(
                f"{tensor.name!r} cannot be read ({reason(error)})."
            ) from error

    def _take_external(self, tensor: Any) -> None:
        """Takes an array's bytes from the budget. Several arrays can share one file."""
        entry = {item.key: item.value for item in tensor.external_data}
        location = entry.get("location", "")
        if location not in self._sizes:
            size = require_regular(os.path.join(self._folder, location))
            self._sizes[location] = size
            self.budget.grow(size)
        length = int(entry.get("length") or self._sizes[location])
        self.budget.take(length, f"the external data of {tensor.name!r}")


class Constants:
    """The values that are known before a graph runs, by name: `constants["W"]`.

    Args:
        graph: The `GraphProto`.
        opset: The version of ONNX's operators.
        tensors: The model's stored arrays.
        outer: The constants of the enclosing graph, if any.
    """

    def __init__(
        self,
        graph: Any,
        opset: int,
        tensors: Tensors,
        outer: Constants | None = None,
    ):
        self._opset = opset
        self._tensors = tensors
        self._outer = outer
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._values: dict[str, np.ndarray] = {}

    def inside(self, graph: Any) -> Constants:
        """Returns the constants of a graph inside this one."""
        return Constants(graph, self._opset, self._tensors, outer=self)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns a value.

        Raises:
            WeightsError: It is not constant, or cannot be read.
        """
        pending, entered = [name], set()
        while pending:  # not recursion: a chain of nodes can be deeper than the stack
            if self._knows(pending[-1]):
                pending.pop()
                continue
            node = self._makers[pending[-1]]
            entered.add(pending[-1])
            unknown = [key for key in node.input if key and not self._knows(key)]
            if not entered.isdisjoint(unknown):
                raise WeightsError(f"{name!r} depends on itself.")
            pending += unknown
            if not unknown:
                self._compute(node)
        return self._values[name]

    def _knows(self, name: str) -> bool:
        """Whether a value is known; a stored one is read first."""
        if name in self._values:
            return True
        if name in self._stored:
            self._values[name] = self._tensors.array(self._stored[name])
        elif name in self._makers:
            node = self._makers[name]
            if node.op_type == "Constant":
                self._values[name] = self._constant(node)
            elif node.op_type in _REARRANGING:
                return False
            else:
                raise WeightsError(
                    f"the weights {name!r} are not constant: {node.op_type} computes "
                    "them. Export the model with its weights folded to constants."
                )
        elif self._outer is not None:
            self._values[name] = self._outer[name]
        else:
            raise WeightsError(
                f"the weights {name!r} are an input of the model. Export it with its "
                "weights stored in it."
            )
        return True

    def _compute(self, node: Any) -> None:
        from onnx import helper
        from onnx.reference import ReferenceEvaluator

        names = [name for name in node.input if name]
        if node.op_type == "Identity":
            self._values[node.output[0]] = self._values[names[0]]
            return
        self._tensors.computed += 1
        if self._tensors.computed > _MAX_COMPUTED:
            raise WeightsError(
                f"more than {_MAX_COMPUTED} nodes compute the weights. Export the "
                "model with its weights folded to constants."
            )
        feeds = {name: self._values[name] for name in names}
        # A chain of nodes can double the size of an array repeatedly.
        size = _ITEM * sum(self._values[name].size for name in names)
        self._tensors.budget.take(size, f"what {node.output[0]!r} is made of")
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
        self._values |= dict(zip(node.output, values, strict=True))

    def _constant(self, node: Any) -> np.ndarray:
        for attribute in node.attribute:
            name = attribute.name
            if name == "value":
                return self._tensors.array(attribute.t)
            if name in ("value_int", "value_ints"):
                value = attribute.i if name == "value_int" else attribute.ints
                return np.array(value, np.int64)
            if name in ("value_float", "value_floats"):
                value = attribute.f if name == "value_float" else attribute.floats
                return np.array(value, np.float32)
        raise WeightsError(
            f"the constant {node.output[0]!r} has no value that can be read."
        )
