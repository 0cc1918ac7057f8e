"""The catalogs: every layer, optimizer and so on that a config can name.

Keras and this package's layers are imported when a name is first looked up. Every layer
listed obeys its input's mask or passes it on, so padding never counts as data. Layers
that drop the mask (such as convolutions) or run code (`Lambda`) are not listed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from tf_gru_addon.config import kinds
from tf_gru_addon.config.catalog import Catalog


def _keras(module: str, *names: str) -> dict[str, Callable[[], type]]:
    def find(name: str) -> type:
        from tf_gru_addon import _compat as _compat  # says how to install Keras

        import keras  # isort: skip

        cls: type = getattr(getattr(keras, module), name)
        return cls

    return {name: functools.partial(find, name) for name in names}


def _gru() -> type:
    from tf_gru_addon.layers.gru import GRU

    return GRU


def _gru_cell() -> type:
    from tf_gru_addon.layers.gru_cell import GRUCell

    return GRUCell


def _layer_arguments() -> Mapping[str, kinds.Kind]:
    by_kind: dict[kinds.Kind, tuple[str, ...]] = {
        kinds.ACTIVATION: ("activation", "recurrent_activation"),
        INITIALIZERS: (
            *("kernel_initializer", "recurrent_initializer", "bias_initializer"),
            *("beta_initializer", "gamma_initializer"),
        ),
        REGULARIZERS: (
            *("kernel_regularizer", "recurrent_regularizer", "bias_regularizer"),
            *("beta_regularizer", "gamma_regularizer", "activity_regularizer"),
        ),
        CONSTRAINTS: (
            *("kernel_constraint", "recurrent_constraint", "bias_constraint"),
            *("beta_constraint", "gamma_constraint"),
        ),
        kinds.FLAG: (
            *("use_bias", "unit_forget_bias", "reset_after", "return_sequences"),
            *("go_backwards", "unroll", "zero_output_for_mask", "center", "scale"),
        ),
        kinds.RATE: ("dropout", "recurrent_dropout", "rate", "momentum"),
        kinds.NUMBER: (
            *("epsilon", "stddev", "max_value", "negative_slope", "threshold"),
        ),
        kinds.COUNT: ("units",),
        kinds.WHOLE: ("axis", "implementation"),
        kinds.SEED: ("seed",),
        kinds.TEXT: ("engine",),
        kinds.Choice(("concat", "sum", "mul", "ave")): ("merge_mode",),
        LAYERS: ("layer", "backward_layer"),
        CELLS: ("cell",),
        kinds.Many(CELLS): ("cells",),
    }
    return {name: kind for kind, names in by_kind.items() for name in names}


def _optimizer_arguments() -> Mapping[str, kinds.Kind]:
    numbers = (
        *("learning_rate", "beta_1", "beta_2", "epsilon", "weight_decay", "momentum"),
        *("rho", "clipnorm", "clipvalue", "global_clipnorm"),
        *("initial_accumulator_value",),
    )
    flags = ("nesterov", "amsgrad", "centered")
    return dict.fromkeys(numbers, kinds.NUMBER) | dict.fromkeys(flags, kinds.FLAG)


def _initializer_arguments() -> Mapping[str, kinds.Kind]:
    numbers = ("value", "gain", "mean", "stddev", "minval", "maxval", "scale")
    return dict.fromkeys(numbers, kinds.NUMBER) | {
        "seed": kinds.SEED,
        "mode": kinds.Choice(("fan_in", "fan_out", "fan_avg")),
        "distribution": kinds.Choice(
            ("truncated_normal", "untruncated_normal", "uniform")
        ),
    }


def _penalty_arguments() -> Mapping[str, kinds.Kind]:
    return dict.fromkeys(("l1", "l2"), kinds.NUMBER)


def _constraint_arguments() -> Mapping[str, kinds.Kind]:
    numbers = ("max_value", "min_value", "rate")
    return dict.fromkeys(numbers, kinds.NUMBER) | {"axis": kinds.WHOLE}


_DROPS_MASKS = "It ignores masks, so padding would count as data."
_RUNS_CODE = "A config cannot run code: build the model in Python instead."

INITIALIZERS = Catalog(
    "initializer",
    _keras(
        "initializers",
        *("constant", "glorot_normal", "glorot_uniform", "he_normal", "he_uniform"),
        *("identity", "lecun_normal", "lecun_uniform", "ones", "orthogonal"),
        *("random_normal", "random_uniform", "truncated_normal"),
        *("variance_scaling", "zeros"),
    ),
    _initializer_arguments,
    {},
)
REGULARIZERS = Catalog(
    "regularizer",
    _keras("regularizers", "l1", "l2", "l1_l2"),
    _penalty_arguments,
    {},
)
CONSTRAINTS = Catalog(
    "constraint",
    _keras("constraints", "max_norm", "min_max_norm", "non_neg", "unit_norm"),
    _constraint_arguments,
    {},
)
CELLS = Catalog(
    "cell",
    {"GRUCell": _gru_cell}
    | _keras("layers", "LSTMCell", "SimpleRNNCell", "StackedRNNCells"),
    _layer_arguments,
    {},
)
LAYERS = Catalog(
    "layer",
    {"GRU": _gru}
    | _keras(
        "layers",
        *("LSTM", "SimpleRNN", "RNN", "Bidirectional", "TimeDistributed", "Dense"),
        *("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout"),
        *("LayerNormalization", "BatchNormalization", "Activation", "ReLU"),
        *("GlobalAveragePooling1D",),
    ),
    _layer_arguments,
    {
        "Masking": "Every model already begins with it, for `data.padding_value`.",
        "Lambda": _RUNS_CODE,
        "Conv1D": _DROPS_MASKS,
        "GlobalMaxPooling1D": _DROPS_MASKS,
        "Flatten": _DROPS_MASKS,
    },
)
OPTIMIZERS = Catalog(
    "optimizer",
    _keras(
        "optimizers",
        *("Adam", "AdamW", "Nadam", "Adamax", "Adagrad", "Adadelta", "RMSprop"),
        *("SGD", "Lion"),
    ),
    _optimizer_arguments,
    {},
)
