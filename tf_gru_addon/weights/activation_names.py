"""Names of activations: those of this package, and those in a Keras config.

A stack names an activation as `tf_gru_addon.GRU` does. Two functions share the name
"hard_sigmoid":

    hard_sigmoid        clip(0.2 x + 0.5, 0, 1)   Keras 1 and 2, TensorFlow r2.0
    keras_hard_sigmoid  relu6(x + 3) / 6          Keras 3
"""

from __future__ import annotations

from typing import Any

from tf_gru_addon.errors import did_you_mean
from tf_gru_addon.weights.errors import WeightsError

#: Synonyms in configs of older versions of Keras and of this package.
_OTHER_NAMES = {
    "swish": "silu",
    "softmax_v2": "softmax",
    "tf_gru_addon>hard_sigmoid": "hard_sigmoid",
    "tf_gru_addon>r2_0_hard_sigmoid": "hard_sigmoid",
}
_NO_ACTIVATIONS = ("get", "serialize", "deserialize")


def require_activation(name: str, value: Any) -> None:
    """Checks that a value names an activation.

    Args:
        name: The argument's name, for the error.
        value: The argument.

    Raises:
        WeightsError: It is not the name of a known activation.
    """
    if not isinstance(value, str) or not value:
        raise WeightsError(
            f"{name} must be the name of an activation; received: {value!r}."
        )
    if not _is_known(value):
        raise WeightsError(
            f"{name} must be the name of an activation; received: {value!r}. "
            f"{did_you_mean(value, _known())}"
        )


def _is_known(name: str) -> bool:
    from tf_gru_addon import activations

    try:
        activations.get(name)
    except (ValueError, TypeError):
        return False
    return True


def _known() -> list[str]:
    import keras

    names = [
        name
        for name, value in vars(keras.activations).items()
        if callable(value) and name not in _NO_ACTIVATIONS
    ]
    return sorted([*names, "keras_hard_sigmoid"])


def name_in_config(value: Any, *, keras_3: bool, ours: bool) -> str | None:
    """Returns the name of the activation in a layer's config.

    Args:
        value: The config's entry.
        keras_3: Whether Keras 3 wrote the config.
        ours: Whether the layer is one of this package.

    Returns:
        The name in this package; None for an unknown function.
    """
    if value is None:
        return "linear"
    bare = isinstance(value, str)
    if isinstance(value, dict):
        value = value.get("config")
    if not isinstance(value, str):
        return None
    if value in _OTHER_NAMES:
        return _OTHER_NAMES[value]
    if value == "hard_sigmoid" and keras_3 and not (ours and bare):
        return "keras_hard_sigmoid"
    return value if _is_known(value) else None
