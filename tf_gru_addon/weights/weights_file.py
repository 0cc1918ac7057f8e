"""The content of a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tf_gru_addon.errors import printable
from tf_gru_addon.weights.gru_layer import GRULayer

ACTIVATIONS = ("activation", "recurrent_activation")


@dataclass(frozen=True)
class WeightsFile:
    """The GRUs in a file, as `inspect_weights` returns them.

    Attributes:
        format: The format's name.
        grus: The layers of each GRU, by name; "gru" if the file has no name for it.
        unstated: By the GRU's name, which of "activation" and "recurrent_activation"
            neither the file nor its format states. Those of the layers are then Keras
            3's defaults, tanh and sigmoid.
        gate_order: The order of the gates in the format, as its framework names them.
    """

    format: str
    grus: dict[str, tuple[GRULayer, ...]]
    unstated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    gate_order: str = "z r h"

    @property
    def activations_known(self) -> bool:
        """Whether the file or its format states every activation."""
        return not any(self.unstated.values())

    def activations(self, name: str, layer: GRULayer) -> str:
        """Returns both activations of a GRU's layer, with "?" for an unstated one."""
        unstated = self.unstated.get(name, ())
        kinds = ("?" if key in unstated else getattr(layer, key) for key in ACTIVATIONS)
        return ", ".join(kinds)

    def describe(self) -> str:
        """Returns a line for each layer and direction.

        An activation that the file does not state is shown as "?".

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
                kinds = self.activations(name, layer)
                for way in ("forward", "backward"):
                    weights = getattr(layer, way)
                    if weights is not None:
                        place = f"{printable(name)}, layer {index}, {way}"
                        lines.append(f"{place}: {weights.describe()}, {kinds}")
        return "\n".join(lines)
