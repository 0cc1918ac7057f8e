"""Which layers look at each frame alone, and why others cannot be streamed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tf_gru_addon.errors import ExportError
from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.streaming.steps import Slot

_NAMES = """
Activation ActivityRegularization Add AlphaDropout Average BatchNormalization
Concatenate Dense Dropout ELU Embedding GaussianDropout GaussianNoise Identity
LayerNormalization LeakyReLU Masking Maximum Minimum Multiply Normalization PReLU
RMSNormalization ReLU Rescaling Softmax SpatialDropout1D Subtract UnitNormalization
"""
#: Layers that treat each frame alone; check_axes has the last word. A name that this
#: Keras lacks is left out. Models that came from Keras 2 hold subclasses.
FRAMEWISE = {
    getattr(module, name)
    for module in (keras.layers, keras2_masks)
    for name in _NAMES.split()
    if hasattr(module, name)
}

_OPERATIONS = """
Abs Absolute Add Clip Divide Elu Exp Gelu Log Maximum Minimum Multiply Negative Relu
Sigmoid Silu Sqrt Square Subtract Tanh TrueDivide
"""

_POOLS = "it takes all timesteps into one"
_RESAMPLES = "it changes the number of timesteps"
_MOVES = "it moves the time axis"
_ATTENDS = "every timestep looks at all others"
_STATE = "it has a state that is not known here; GRU is the recurrent layer that is"

#: Why not, by the name of a class.
_REASONS = {
    "Bidirectional": "it reads the sequence from its end too",
    "GlobalAveragePooling1D": _POOLS,
    "GlobalMaxPooling1D": _POOLS,
    "AveragePooling1D": _RESAMPLES,
    "MaxPooling1D": _RESAMPLES,
    "UpSampling1D": _RESAMPLES,
    "Cropping1D": _RESAMPLES,
    "ZeroPadding1D": _RESAMPLES,
    "Conv1DTranspose": _RESAMPLES,
    "Flatten": _MOVES,
    "Permute": _MOVES,
    "Reshape": _MOVES,
    "Attention": _ATTENDS,
    "AdditiveAttention": _ATTENDS,
    "MultiHeadAttention": _ATTENDS,
    "GroupQueryAttention": _ATTENDS,
    "GroupNormalization": "it takes statistics over time",
    "Dot": "it multiplies timesteps with each other",
    "LSTM": _STATE,
    "SimpleRNN": _STATE,
    "ConvLSTM1D": _STATE,
    "ConvLSTM2D": _STATE,
}


def reason_against(kind: type) -> str:
    """Returns why layers of a class cannot be streamed.

    Args:
        kind: The class.
    """
    unknown = f"whether a {kind.__name__} looks at later timesteps is not known"
    return _REASONS.get(kind.__name__, unknown)


def check_operation(operation: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Refuses an operation of `keras.ops` that is not one on single numbers.

    Args:
        operation: The operation, such as `x + y` is.
        args: What it is called with, slots in the place of tensors.
        kwargs: Likewise, by name.

    Raises:
        ExportError: It is refused.
    """
    rest = keras.tree.flatten((args, kwargs))
    numbers = all(isinstance(x, Slot) or np.ndim(x) == 0 for x in rest)
    if type(operation).__name__ not in _OPERATIONS.split() or not numbers:
        raise refusal(operation, "of keras.ops, only those on single numbers can be")


def check_axes(layer: keras.Layer, inputs: list[Slot]) -> None:
    """Refuses a layer that mixes timesteps by an axis that it is told.

    Args:
        layer: A layer of `FRAMEWISE`.
        inputs: What it is called with.

    Raises:
        ExportError: It is refused.
    """
    rank = max(slot.rank for slot in inputs)
    if min(slot.rank for slot in inputs) != rank:
        raise refusal(layer, "its inputs have different numbers of axes")
    if rank < 3 and not isinstance(layer, keras.layers.Embedding):
        raise refusal(
            layer,
            "its input is (batch, frames) without features, which only an Embedding "
            "takes",
        )
    if isinstance(layer, keras.layers.PReLU):
        if 1 not in (layer.shared_axes or ()):
            raise refusal(layer, "it has a weight for each timestep (shared_axes)")
        return
    axes = getattr(layer, "axis", None)
    axes = axes if isinstance(axes, list | tuple) else [axes]
    if any(axis is not None and axis % rank < 2 for axis in axes):
        raise refusal(layer, f"its axis {layer.axis} takes timesteps together")


def refusal(layer: Any, reason: str) -> ExportError:
    """Returns the error that names a layer and says why it cannot be streamed."""
    return ExportError(
        f"{layer.name}: this {type(layer).__name__} cannot be streamed: {reason}. Take "
        "it out of the model; if it treats each timestep alone, wrap it in "
        "keras.layers.TimeDistributed."
    )
