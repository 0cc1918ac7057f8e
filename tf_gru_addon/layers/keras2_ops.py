"""TensorFlow operations in functional models of Keras 2."""

from __future__ import annotations

import operator
from typing import Any

import keras
import tensorflow as tf

_MATH = """
abs add add_n argmax argmin ceil cos cumsum divide divide_no_nan equal erf exp floor
floordiv greater greater_equal is_nan l2_normalize less less_equal log log1p
logical_and logical_not logical_or maximum minimum mod multiply multiply_no_nan
negative not_equal pow reciprocal reduce_all reduce_any reduce_logsumexp reduce_max
reduce_mean reduce_min reduce_prod reduce_std reduce_sum reduce_variance round rsqrt
scalar_mul sigmoid sign sin softplus sqrt square squared_difference subtract tan tanh
truediv
"""
_NN = """
elu gelu l2_normalize leaky_relu log_softmax relu relu6 selu sigmoid silu softmax
softplus softsign tanh
"""
_PLAIN = """
__operators__.add cast clip_by_value concat expand_dims gather identity
linalg.matmul linalg.norm one_hot ones ones_like pad repeat reshape reverse
sequence_mask shape split squeeze stack stop_gradient tile transpose unstack where zeros
zeros_like compat.v1.expand_dims compat.v1.gather compat.v1.pad compat.v1.shape
compat.v1.squeeze compat.v1.transpose compat.v1.where
"""
_NAMES = [
    *(f"math.{name}" for name in _MATH.split()),
    *(f"nn.{name}" for name in _NN.split()),
    *_PLAIN.split(),
]

#: The operations that a file may have, by their names in TensorFlow.
OPERATIONS = {name: operator.attrgetter(name)(tf) for name in _NAMES}
GETITEM = "__operators__.getitem"
OPERATIONS[GETITEM] = lambda tensor, slice_spec: tensor[
    tuple(slice_spec) if isinstance(slice_spec, list) else slice_spec
]


@keras.saving.register_keras_serializable(package="tf_gru_addon")
class TensorFlowOperation(keras.layers.Layer):
    """A TensorFlow operation from a fixed list, with its arguments.

    Keras 2 put such a layer into a functional model for each `x[:, -1]`, `x + y` or
    `tf.concat([x, y], -1)`. It does not pass on masks.

    Args:
        function: The operation's name in TensorFlow, a key of `OPERATIONS`.
        first: Its first argument. Here and in `arguments`, `{"input": 1}` stands for
            the layer's second input, `{"slice": [start, stop, step]}` for a
            slice and `{"ellipsis": True}` for `...`.
        arguments: Its other arguments, by name.

    Call arguments:
        inputs: A list of tensors.

    Raises:
        ValueError: The operation is not in the list.
    """

    def __init__(
        self, function: str, first: Any, arguments: dict[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        if function not in OPERATIONS:
            raise ValueError(
                f"function must be one of {', '.join(sorted(OPERATIONS))}; received: "
                f"{function!r}."
            )
        self.function = function
        self.first = first
        self.arguments = arguments
        self.supports_masking = True

    def call(self, inputs: list[tf.Tensor]) -> Any:
        """Computes the operation."""
        first, arguments = (
            _filled(value, inputs) for value in (self.first, self.arguments)
        )
        return OPERATIONS[self.function](first, **arguments)

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: the operation may have changed the timesteps."""

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "function": self.function,
            "first": self.first,
            "arguments": self.arguments,
        }


def _filled(value: Any, inputs: list[tf.Tensor]) -> Any:
    """Returns an argument with inputs, slices and ellipses put in."""
    if isinstance(value, list):
        return [_filled(item, inputs) for item in value]
    if not isinstance(value, dict):
        return value
    match list(value):
        case ["input"]:
            return inputs[value["input"]]
        case ["slice"]:
            return slice(*_filled(value["slice"], inputs))
        case ["ellipsis"]:
            return ...
    return {key: _filled(item, inputs) for key, item in value.items()}
