"""The layers that are known, and what became of their arguments."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.migrate.legacy.errors import LegacyModelError, short

#: Layers by their class in a file, and what takes their place.
LAYERS: dict[str, type[keras.layers.Layer]] = {
    name: getattr(keras.layers, name)
    for name in (
        *("Activation", "ActivityRegularization", "AdditiveAttention"),
        *("AlphaDropout", "Attention", "AveragePooling1D", "AveragePooling2D"),
        *("BatchNormalization", "Conv1D", "Conv1DTranspose", "Conv2D"),
        *("Conv2DTranspose", "ConvLSTM1D", "ConvLSTM2D", "Cropping1D", "Cropping2D"),
        *("Dense", "DepthwiseConv1D", "DepthwiseConv2D", "Dot", "Dropout", "ELU"),
        *("EinsumDense", "Embedding", "Flatten", "GaussianDropout", "GaussianNoise"),
        *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D"),
        *("GlobalMaxPooling2D", "GroupNormalization", "Identity", "LSTM", "LSTMCell"),
        *("LayerNormalization", "LeakyReLU", "Masking", "MaxPooling1D"),
        *("MaxPooling2D", "PReLU", "Permute", "ReLU", "RepeatVector", "Rescaling"),
        *("Reshape", "SeparableConv1D", "SeparableConv2D", "SimpleRNN"),
        *("SimpleRNNCell", "Softmax", "SpatialDropout1D", "SpatialDropout2D"),
        *("UnitNormalization", "UpSampling1D", "UpSampling2D", "ZeroPadding1D"),
        "ZeroPadding2D",
    )
} | {
    "BatchNormalizationV1": keras.layers.BatchNormalization,
    "BatchNormalizationV2": keras.layers.BatchNormalization,
    "CuDNNGRU": GRU,
    "CuDNNLSTM": keras.layers.LSTM,
    "GRU": GRU,
    "GRUCell": GRUCell,
    "MultiHeadAttention": keras2_masks.MultiHeadAttention,
    "ThresholdedReLU": keras.layers.ReLU,
    **{name: getattr(keras2_masks, name) for name in keras2_masks.MERGING},
}

#: Layers that hold others.
WRAPPERS = ("Bidirectional", "RNN", "StackedRNNCells", "TimeDistributed")
MODELS = ("Functional", "Model", "Sequential")

#: Layers whose weights are those of their `cell`.
WITH_CELL = ("GRU", "LSTM", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D")
#: Layers that take states besides the sequence.
RECURRENT = (*WITH_CELL, "CuDNNGRU", "CuDNNLSTM", "RNN", "Bidirectional")
#: Layers that take a list of inputs, even of one.
ATTENTION = ("AdditiveAttention", "Attention")
MERGING = (*keras2_masks.MERGING, *ATTENTION, "Dot")
_ATTENDED = ("mask", "training", "return_attention_scores", "use_causal_mask")
#: What a call can have besides its inputs, where it is more than mask and training.
CALL_ARGUMENTS = {
    **dict.fromkeys(RECURRENT, ("initial_state", "mask", "training")),
    **dict.fromkeys(ATTENTION, _ATTENDED),
    "MultiHeadAttention": (*_ATTENDED, "attention_mask", "key", "value"),
}
#: Layers that hold code.
CODE = ("Lambda",)
CONVOLUTIONS = tuple(name for name in LAYERS if "Conv" in name)
#: The layers within a layer that have its weights, by its attributes, in order.
WITHIN = {
    "MultiHeadAttention": (
        "_query_dense",
        "_key_dense",
        "_value_dense",
        "_output_dense",
    )
}
#: What a layer's arrays were called, where Keras 3 calls them otherwise.
ARRAY_NAMES = dict.fromkeys(
    ("DepthwiseConv1D", "DepthwiseConv2D"), ("depthwise_kernel", "bias")
)

_RENAMED = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "ThresholdedReLU": {"theta": "threshold"},
}

#: What is fixed in a class that had no argument for it.
_FIXED = {
    "CuDNNGRU": {
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "reset_after": True,
    },
    "CuDNNLSTM": {"activation": "tanh", "recurrent_activation": "sigmoid"},
}

#: Arguments that a class had from another, and did not use.
_UNUSED = dict.fromkeys(
    ("DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    ("groups", "kernel_constraint", "kernel_initializer", "kernel_regularizer"),
)
_UNUSED |= dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose"), ("groups",))
_UNUSED |= dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D"), ("unroll",))

#: Said elsewhere in the file, or about how to run and not what.
_DROPPED = (
    *(
        "autocast",
        "batch_input_shape",
        "batch_shape",
        "causal",
        "experimental_autocast",
    ),
    *("fused", "input_dtype", "input_length", "input_shape", "input_spec"),
    *("key_shape", "optional", "query_shape", "shared_object_id", "value_shape"),
)

#: Arguments that are gone: the value that every Keras can do without, and what to do
#: about others.
_GONE = {
    "time_major": (
        False,
        "Keras 3 takes (batch, timesteps, features) alone. Write the file again from a "
        "model with time_major=False, which has the same weights, and transpose its "
        "inputs",
    ),
    "num_constants": (None, "constants of an RNN are not supported"),
    "reverse_state_order": (False, "the states of stacked cells stand in order here"),
    "renorm": (False, "batch renormalization is not supported"),
    "virtual_batch_size": (None, "virtual batches are not supported"),
    "softmax_robust_masking": (False, "this masking is not supported"),
    "adjustment": (None, "it is a function, and code within a file is never run"),
}


def arguments(kind: str, cls: type, config: dict[str, Any], where: str) -> dict:
    """Returns the arguments of a config under the names that Keras 3 has for them.

    Their values are still those of the file.

    Args:
        kind: The layer's class in the file.
        cls: What takes its place.
        config: The layer's config, as Keras 2 wrote it.
        where: The layer, for messages.

    Raises:
        LegacyModelError: An argument is unknown, or what it asks for cannot be done.
    """
    renamed = _RENAMED.get(kind, {})
    given = {renamed.get(name, name): value for name, value in config.items()}
    for name, (harmless, remedy) in _GONE.items():
        value = given.pop(name, harmless)
        if value != harmless:
            raise LegacyModelError(f"{where} has {name}={short(value)}; {remedy}.")
    for name in (*_DROPPED, *_UNUSED.get(kind, ())):
        given.pop(name, None)
    if kind != "Embedding":
        given.pop("input_dim", None)
    given |= _FIXED.get(kind, {})
    if cls in (GRU, GRUCell):
        _complete_gru(given, where)
    else:
        given.pop("implementation", None)
    known = inspect.signature(cls.__init__).parameters
    if "data_format" in known and given.get("data_format") is None:
        given["data_format"] = "channels_last"
    extra = ["name", "dtype"]
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        extra += ["trainable", "zero_output_for_mask"]
    else:  # A layer without weights, which there is nothing to train in.
        given.pop("trainable", None)
    for name in [n for n in given if n not in known and given[n] is None]:
        del given[name]
    if unknown := sorted(set(given) - set(known) - set(extra)):
        raise LegacyModelError(
            f"{where} has the argument {unknown[0]}={short(given[unknown[0]])}, which "
            f"{kind} is not known to take. If the class is your own, pass it as "
            f"custom_objects={{{kind!r}: the class}}."
        )
    return given


def _complete_gru(given: dict[str, Any], where: str) -> None:
    # Keras 2.0 counted from 0, and had no reset_after.
    given["implementation"] = given.get("implementation") or 1
    given.setdefault("reset_after", False)
    if "recurrent_activation" not in given:
        raise LegacyModelError(
            f"{where} lacks recurrent_activation, whose default is hard_sigmoid in "
            "some versions of Keras and sigmoid in others. Add it to the config."
        )
