"""One layer of a stack of GRUs: its directions and its activations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tf_gru_addon.weights.activation_names import require_activation
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_weights import GRUWeights


@dataclass(frozen=True)
class GRULayer:
    """One layer: a GRU in one or both directions, and its activations.

    A *stack* is a tuple of layers from the first to the last: `tuple[GRULayer, ...]`.
    Formats are read to stacks and written from them. The inputs of a layer are the
    outputs of the layer before, with those of `forward` before those of `backward`.

    Args:
        forward: The weights for running from the first timestep to the last; None for
            a layer that only runs backward.
        backward: The weights for running from the last timestep to the first, if any.
        activation: The candidate's activation, by its name in `tf_gru_addon`:
            "hard_sigmoid" is TensorFlow r2.0's, "keras_hard_sigmoid" Keras 3's.
        recurrent_activation: The activation of the update and the reset gate.

    Raises:
        WeightsError: Both directions are None or do not match each other, an argument
            has the wrong type, or an activation is unknown.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRULayer, GRUWeights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> layer = GRULayer(weights, backward=weights)
        >>> layer.direction, layer.features, layer.outputs
        ('bidirectional', 3, 4)
    """

    forward: GRUWeights | None
    backward: GRUWeights | None = None
    activation: str = "tanh"
    recurrent_activation: str = "sigmoid"

    def __post_init__(self) -> None:
        for name in ("forward", "backward"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, GRUWeights):
                raise WeightsError(
                    f"{name} must be GRUWeights or None; received a "
                    f"{type(value).__name__}."
                )
        for name in ("activation", "recurrent_activation"):
            require_activation(name, getattr(self, name))
        if not self.directions:
            raise WeightsError("A layer needs a direction: give forward or backward.")
        self._check_directions()

    def _check_directions(self) -> None:
        if self.forward is None or self.backward is None:
            return
        for name in ("features", "units", "reset_after", "dtype"):
            one, two = (getattr(weights, name) for weights in self.directions)
            if one != two:
                raise WeightsError(
                    f"forward and backward must have the same {name}; received {one} "
                    f"and {two}."
                )
        if (self.forward.bias is None) != (self.backward.bias is None):
            raise WeightsError(
                "forward and backward must both have a bias, or neither. Give the one "
                "without one a bias of zeros."
            )

    @property
    def directions(self) -> tuple[GRUWeights, ...]:
        """The weights of the existing directions, `forward` first."""
        return tuple(w for w in (self.forward, self.backward) if w is not None)

    @property
    def direction(self) -> str:
        """The direction: "forward", "reverse" or "bidirectional"."""
        if self.forward is None:
            return "reverse"
        return "forward" if self.backward is None else "bidirectional"

    @property
    def features(self) -> int:
        """The size of the inputs."""
        return self.directions[0].features

    @property
    def units(self) -> int:
        """The size of the state of each direction."""
        return self.directions[0].units

    @property
    def outputs(self) -> int:
        """The size of the output, with both directions concatenated."""
        return len(self.directions) * self.units

    @property
    def reset_after(self) -> bool:
        """The convention of the weights."""
        return self.directions[0].reset_after

    @property
    def use_bias(self) -> bool:
        """Whether the weights have a bias."""
        return self.directions[0].bias is not None

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return self.directions[0].dtype


def as_stack(
    weights: GRUWeights | GRULayer | Iterable[GRULayer],
) -> tuple[GRULayer, ...]:
    """Returns a validated stack.

    Args:
        weights: One GRU's weights, which then run forward; a layer; or the layers of a
            stack, in order.

    Raises:
        WeightsError: There is no layer, a layer's features are not the outputs of the
            one before it, or an item has the wrong type.
    """
    if isinstance(weights, GRUWeights):
        return (GRULayer(weights),)
    stack = [weights] if isinstance(weights, GRULayer) else weights
    if not isinstance(stack, Iterable):
        raise WeightsError(
            "Expected GRUWeights, a GRULayer or several; received a "
            f"{type(weights).__name__}."
        )
    stack = tuple(stack)
    for layer in stack:
        if not isinstance(layer, GRULayer):
            raise WeightsError(
                "Expected GRUWeights, a GRULayer or several: a stack consists of "
                f"GRULayer; received a {type(layer).__name__}."
            )
    if not stack:
        raise WeightsError(
            "Expected GRUWeights, a GRULayer or several: a stack needs at least one "
            "layer; received none."
        )
    for index, (below, layer) in enumerate(itertools.pairwise(stack), 1):
        if layer.features != below.outputs:
            raise WeightsError(
                f"Layer {index} takes {layer.features} features, but layer "
                f"{index - 1} has {below.outputs} outputs."
            )
    return stack
