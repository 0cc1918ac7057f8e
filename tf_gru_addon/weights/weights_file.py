"""What a file of weights holds."""

from __future__ import annotations

from dataclasses import dataclass

from tf_gru_addon.weights.gru_layer import GRULayer

_GATE_ORDERS = {"torch": "r z n", "tf1": "r z (gates), h (candidate)"}


@dataclass(frozen=True)
class WeightsFile:
    """The GRUs in a file.

    Attributes:
        format: The format, as `write_weights` has it; "keras" for those of Keras' files
            that are not written.
        grus: By name, the layers of each GRU; "gru" where the file has no name for it.
        activations_known: Whether the file holds the activations, or its format has but
            one; otherwise those of the layers are Keras 3's defaults.
    """

    format: str
    grus: dict[str, tuple[GRULayer, ...]]
    activations_known: bool = True

    @property
    def gate_order(self) -> str:
        """The order in which the format has the gates, as its framework names them.

        Example:
            >>> from tf_gru_addon.weights import WeightsFile
            >>> WeightsFile("torch", {}).gate_order
            'r z n'
        """
        return _GATE_ORDERS.get(self.format, "z r h")

    def describe(self) -> str:
        """Returns what there is, a line for each layer and direction.

        Example:
            >>> import numpy as np
            >>> from tf_gru_addon.weights import GRULayer, GRUWeights, WeightsFile
            >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
            >>> print(WeightsFile("torch", {"rnn": (GRULayer(weights),)}).describe())
            rnn, layer 0, forward: 3 features, 2 units, reset after, no bias, float64,
            30 parameters, tanh, sigmoid
        """
        lines = []
        for name, stack in self.grus.items():
            for index, layer in enumerate(stack):
                kinds = f"{layer.activation}, {layer.recurrent_activation}"
                kinds = kinds if self.activations_known else "activations not in file"
                for way in ("forward", "backward"):
                    weights = getattr(layer, way)
                    if weights is not None:
                        place = f"{name}, layer {index}, {way}"
                        lines.append(f"{place}: {weights.describe()}, {kinds}")
        return "\n".join(lines)
