"""The arguments of layers: their names and values in Keras 1 and 2, and now."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from tf_gru_addon import activations
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.layers.gru_cell import GRUCell
from tf_gru_addon.migrate.legacy import catalog
from tf_gru_addon.migrate.legacy.config import Entry
from tf_gru_addon.migrate.legacy.errors import (
    LegacyModelError,
    building,
    expect,
    short,
)

#: The user's own classes and functions, by name.
Custom = Mapping[str, Any]

#: Arguments that the file repeats elsewhere, or that do not change the result.
_DROPPED = (
    *(
        "autocast",
        "batch_input_shape",
        "batch_shape",
        "causal",
        "experimental_autocast",
    ),
    *("fused", "input_dtype", "input_length", "input_shape", "input_spec", "key_shape"),
    *("optional", "query_shape", "shared_object_id", "value_shape"),
)

#: Arguments that Keras 3 lacks: the value that changes nothing, and what an error says
#: about other values.
_REMOVED: dict[str, tuple[Any, str]] = {
    "time_major": (
        False,
        "Keras 3 only takes (batch, timesteps, features). Save the model again with "
        "time_major=False, which has the same weights, and transpose its inputs",
    ),
    "num_constants": (None, "constants of an RNN are not supported"),
    "reverse_state_order": (False, "states in reverse order are not supported"),
    "renorm": (False, "batch renormalization is not supported"),
    "virtual_batch_size": (None, "virtual batches are not supported"),
    "softmax_robust_masking": (False, "this masking is not supported"),
    "adjustment": (None, "it is a function, and code in a file is never run"),
}


def keras_3_arguments(
    entry: Entry, cls: type[keras.layers.Layer], config: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the arguments of a layer under their names in Keras 3.

    Args:
        entry: The layer's entry.
        cls: The class that takes its place.
        config: The layer's config, in the terms of Keras 2.

    Returns:
        The arguments by name. Their values are still those of the file.

    Raises:
        LegacyModelError: An argument is unknown, or its value is not supported.
    """
    layer = catalog.known(entry.kind)
    given = {layer.renamed.get(name, name): value for name, value in config.items()}
    for name, (harmless, remedy) in _REMOVED.items():
        value = given.pop(name, harmless)
        if value != harmless:
            raise LegacyModelError(
                f"{entry.where} has {name}={short(value)}; {remedy}."
            )
    for name in (*_DROPPED, *layer.unused):
        given.pop(name, None)
    if entry.kind != "Embedding":
        given.pop("input_dim", None)
    given |= layer.fixed
    if cls in (GRU, GRUCell):
        _complete_gru(given, entry.where)
    else:
        given.pop("implementation", None)
    known = inspect.signature(cls.__init__).parameters
    if "data_format" in known and given.get("data_format") is None:
        given["data_format"] = "channels_last"
    extra = ["name", "dtype"]
    if any(p.kind is p.VAR_KEYWORD for p in known.values()):
        extra += ["trainable", "zero_output_for_mask"]
    else:  # A layer without weights does not take the argument.
        given.pop("trainable", None)
    for name in [n for n in given if n not in known and given[n] is None]:
        del given[name]
    if unknown := sorted(set(given) - set(known) - set(extra)):
        raise LegacyModelError(
            f"{entry.where} has the argument {unknown[0]}={short(given[unknown[0]])}, "
            f"which {entry.kind} does not take. If the class is your own, pass it as "
            f"custom_objects={{{entry.kind!r}: the class}}."
        )
    return given


def _complete_gru(given: dict[str, Any], where: str) -> None:
    # Keras 2.0 counted implementations from 0, and had no reset_after.
    given["implementation"] = given.get("implementation") or 1
    given.setdefault("reset_after", False)
    if "recurrent_activation" not in given:
        raise LegacyModelError(
            f"{where} lacks recurrent_activation, whose default is hard_sigmoid in "
            "some versions of Keras and sigmoid in others. Add it to the config."
        )


#: The activations that are the same functions in Keras 3.
_ACTIVATIONS = (
    *("elu", "exponential", "gelu", "linear", "log_softmax", "mish", "relu", "relu6"),
    *("selu", "sigmoid", "silu", "softmax", "softplus", "softsign", "tanh"),
)
_RENAMED_ACTIVATIONS = {"swish": "silu", "softmax_v2": "softmax"}

