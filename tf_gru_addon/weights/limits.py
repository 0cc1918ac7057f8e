"""What formats cannot hold, each said in the same words."""

from __future__ import annotations

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.gru_weights import GRUWeights


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


def require_activations(layer: GRULayer, who: str) -> None:
    """Checks that a layer has the activations of a format that knows no others.

    Raises:
        WeightsError: They are not tanh and sigmoid.
    """
    activations = (layer.activation, layer.recurrent_activation)
    if activations != ("tanh", "sigmoid"):
        raise WeightsError(
            f"{who} has the activation tanh and the recurrent activation sigmoid, and "
            f"this layer has {activations[0]} and {activations[1]}: it cannot compute "
            "the same."
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
