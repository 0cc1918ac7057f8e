"""Operations of TensorFlow within a functional model: data, and no code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tf_gru_addon.layers.keras2_ops import GETITEM, OPERATIONS, TensorFlowOperation
from tf_gru_addon.migrate.legacy.entry import Entry
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, building, expect, short

#: The classes of these layers.
KINDS = ("SlicingOpLambda", "TFOpLambda")
#: What stands for a number or a list in the place of a tensor: [this, -1, it, {...}].
CONSTANT = "_CONSTANT_VALUE"
_SLICE = ["start", "step", "stop"]


def call_operation(
    entry: Entry,
    name: str,
    first: Any,
    arguments: dict[str, Any],
    tensor_of: Callable[[Any], Any],
) -> Any:
    """Makes the layer of an operation, and calls it.

    Args:
        entry: The layer's entry.
        name: The layer's name.
        first: The operation's first argument, with references to tensors.
        arguments: The others, likewise.
        tensor_of: Returns the tensor that a value refers to; None if it refers to none.

    Raises:
        LegacyModelError: The operation is not known, or cannot be called so.
    """
    function = expect(entry.config.get("function"), str, f"{entry.where}: function")
    if function not in OPERATIONS:
        raise LegacyModelError(
            f"{entry.where} is the operation {short(function)} of TensorFlow, which is "
            f"not among those known here: {', '.join(sorted(OPERATIONS))}. Write a "
            "layer that does the same and build the model with it."
        )
    inputs: list[Any] = []

    def template(value: Any) -> Any:
        tensor = tensor_of(value)
        if tensor is not None:
            inputs.append(tensor)
            return {"input": len(inputs) - 1}
        if is_constant(value):
            return value[2]
        if isinstance(value, list):
            return [template(item) for item in value]
        if not isinstance(value, dict):
            return value
        if sorted(value) == _SLICE:
            return {"slice": [template(value[k]) for k in ("start", "stop", "step")]}
        if value.get("class_name") == "__ellipsis__":
            return {"ellipsis": True}
        if value.get("class_name") == "__tuple__":
            return template(value.get("items"))
        raise LegacyModelError(
            f"{entry.where} is called with {short(value)}, which is not plain."
        )

    first = template(first)
    keep = {k: v for k, v in arguments.items() if k != "name"}
    if function != GETITEM:
        keep = {k: v for k, v in keep.items() if v is not None}
    others = {key: template(value) for key, value in keep.items()}
    with building(f"{entry.where}, {function}"):
        layer = TensorFlowOperation(function, first, others, name=name)
        return layer(inputs)


def is_constant(value: Any) -> bool:
    """Whether a value stands for a number or a list in the place of a tensor."""
    return isinstance(value, list) and len(value) == 4 and value[:2] == [CONSTANT, -1]
