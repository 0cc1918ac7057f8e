"""Checks of what a format can hold, with the same messages for all."""

from __future__ import annotations

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.weights_file import ACTIVATIONS


def require_weights(weights: GRUWeights) -> None:
    """Checks that an argument is one GRU's weights.

    Raises:
        WeightsError: It has another type.
    """
    if not isinstance(weights, GRUWeights):
        raise WeightsError(
            "weights must be GRUWeights, such as a layer's forward or backward; "
            f"received a {type(weights).__name__}."
        )


def require_reset(weights: GRUWeights | GRULayer, who: str, *, after: bool) -> None:
    """Checks that weights have the only convention that a format supports.

    Args:
        weights: The weights.
        who: The format, as the error names it: "PyTorch's GRU".
        after: Whether the format's reset gate comes after the recurrent product.

    Raises:
        WeightsError: They have the other convention.
    """
    if weights.reset_after != after:
        place = "after" if after else "before"
        raise WeightsError(
            f"{who} applies the reset gate {place} the recurrent product, but these "
            f"weights have reset_after={weights.reset_after}: it cannot compute the "
            "same."
        )


def require_activations(
    layer: GRULayer, who: str, fixed: tuple[str, ...] = ACTIVATIONS
) -> None:
    """Checks that a layer has the only activations that a format supports.

    Args:
        layer: The layer.
        who: The format, as the error names it.
        fixed: Which the format fixes: "activation" to tanh, "recurrent_activation" to
            sigmoid.

    Raises:
        WeightsError: A fixed activation is another one.
    """
    for key, only in zip(ACTIVATIONS, ("tanh", "sigmoid"), strict=True):
        value = getattr(layer, key)
        if key in fixed and value != only:
            words = key.replace("_", " ")
            raise WeightsError(
                f"{who} has the {words} {only}, but this layer has {value}: it cannot "
                "compute the same."
            )


def require_alike(stack: tuple[GRULayer, ...], who: str) -> None:
    """Checks that all layers are alike, for a format that requires it.

    Args:
        stack: The layers.
        who: The format, as the error names it.

    Raises:
        WeightsError: The layers differ in units, direction, bias or dtype, or only run
            backward.
    """
    for name in ("units", "direction", "use_bias", "dtype"):
        values = [getattr(layer, name) for layer in stack]
        if len(set(values)) > 1:
            raise WeightsError(
                f"{who} has the same {name} in every layer, but these layers have "
                f"{', '.join(map(str, values))}. Write them one by one."
            )
    if stack[0].forward is None:
        raise WeightsError(
            f"{who} runs forward or in both directions, but this layer only runs "
            "backward. Write it as a forward one, and reverse the inputs in time."
        )


def only_forward(stack: tuple[GRULayer, ...], who: str) -> GRUWeights:
    """Returns the weights of a stack, for a format that holds one forward GRU.

    Args:
        stack: The stack.
        who: The format, as the error names it.

    Raises:
        WeightsError: The stack has several layers, or its layer runs backward.
    """
    if len(stack) > 1 or stack[0].direction != "forward":
        raise WeightsError(
            f"{who} is one GRU that runs forward; received {len(stack)} layer(s), "
            f"{stack[0].direction}. Write each by itself, or as npz, torch, onnx or "
            "keras3."
        )
    return stack[0].directions[0]
