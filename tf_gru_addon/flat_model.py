"""The form in which exports and streams read a model."""

from __future__ import annotations

import keras

from tf_gru_addon.errors import ExportError


def flat_model(model: keras.Model) -> keras.Model:
    """Returns a model of the same layers whose inputs and outputs are flat lists.

    Args:
        model: What is to be exported.

    Raises:
        ExportError: It is no Keras model, it is not built, or it does not know its
            inputs (a subclass of `keras.Model`).
    """
    if not isinstance(model, keras.Model):
        raise ExportError(
            f"model must be a keras.Model; received a {type(model).__name__}."
        )
    wrap = "x = keras.Input(shape); model = keras.Model(x, model(x))"
    if not model.built:
        raise ExportError(
            f"{model.name}: the model is not built, so that its weights and input "
            f"shapes are unknown. Begin it with a keras.Input, or call it: {wrap}."
        )
    inputs = getattr(model, "inputs", None)
    if not inputs or not getattr(model, "outputs", None):
        raise ExportError(
            f"{model.name}: a {type(model).__name__} does not say what its inputs are. "
            f"Make it a functional model: {wrap}."
        )
    return keras.Model(list(inputs), list(model.outputs), name=model.name)