_INITIALIZERS = {
    **{
        name.lower(): getattr(keras.initializers, name)
        for name in (
            *("Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform"),
            *("Identity", "LecunNormal", "LecunUniform", "Ones", "Orthogonal"),
            *("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"),
            "Zeros",
        )
    },
    "normal": keras.initializers.RandomNormal,
    "one": keras.initializers.Ones,
    "uniform": keras.initializers.RandomUniform,
    "zero": keras.initializers.Zeros,
}
_REGULARIZERS = {
    "activityregularizer": keras.regularizers.L1L2,  # Keras 1's, as the next two.
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
#: The classes by the last word of the argument's name, and by their names in lower case
#: without underscores.
_PARTS: dict[str, dict[str, Any]] = {
    "initializer": _INITIALIZERS,
    "regularizer": _REGULARIZERS,
    "constraint": _CONSTRAINTS,
}
_DTYPES = (
    *("float16", "bfloat16", "float32", "float64"),
    *("mixed_float16", "mixed_bfloat16"),
)


def find_custom(custom: Custom, name: str) -> Any:
    """Returns the user's object by its name, with or without its package; or None."""
    return custom.get(name, custom.get(name.rpartition(">")[2]))


def activation(value: Any, custom: Custom, where: str) -> Any:
    """Returns the activation for a value in a config: a name or a function.

    "hard_sigmoid" becomes the function that had this name before Keras 3,
    `clip(0.2 x + 0.5, 0, 1)`.

    Args:
        value: None, a name, or a dict that names a function.
        custom: The user's own objects, by name.
        where: The layer, for messages.

    Raises:
        LegacyModelError: The activation is unknown.
    """
    if value is None:
        return "linear"
    name = value
    if isinstance(value, dict) and value.get("class_name") == "function":
        name = value.get("config")
    if isinstance(name, str):
        name = _RENAMED_ACTIVATIONS.get(name, name)
        if (own := find_custom(custom, name)) is not None:
            return own
        if name == "hard_sigmoid":
            return activations.hard_sigmoid
        if name in _ACTIVATIONS:
            return name
    raise LegacyModelError(
        f"{where}: the activation {short(value)} is not one of Keras' own. Pass it as "
        'custom_objects={"its name": the function}; code in a file is never run.'
    )


def part(
    argument: str,
    value: Any,
    custom: Custom,
    where: str,
    left_out: dict[str, list[str]],
) -> Any:
    """Returns the initializer, regularizer or constraint for a value in a config.

    Args:
        argument: The name of the layer's argument, which ends in one of these words.
        value: None, a name, or a dict of a class and its config.
        custom: The user's own objects, by name.
        where: The layer, for messages.
        left_out: Receives each object that is neither Keras' own nor in `custom`, with
            its layers. The layer is made without it: only training depends on it.

    Raises:
        LegacyModelError: The value is malformed, or Keras refuses it.
    """
    if value is None:
        return None
    kind = argument.rpartition("_")[2]
    name, config = _name_and_config(value, f"{where}: {argument}")
    if (own := find_custom(custom, name)) is not None:
        with building(f"{where}: {argument} {short(value)}"):
            return own(**config) if isinstance(own, type) else own
    cls = _PARTS[kind].get(name.replace("_", "").lower())
    if cls is None:
        layers = left_out.setdefault(f"the {kind} {short(name)}", [])
        if where not in layers:
            layers.append(where)
        return "zeros" if kind == "initializer" else None
    if kind == "initializer":
        config.pop("dtype", None)  # TensorFlow 1's; the layer's dtype decides.
        if config.get("distribution") == "normal":
            config["distribution"] = "truncated_normal"
    elif "m" in config:
        config["max_value"] = config.pop("m")  # Keras 1's MaxNorm.
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
    if "class_name" not in value:  # Keras 1 put the name among the arguments.
        config = dict(value)
        return expect(config.pop("name", None), str, f"{what}.name"), config
    config = value.get("config") or {}
    return (
        expect(value["class_name"], str, f"{what}.class_name"),
        dict(expect(config, dict, f"{what}.config")),
    )


def dtype(value: Any, floatx: str, where: str) -> Any:
    """Returns the name of the dtype, or dtype policy, for a value in a config.

    Args:
        value: None, a name, or a policy as a dict.
        floatx: The dtype if the config leaves it open.
        where: The layer, for messages.

    Raises:
        LegacyModelError: The dtype is not supported.
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
