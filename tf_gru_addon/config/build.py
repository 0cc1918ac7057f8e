"""From a config to a Keras model."""

from __future__ import annotations

import typing

from tf_gru_addon.config.errors import ConfigError, refused
from tf_gru_addon.config.parts import LAYERS, OPTIMIZERS
from tf_gru_addon.config.schema import Config, require_config

if typing.TYPE_CHECKING:
    import keras


def build_model(config: Config) -> keras.Model:
    """Builds the model that a config describes, compiled and ready for `fit`.

    The model takes `(batch, timesteps, features)`, any number of both, shorter
    sequences padded with `data.padding_value`; it begins by masking the padding. The
    loss is sparse categorical cross-entropy, on probabilities if the last layer's
    activation is softmax, else on logits; the metric is accuracy. The weights are drawn
    with `training.seed`, which sets the random state of Python, NumPy and TensorFlow.

    Args:
        config: what `load_config` returns.

    Returns:
        The model.

    Raises:
        ConfigError: `config` is none, Keras refuses a layer or the optimizer, or the
            last layer does not give `(batch, classes)`. The message names the place:
            `model.layers[2].GRU`.

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
    for index, part in enumerate(config.model.layers):
        where = f"model.layers[{index}]"
        layer = LAYERS.make(part, where)
        (name,) = part
        problem = f"cannot be built on what comes before, of the shape {tensor.shape}"
        with refused(f"{where}.{name}", problem):
            tensor = layer(tensor)
    if len(tensor.shape) != 2:
        raise ConfigError(
            where,
            "the last layer must give (batch, classes); it gives the shape "
            f"{tensor.shape}. The last recurrent layer returns no sequences.",
        )
    model = keras.Model(inputs, tensor, name="model")
    gives_logits = getattr(layer, "activation", None) is not keras.activations.softmax
    model.compile(
        OPTIMIZERS.make(config.optimizer, "optimizer"),
        keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits),
        metrics=["accuracy"],
    )
    return model
