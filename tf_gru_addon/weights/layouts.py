"""How formats lay out the gates: their order, their sign, and their picture.

The canonical layout is z | r | h with `h' = z * h + (1 - z) * c`. A format with another
order, or whose update gate weighs the candidate instead of the state, declares a
`GateOrder`, which converts arrays both ways.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tf_gru_addon.weights.errors import WeightsError

_CANONICAL = "zrh"
#: Activations with f(-x) = 1 - f(x).
_COMPLEMENTED = ("sigmoid", "hard_sigmoid", "keras_hard_sigmoid")


@dataclass(frozen=True)
class GateOrder:
    """The order in which a format concatenates the gates.

    Some frameworks compute `h' = (1 - z) * h + z * c`: their z is our 1 - z. As
    `sigmoid(-x) = 1 - sigmoid(x)`, negating the weights and biases of their update gate
    gives ours. With `update_negated`, both methods do that.

    Args:
        gates: The gates in the format's order, of "z" (update), "r" (reset) and "h"
            (candidate): "rzh", or "rz" where the candidate has arrays of its own.
        update_negated: Whether the format's update gate weighs the candidate.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights.layouts import GateOrder
        >>> order = GateOrder("rzh", update_negated=True)
        >>> order.to_canonical(np.array([1.0, 2.0, 3.0])).tolist()
        [-2.0, 1.0, 3.0]
    """

    gates: str
    update_negated: bool = False

    def to_canonical(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
        """Returns the blocks of a format's array in the order z, r, h.

        Args:
            array: A kernel or bias. The size of `axis` is a multiple of the gates.
            axis: The axis along which the gates are concatenated.
        """
        canonical = "".join(sorted(self.gates, key=_CANONICAL.index))
        return self._rearranged(array, self.gates, canonical, axis)

    def from_canonical(self, array: np.ndarray, axis: int = -1) -> np.ndarray:
        """Returns the blocks of a canonical array in the format's order.

        Args:
            array: A kernel or bias, its gates in the order z, r, h.
            axis: The axis along which the gates are concatenated.
        """
        canonical = "".join(sorted(self.gates, key=_CANONICAL.index))
        return self._rearranged(array, canonical, self.gates, axis)

    def require_activation(self, recurrent_activation: str, who: str) -> None:
        """Checks that a negated update gate computes the same.

        Args:
            recurrent_activation: The recurrent activation, by its name here.
            who: The format, as the error names it: "Sonnet's GRU".

        Raises:
            WeightsError: The gate is negated, and the activation lacks
                `f(-x) = 1 - f(x)`.
        """
        if self.update_negated and recurrent_activation not in _COMPLEMENTED:
            raise WeightsError(
                f"{who} has 1 - z where this package has z. Negating the weights of z "
                "converts one to the other only if f(-x) = 1 - f(x) holds for the "
                f"recurrent activation, as for {', '.join(_COMPLEMENTED)}; received "
                f"{recurrent_activation!r}."
            )

    def _rearranged(
        self, array: np.ndarray, now: str, then: str, axis: int
    ) -> np.ndarray:
        blocks = dict(zip(now, np.split(array, len(now), axis), strict=True))
        if self.update_negated:
            blocks["z"] = -blocks["z"]
        return np.concatenate([blocks[gate] for gate in then], axis)


@dataclass(frozen=True)
class LayoutArray:
    """An array in the picture of the layouts: rows of blocks, one block a gate.

    Args:
        name: The array's name in the format.
        shape: Its shape, in words.
        blocks: Rows of blocks from the top, such as "Wz Wr Wh": W of the inputs, U of
            the state, b a bias, bi and bo the input and the recurrent bias. A block may
            begin with "-" (negated) and end with "t" (transposed) or "x" (transposed,
            but with the numbers laid out in the shape from before).
    """

    name: str
    shape: str
    blocks: tuple[str, ...]


#: The layouts of a format: a title each, and the arrays.
Layouts = dict[str, tuple[LayoutArray, ...]]
