"""What formats cannot hold, each said in the same words."""

from __future__ import annotations

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.weights_file import ACTIVATIONS


def require_weights(weights: GRUWeights) -> None:
    """Checks an argument that must be one GRU's weights.

    Raises:
        WeightsError: It is something else.
    """
    if not isinstance(weights, GRUWeights):
        raise WeightsError(
            "weights must be GRUWeights, which a stack has in each layer's forward and "
            f"backward; received a {type(weights).__name__}."
        )


def require_reset(weights: GRUWeights | GRULayer, who: str, *, after: bool) -> None:
    """Checks that weights are of the one convention that a format knows.

    Args:
        weights: The weights.
        who: The format, as the errors have it: "PyTorch's GRU".
        after: Whether the format's reset gate comes after the recurrent product.

    Raises:
        WeightsError: They are of the other.
    """
    if weights.reset_after != after:
        place = "after" if after else "before"
        raise WeightsError(
            f"{who} applies the reset gate {place} the recurrent product, and these "
            f"weights are of reset_after={weights.reset_after}: it cannot compute the "
            "same."
        )


def require_activations(
    layer: GRULayer, who: str, fixed: tuple[str, ...] = ACTIVATIONS
) -> None:
    """Checks that a layer has the activations of a format that knows no others.

    Args:
        layer: The layer.
        who: The format, as the errors have it.
        fixed: Those of "activation", which must be tanh, and "recurrent_activation",
            which must be sigmoid, that the format has no choice of.

    Raises:
        WeightsError: They are not tanh and sigmoid.
    """
    for key, only in zip(ACTIVATIONS, ("tanh", "sigmoid"), strict=True):
        value = getattr(layer, key)
        if key in fixed and value != only:
            words = key.replace("_", " ")
            raise WeightsError(
                f"{who} has the {words} {only}, and this layer has {value}: it cannot "
                "compute the same."
            )


def require_alike(stack: tuple[GRULayer, ...], who: str) -> None:
    """Checks that a format whose layers are all of one kind can hold a stack.

    Raises:
        WeightsError: The layers differ in units, direction, bias or dtype, or run
            backward alone.
    """
    for name in ("units", "direction", "use_bias", "dtype"):
        values = [getattr(layer, name) for layer in stack]
        if len(set(values)) > 1:
            raise WeightsError(
                f"{who} has the same {name} in every layer, and these layers have "
                f"{', '.join(map(str, values))}. Write them one by one."
            )
    if stack[0].forward is None:
        raise WeightsError(
            f"{who} runs forward or in both directions, and this layer runs backward "
            "alone. Write it as a forward one, and reverse the inputs in time."
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
