"""The layers that can be loaded, one entry each.

To add a layer, add an entry to `LAYERS`. A class that Keras 3 still has, with the same
arguments and weights, only needs its name in `_UNCHANGED`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.migrate.legacy import weights
from tf_gru_addon.migrate.legacy.weights import ArrayLayout


@dataclasses.dataclass(frozen=True, kw_only=True)
class LegacyLayer:
    """A layer class of Keras 1 or 2: what replaces it, and what has changed since.

    Attributes:
        cls: The class that takes its place.
        renamed: Arguments that have another name now: {old name: new name}.
        fixed: Arguments whose values the class implied.
        unused: Arguments that the class inherited without using them.
        call_arguments: What a call can have besides its inputs.
        takes_list: Whether a call takes a list of inputs, even of a single one.
        inner_layers: Attributes of `cls` that hold layers with its weights, in order.
        layout: Its arrays in a file, if they differ from the weights of `cls`.
        keras_1_layout: The same for files of Keras 1 that have an array for each gate.
        cell_arrays: The attribute that holds the weights in `cls`, if files have the
            arrays at the layer itself.
        wraps: The argument for the layer, or layers, that it wraps.
    """

    cls: type[keras.layers.Layer]
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unused: tuple[str, ...] = ()
    call_arguments: tuple[str, ...] = ("mask", "training")
    takes_list: bool = False
    inner_layers: tuple[str, ...] = ()
    layout: ArrayLayout | None = None
    keras_1_layout: ArrayLayout | None = None
    cell_arrays: str = ""
    wraps: str = ""

    @property
    def takes_states(self) -> bool:
        """Whether a call can take states besides the sequence."""
        return "initial_state" in self.call_arguments


_UNCHANGED = (
    *("Activation", "ActivityRegularization", "AlphaDropout", "AveragePooling1D"),
    *("AveragePooling2D", "BatchNormalization", "Conv1D", "Conv2D", "Cropping1D"),
    *("Cropping2D", "Dense", "Dropout", "ELU", "EinsumDense", "Embedding", "Flatten"),
    *("GaussianDropout", "GaussianNoise", "GlobalAveragePooling1D"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("GroupNormalization", "Identity", "LSTMCell", "LayerNormalization", "Masking"),
    *("MaxPooling1D", "MaxPooling2D", "PReLU", "Permute", "ReLU", "RepeatVector"),
    *("Rescaling", "Reshape", "SimpleRNNCell", "Softmax", "SpatialDropout1D"),
    *("SpatialDropout2D", "UnitNormalization", "UpSampling1D", "UpSampling2D"),
    *("ZeroPadding1D", "ZeroPadding2D"),
)
_ATTENTION = ("mask", "training", "return_attention_scores", "use_causal_mask")
_RECURRENT: dict[str, Any] = {"call_arguments": ("initial_state", "mask", "training")}
_WITH_CELL: dict[str, Any] = {**_RECURRENT, "inner_layers": ("cell",)}
_CUDNN: dict[str, Any] = {**_RECURRENT, "cell_arrays": "cell"}
_SIGMOID = {"activation": "tanh", "recurrent_activation": "sigmoid"}
_NO_GROUPS: dict[str, Any] = {"unused": ("groups",)}
_SEPARABLE: dict[str, Any] = {
    "unused": (
        *("groups", "kernel_constraint", "kernel_initializer", "kernel_regularizer"),
    )
}
_DEPTHWISE: dict[str, Any] = {
    **_SEPARABLE,
    "layout": ArrayLayout(("depthwise_kernel", "bias")),
}
_of = keras.layers

#: What is known of each layer class, by its name in a file.
LAYERS: dict[str, LegacyLayer] = {
    **{name: LegacyLayer(cls=getattr(_of, name)) for name in _UNCHANGED},
    **{
        name: LegacyLayer(cls=getattr(keras2_masks, name), takes_list=True)
        for name in keras2_masks.MERGING
    },
    "AdditiveAttention": LegacyLayer(
        cls=_of.AdditiveAttention, call_arguments=_ATTENTION, takes_list=True
    ),
    "Attention": LegacyLayer(
        cls=_of.Attention, call_arguments=_ATTENTION, takes_list=True
    ),
    "BatchNormalizationV1": LegacyLayer(cls=_of.BatchNormalization),
    "BatchNormalizationV2": LegacyLayer(cls=_of.BatchNormalization),
    "Bidirectional": LegacyLayer(cls=_of.Bidirectional, **_RECURRENT, wraps="layer"),
    "Conv1DTranspose": LegacyLayer(cls=_of.Conv1DTranspose, **_NO_GROUPS),
    "Conv2DTranspose": LegacyLayer(cls=_of.Conv2DTranspose, **_NO_GROUPS),
    "ConvLSTM1D": LegacyLayer(cls=_of.ConvLSTM1D, **_WITH_CELL, unused=("unroll",)),
    "ConvLSTM2D": LegacyLayer(cls=_of.ConvLSTM2D, **_WITH_CELL, unused=("unroll",)),
    "CuDNNGRU": LegacyLayer(
        cls=GRU,
        **_CUDNN,
        fixed={**_SIGMOID, "reset_after": True},
        layout=weights.CUDNN_GRU,
    ),
    "CuDNNLSTM": LegacyLayer(
        cls=_of.LSTM, **_CUDNN, fixed=_SIGMOID, layout=weights.CUDNN_LSTM
    ),
    "DepthwiseConv1D": LegacyLayer(cls=_of.DepthwiseConv1D, **_DEPTHWISE),
    "DepthwiseConv2D": LegacyLayer(cls=_of.DepthwiseConv2D, **_DEPTHWISE),
    "Dot": LegacyLayer(cls=_of.Dot, takes_list=True),
    "GRU": LegacyLayer(cls=GRU, **_WITH_CELL, keras_1_layout=weights.KERAS_1_GRU),
    "GRUCell": LegacyLayer(cls=GRUCell),
    "LSTM": LegacyLayer(
        cls=_of.LSTM, **_WITH_CELL, keras_1_layout=weights.KERAS_1_LSTM
    ),
    "LeakyReLU": LegacyLayer(cls=_of.LeakyReLU, renamed={"alpha": "negative_slope"}),
    "MultiHeadAttention": LegacyLayer(
        cls=keras2_masks.MultiHeadAttention,
        call_arguments=(*_ATTENTION, "attention_mask", "key", "value"),
        inner_layers=("_query_dense", "_key_dense", "_value_dense", "_output_dense"),
    ),
    "RNN": LegacyLayer(cls=_of.RNN, **_RECURRENT, wraps="cell"),
    "SeparableConv1D": LegacyLayer(cls=_of.SeparableConv1D, **_SEPARABLE),
    "SeparableConv2D": LegacyLayer(cls=_of.SeparableConv2D, **_SEPARABLE),
    "SimpleRNN": LegacyLayer(cls=_of.SimpleRNN, **_WITH_CELL),
    "StackedRNNCells": LegacyLayer(cls=_of.StackedRNNCells, wraps="cells"),
    "ThresholdedReLU": LegacyLayer(cls=_of.ReLU, renamed={"theta": "threshold"}),
    "TimeDistributed": LegacyLayer(cls=keras2_masks.TimeDistributed, wraps="layer"),
}

_UNLISTED = LegacyLayer(cls=keras.layers.Layer)


def known(kind: str) -> LegacyLayer:
    """Returns the entry of a class; one without changes for a class of the user's."""
    return LAYERS.get(kind, _UNLISTED)
