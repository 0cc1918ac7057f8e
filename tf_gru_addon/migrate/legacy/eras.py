"""Which Keras wrote a file, and the configs of Keras 1 in the terms of Keras 2."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

from tf_gru_addon.migrate.legacy.errors import LegacyModelError, expect, short


class Era(NamedTuple):
    """The Keras that wrote a file.

    Attributes:
        version: The version in the file: "1.2.2", "2.2.4", "2.2.4-tf"; "1" without one.
        backend: "tensorflow" or "theano"; "" if the file does not say.
        floatx: The dtype of layers whose config has none.
    """

    version: str
    backend: str
    floatx: str

    @property
    def release(self) -> tuple[int, int]:
        """The major and the minor version; (1, 0) if the file has no version."""
        major, _, rest = self.version.partition(".")
        minor = rest.partition(".")[0]
        return int(major), int(minor) if minor.isdigit() else 0

    @property
    def is_keras_1(self) -> bool:
        """Whether Keras 1 wrote the file, with its own argument and array names."""
        return self.release < (2, 0)

    @property
    def is_tf_keras(self) -> bool:
        """Whether TensorFlow's Keras (tf.keras, tf_keras) wrote the file."""
        if self.is_keras_1:
            return False
        # Standalone Keras 2 ended with 2.3.
        return self.version.endswith("-tf") or self.release >= (2, 4)


def era_of(version: object, backend: object, floatx: str) -> Era:
    """Returns the era of a file.

    Args:
        version: The file's `keras_version`; None if it has none.
        backend: The file's `backend`; None if it has none.
        floatx: The dtype of layers whose config has none.

    Raises:
        LegacyModelError: The version is neither 1 nor 2.
    """
    if version is None:  # Keras 1.2 was the first to write its version.
        version = "1"
    text = version if isinstance(version, str) else ""
    major, _, rest = text.partition(".")
    if major == "3":
        raise LegacyModelError(
            f"the file was written by Keras {text}, which is not a legacy version. "
            "Load it with keras.saving.load_model."
        )
    minor = rest.partition(".")[0]
    if major not in ("1", "2") or (major == "2" and not minor.isdigit()):
        raise LegacyModelError(
            f"the file says that Keras {short(version)} wrote it; supported are the "
            "versions 1 and 2. The file is damaged, or was not written by Keras."
        )
    return Era(text, "" if backend is None else str(backend), floatx)


_RENAMED_ARGUMENTS = {
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
_RENAMED_CLASSES = {
    "Convolution1D": "Conv1D",
    "Convolution2D": "Conv2D",
    "TimeDistributedDense": "Dense",
}
_MERGE_MODES = {
    "ave": "Average",
    "concat": "Concatenate",
    "max": "Maximum",
    "mul": "Multiply",
    "sum": "Add",
}


def from_keras_1(layer: Any) -> dict[str, Any]:
    """Returns the JSON of a Keras 1 layer or model as Keras 2 would have written it.

    Args:
        layer: The JSON of a layer or model, with `class_name` and `config`.

    Raises:
        LegacyModelError: It uses a feature that Keras 2 no longer had.
    """
    expect(layer, dict, "a layer")
    config = layer.get("config")
    if isinstance(config, list):
        return {**layer, "config": [from_keras_1(inner) for inner in config]}
    config = dict(expect(config, dict, "the config of a layer"))
    kind = expect(layer.get("class_name"), str, "the class_name of a layer")
    where = f"layer {config.get('name')!r} ({kind})"
    if isinstance(layers := config.get("layers"), list) and kind != "Merge":
        config["layers"] = [from_keras_1(inner) for inner in layers]
        return {**layer, "config": config}
    if isinstance(config.get("layer"), dict):
        config["layer"] = from_keras_1(config["layer"])
    renamed = _RENAMED_ARGUMENTS
    if kind == "Merge":
        kind, config = _merge(config, where)
    elif kind == "Embedding":
        renamed = _RENAMED_IN_EMBEDDING  # Its output_dim kept the name.
        if config.pop("dropout", 0):
            warnings.warn(
                f"{where} drops whole words in training, which the Embedding of Keras "
                "3 cannot do. Predictions are the same; further training is not.",
                stacklevel=2,
            )
    elif kind == "BatchNormalization" and config.pop("mode", 0) != 0:
        raise LegacyModelError(
            f"{where} uses a mode that only Keras 1 had; only mode 0 is supported."
        )
    if "forget_bias_init" in config:
        config["unit_forget_bias"] = config.pop("forget_bias_init") == "one"
    if "consume_less" in config:
        config["implementation"] = 2 if config.pop("consume_less") == "gpu" else 1
    config = {renamed.get(name, name): value for name, value in config.items()}
    kind = _RENAMED_CLASSES.get(kind, kind)
    return {**layer, "class_name": kind, "config": config}


def _merge(config: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """Returns the class and the config of the Keras 2 layer for a `Merge`."""
    mode = config.get("mode")
    if config.get("layers") or config.get("mode_type", "raw") != "raw":
        raise LegacyModelError(
            f"{where} holds layers or code of its own, which is not supported. Rebuild "
            "the model with keras.layers.Concatenate, Add, ..., and set its weights."
        )
    if not isinstance(mode, str) or mode not in _MERGE_MODES:
        raise LegacyModelError(
            f"{where} merges in the mode {short(mode)}; supported are "
            f"{', '.join(sorted(_MERGE_MODES))}."
        )
    merged = {"name": config.get("name"), "trainable": config.get("trainable", True)}
    if mode == "concat":
        merged["axis"] = config.get("concat_axis", -1)
    return _MERGE_MODES[mode], merged
