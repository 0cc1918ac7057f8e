"""Configs of Keras 1 in the words of Keras 2."""

from __future__ import annotations

import warnings
from typing import Any

from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect, short

_RENAMED = {
    "U_regularizer": "recurrent_regularizer",
    "W_constraint": "kernel_constraint",
    "W_regularizer": "kernel_regularizer",
    "b_constraint": "bias_constraint",
    "b_regularizer": "bias_regularizer",
    "beta_init": "beta_initializer",
    "bias": "use_bias",
    "border_mode": "padding",
    "dropout_U": "recurrent_dropout",
    "dropout_W": "dropout",
    "gamma_init": "gamma_initializer",
    "init": "kernel_initializer",
    "inner_activation": "recurrent_activation",
    "inner_init": "recurrent_initializer",
    "output_dim": "units",
    "p": "rate",
    "pool_length": "pool_size",
    "sigma": "stddev",
    "stride": "strides",
}
_RENAMED_IN_EMBEDDING = {
    "W_constraint": "embeddings_constraint",
    "W_regularizer": "embeddings_regularizer",
    "init": "embeddings_initializer",
}
_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "TimeDistributedDense": "Dense",
}
_MERGES = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}


def modern(entry: Any) -> Any:
    """Returns the JSON of a layer or model of Keras 1 as Keras 2 would have it.

    Raises:
        LegacyModelError: It asks for what came to have no counterpart.
    """
    expect(entry, dict, "a layer")
    config = entry.get("config")
    if isinstance(config, list):
        return {**entry, "config": [modern(layer) for layer in config]}
    config = dict(expect(config, dict, "the config of a layer"))
    kind = expect(entry.get("class_name"), str, "the class_name of a layer")
    where = f"layer {config.get('name')!r} ({kind})"
    if isinstance(layers := config.get("layers"), list) and kind != "Merge":
        config["layers"] = [modern(layer) for layer in layers]
        return {**entry, "config": config}
    if isinstance(config.get("layer"), dict):
        config["layer"] = modern(config["layer"])
    if kind == "Merge":
        kind, config = _merge(config, where)
    elif kind == "Embedding":
        config = _embedding(config, where)
    elif kind == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise LegacyModelError(
            f"{where} normalizes in a mode that only Keras 1 had; only mode 0 is known."
        )
    if "forget_bias_init" in config:
        config["unit_forget_bias"] = config.pop("forget_bias_init") == "one"
    if "consume_less" in config:
        config["implementation"] = 2 if config.pop("consume_less") == "gpu" else 1
    if kind != "Embedding":  # whose output_dim kept its name
        config = {_RENAMED.get(name, name): value for name, value in config.items()}
    return {**entry, "class_name": _CLASSES.get(kind, kind), "config": config}


def _embedding(config: dict[str, Any], where: str) -> dict[str, Any]:
    if config.pop("dropout", 0):
        warnings.warn(
            f"{where} dropped whole words in training, as no Embedding of Keras 3 "
            "does: predictions are the same, further training is not.",
            stacklevel=2,
        )
    renamed = _RENAMED_IN_EMBEDDING
    return {renamed.get(name, name): value for name, value in config.items()}


def _merge(config: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    mode = config.get("mode")
    if config.get("layers") or config.get("mode_type", "raw") != "raw":
        raise LegacyModelError(
            f"{where} holds layers or code of its own, which is not known here. Build "
            "the model anew with keras.layers.Concatenate, Add, ..., and set its "
            "weights."
        )
    if not isinstance(mode, str) or mode not in _MERGES:
        raise LegacyModelError(
            f"{where} merges in the mode {short(mode)}; known are "
            f"{', '.join(sorted(_MERGES))}."
        )
    merged = {"name": config.get("name"), "trainable": config.get("trainable", True)}
    if mode == "concat":
        merged["axis"] = config.get("concat_axis", -1)
    return _MERGES[mode], merged
