"""GRU weights: the canonical layout, and one module a format, each way.

Only NumPy is needed here; a format's framework is imported when the format is used.
"""

from tf_gru_addon.weights.errors import WeightsError as WeightsError
from tf_gru_addon.weights.gate import Gate as Gate
from tf_gru_addon.weights.gru_layer import GRULayer as GRULayer
from tf_gru_addon.weights.gru_layer import as_stack as as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights as GRUWeights

__all__ = [
    "GRULayer",
    "GRUWeights",
    "Gate",
    "WeightsError",
    "as_stack",
]
