"""Builds a Keras model from a config."""

from __future__ import annotations

import typing

from tf_gru_addon.config.catalogs import LAYERS, OPTIMIZERS
from tf_gru_addon.config.errors import ConfigError, refused
from tf_gru_addon.config.schema import Config, require_config

if typing.TYPE_CHECKING:
    import keras


def build_model(config: Config) -> keras.Model:
    """Builds the model that a config describes, compiled and ready for `fit`.

    The model takes float32 `(batch, timesteps, features)` with any batch size and any
    number of timesteps. Pad shorter sequences with `data.padding_value`; the model's
    first layer masks the padding. The loss is sparse categorical cross-entropy, on
    probabilities if the last layer's activation is softmax, otherwise on logits. The
    metric is accuracy. `training.seed` sets the random state of Python, NumPy and
    TensorFlow before the weights are drawn.

    Args:
        config: The config, from `load_config` or `parse_config`.

    Returns:
        The model, with output shape `(batch, classes)`.

    Raises:
        ConfigError: `config` is not a config, Keras refuses a layer or the optimizer,
            or the last layer's output is not `(batch, classes)`. The message names the
            key: `model.layers[2].GRU`.

    Example:
        >>> from tf_gru_addon import build_model, load_config
        >>> model = build_model(load_config("configs/tiny.yaml"))
        >>> model.output_shape
        (None, 9)
    """
    require_config(config)
    import keras

    keras.utils.set_random_seed(config.training.seed)
    tensor = inputs = keras.Input((None, config.model.features), name="sequences")
    tensor = keras.layers.Masking(config.data.padding_value, name="masking")(tensor)
    layer = None
    for index, entry in enumerate(config.model.layers):
        where = f"model.layers[{index}]"
        layer = LAYERS.make(entry, where)
        (name,) = entry
        problem = f"cannot be applied to its input, of shape {tensor.shape}"
        with refused(f"{where}.{name}", problem):
            tensor = layer(tensor)
    if len(tensor.shape) != 2:
        raise ConfigError(
            where,
            "the last layer must give (batch, classes); its output has the shape "
            f"{tensor.shape}. Set `return_sequences: false` in the last recurrent "
            "layer.",
        )
    model = keras.Model(inputs, tensor, name="model")
    gives_logits = getattr(layer, "activation", None) is not keras.activations.softmax
    model.compile(
        OPTIMIZERS.make(config.optimizer, "optimizer"),
        keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits),
        metrics=["accuracy"],
    )
    return model
