"""A GRU as an ONNX model of one node."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.problem import Problem


def onnx_model(problem: Problem) -> bytes:
    """Returns the model of a problem, from `x` (T, B, F) to `y` (T, 1, B, U).

    The gates have the same order: z, r, h. The weights are (1, 3U, ...); one bias (1,
    6U) holds the input and the recurrent biases.
    """
    B, T, F, U = problem.shape
    arrays = {
        "W": problem.kernel.T[np.newaxis],
        "R": problem.recurrent_kernel.T[np.newaxis],
        "B": problem.bias.reshape(1, 6 * U),
    }
    node = helper.make_node(
        "GRU", ["x", *arrays], ["y"], hidden_size=U, linear_before_reset=1
    )
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info("x", float32, [T, B, F])],
        [helper.make_tensor_value_info("y", float32, [T, 1, B, U])],
        [
            numpy_helper.from_array(np.ascontiguousarray(array), name)
            for name, array in arrays.items()
        ],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
