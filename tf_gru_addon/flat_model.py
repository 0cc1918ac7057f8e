"""The form in which exports and streams read a model."""

from __future__ import annotations

from typing import Any

import keras

from tf_gru_addon.errors import ExportError
from tf_gru_addon.shadow import shadow


def flat_model(model: Any) -> keras.Model:
    """Returns a shadow of a model whose inputs and outputs are flat lists.

    The shadow shares the weights of the model. Running or changing the shadow does not
    change the model.

    Args:
        model: A Sequential or functional model.

    Raises:
        ExportError: `model` is not a Keras model, is not built, or does not declare its
            inputs, as a subclass of `keras.Model` may not.
    """
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"model must be a keras.Model; received a {type(model).__name__}."
        )
    wrap = "x = keras.Input(shape); model = keras.Model(x, model(x))"
    if not model.built:
        raise ExportError(
            f"{model.name}: the model is not built, so its weights and input shapes "
            f"are unknown. Begin it with a keras.Input, or call it: {wrap}."
        )
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise ExportError(
            f"{model.name}: a {type(model).__name__} does not say what its inputs are. "
            f"Make it a functional model: {wrap}."
        )
    copy = shadow(model)  # Keras sets attributes of the layers of a new model.
    return keras.Model(list(copy.inputs), list(copy.outputs), name=copy.name)
