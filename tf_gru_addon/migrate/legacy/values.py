"""The arguments of layers that are more than numbers, as Keras 1 and 2 had them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tf_gru_addon import activations
from tf_gru_addon.migrate.legacy.errors import (
    LegacyModelError,
    building,
    expect,
    short,
)

Custom = Mapping[str, Any]

#: The activations that mean in Keras 3 what they meant before.
_ACTIVATIONS = (
    *("elu", "exponential", "gelu", "linear", "log_softmax", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh"),
)
_OTHER_NAMES = {"swish": "silu", "softmax_v2": "softmax"}

_initializers = keras.initializers
_INITIALIZERS = {
    "constant": _initializers.Constant,
    "glorotnormal": _initializers.GlorotNormal,
    "glorotuniform": _initializers.GlorotUniform,
    "henormal": _initializers.HeNormal,
    "heuniform": _initializers.HeUniform,
    "identity": _initializers.Identity,
    "lecunnormal": _initializers.LecunNormal,
    "lecununiform": _initializers.LecunUniform,
    "normal": _initializers.RandomNormal,
    "one": _initializers.Ones,
    "ones": _initializers.Ones,
    "orthogonal": _initializers.Orthogonal,
    "randomnormal": _initializers.RandomNormal,
    "randomuniform": _initializers.RandomUniform,
    "truncatednormal": _initializers.TruncatedNormal,
    "uniform": _initializers.RandomUniform,
    "variancescaling": _initializers.VarianceScaling,
    "zero": _initializers.Zeros,
    "zeros": _initializers.Zeros,
}
_REGULARIZERS = {
    "activityregularizer": keras.regularizers.L1L2,  # Keras 1's, as the next two
    "weightregularizer": keras.regularizers.L1L2,
    "l1l2regularizer": keras.regularizers.L1L2,
    "l1": keras.regularizers.L1,
    "l1l2": keras.regularizers.L1L2,
    "l2": keras.regularizers.L2,
    "orthogonalregularizer": keras.regularizers.OrthogonalRegularizer,
}
_CONSTRAINTS = {
    "maxnorm": keras.constraints.MaxNorm,
    "minmaxnorm": keras.constraints.MinMaxNorm,
    "nonneg": keras.constraints.NonNeg,
    "unitnorm": keras.constraints.UnitNorm,
}
_KINDS = {
    "initializer": _INITIALIZERS,
    "regularizer": _REGULARIZERS,
    "constraint": _CONSTRAINTS,
}
_DTYPES = (
    *("float16", "bfloat16", "float32", "float64"),
    *("mixed_float16", "mixed_bfloat16"),
)


def activation(value: Any, custom: Custom, where: str) -> Any:
    """Returns the activation that a config's value means: a name, or a function.

    "hard_sigmoid" is the function that it was then, `clip(0.2 x + 0.5, 0, 1)`.

    Raises:
        LegacyModelError: It is none that is known.
    """
    if value is None:
        return "linear"
    name = value
    if isinstance(value, dict) and value.get("class_name") == "function":
        name = value.get("config")
    if isinstance(name, str):
        name = _OTHER_NAMES.get(name, name)
        if (own := find(custom, name)) is not None:
            return own
        if name == "hard_sigmoid":
            return activations.hard_sigmoid
        if name in _ACTIVATIONS:
            return name
    raise LegacyModelError(
        f"{where}: the activation {short(value)} is none of Keras' own. Pass it as "
        'custom_objects={"its name": the function}; code within a file is never run.'
    )


def find(custom: Custom, name: str) -> Any:
    """Returns the user's own object of a name, or of a name without its package."""
    return custom.get(name, custom.get(name.rpartition(">")[2]))


def part_of_layer(
    argument: str,
    value: Any,
    custom: Custom,
    where: str,
    left_out: dict[str, list[str]],
) -> Any:
    """Returns the initializer, regularizer or constraint that a config's value means.

    Args:
        argument: The name of the layer's argument, which tells what it is.
        value: None, a name, or a dict of a class and its config.
        custom: The user's own, by name.
        where: The layer, for messages.
        left_out: Gets what is neither Keras' own nor in `custom`, and `where`. The
            layer does without it, because it matters in training only.

    Raises:
        LegacyModelError: It cannot be made of what the file has.
    """
    if value is None:
        return None
    kind = argument.rpartition("_")[2]
    name, config = _name_and_config(value, f"{where}: {argument}")
    if (own := find(custom, name)) is not None:
        with building(f"{where}: {argument} {short(value)}"):
            return own(**config) if isinstance(own, type) else own
    cls = _KINDS[kind].get(name.replace("_", "").lower())
    if cls is None:
        layers = left_out.setdefault(f"the {kind} {short(name)}", [])
        if where not in layers:
            layers.append(where)
        return "zeros" if kind == "initializer" else None
    if kind == "initializer":
        config = _initializer_config(config)
    elif "m" in config:
        config["max_value"] = config.pop("m")  # Keras 1's MaxNorm
    for key, item in config.items():
        expect(item, (int, float, str, bool, type(None)), f"{where}: {argument}.{key}")
    with building(f"{where}: {argument} {short(value)}"):
        return cls(**config)


def _name_and_config(value: Any, what: str) -> tuple[str, dict[str, Any]]:
    if isinstance(value, dict) and value.get("class_name") == "function":
        value = value.get("config")
    if isinstance(value, str):
        return value, {}
    expect(value, dict, what)
    if "class_name" not in value:  # Keras 1: the name stands among the arguments
        config = dict(value)
        return expect(config.pop("name", None), str, f"{what}.name"), config
    config = value.get("config") or {}
    return (
        expect(value["class_name"], str, f"{what}.class_name"),
        dict(expect(config, dict, f"{what}.config")),
    )


def _initializer_config(config: dict[str, Any]) -> dict[str, Any]:
    # The dtype of tf.keras 1's initializers is the layer's to say.
    config.pop("dtype", None)
    if config.get("distribution") == "normal":
        config["distribution"] = "truncated_normal"
    return config


def dtype(value: Any, floatx: str, where: str) -> str:
    """Returns the name of the dtype, or dtype policy, that a config's value means.

    Args:
        value: None, a name, or a policy as a dict.
        floatx: The dtype where the config leaves it open.
        where: The layer, for messages.

    Raises:
        LegacyModelError: It is none that is known.
    """
    name = value
    if isinstance(value, dict):
        config = value.get("config")
        name = config.get("name") if isinstance(config, dict) else value
    if name in (None, "infer", "_infer"):
        return floatx
    if name in _DTYPES:
        return name
    raise LegacyModelError(
        f"{where}: the dtype must be one of {', '.join(_DTYPES)}; the file has "
        f"{short(value)}."
    )
