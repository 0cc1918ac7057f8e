"""Checks of arguments, tensors and configs that the cell and the layer share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import activations, arguments

#: By the last word of an argument's name: the function that reads it, and what it is.
_PARTS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "activation": (activations.get, "an activation function"),
    "initializer": (keras.initializers.get, "a Keras initializer"),
    "regularizer": (keras.regularizers.get, "a Keras regularizer"),
    "constraint": (keras.constraints.get, "a Keras constraint"),
}
_BOOLEANS = (
    "use_bias",
    "reset_after",
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
    "trainable",
)


def part(name: str, value: Any) -> Any:
    """Returns an activation, initializer, regularizer or constraint.

    Args:
        name: The argument's name, which ends in one of these words.
        value: A name, a config, an object, or None.

    Raises:
        ValueError: `value` stands for none; the message names the argument.
    """
    get, what = _PARTS[name.rpartition("_")[2]]
    return arguments.converted(name, get, value, what)


def require_floating(layer: keras.layers.Layer) -> None:
    """Raises ValueError unless a layer computes and stores floating-point numbers."""
    for dtype in (layer.compute_dtype, layer.variable_dtype):
        if not tf.as_dtype(dtype).is_floating:
            raise ValueError(
                "dtype must be a floating-point dtype, or a policy such as "
                f"mixed_bfloat16; received: {dtype!r}."
            )


def real(name: str, tensor: Any, dtype: str) -> tf.Tensor:
    """Returns a tensor of real numbers, cast to a dtype.

    As in Keras' layers, integers and booleans count as numbers. Complex numbers are
    refused, because a cast drops their imaginary part; so is text.

    Args:
        name: What the tensor is, for the message.
        tensor: A tensor, or an object that TensorFlow converts to one; any shape.
        dtype: The dtype to return it in.

    Raises:
        ValueError: The tensor does not hold real numbers, or is not dense.
    """
    try:
        tensor = tf.convert_to_tensor(tensor)
    except (TypeError, ValueError) as error:  # None, ragged and sparse tensors
        raise ValueError(
            f"{name} must be a dense tensor; received a {type(tensor).__name__}."
        ) from error
    given = tensor.dtype
    if not (given.is_floating or given.is_integer or given.is_bool):
        raise ValueError(
            f"{name} must hold real numbers; received a tensor of the dtype "
            f"{given.name}. Convert it to a floating-point dtype first."
        )
    return tf.cast(tensor, dtype)


def require_sequences(
    layer: str, sequences: Any, features: int | None = None, unroll: bool = False
) -> None:
    """Raises ValueError unless an object has the shape of a layer's sequences.

    Args:
        layer: The layer's name, for the message.
        sequences: The object, (batch, timesteps, features).
        features: The number of features, if it is known.
        unroll: Whether the number of timesteps must be known.
    """
    shape = getattr(sequences, "shape", None)
    sizes = () if shape is None else tuple(shape)
    if len(sizes) != 3 or (features and sizes[2] not in (None, features)):
        here = f", here (batch, timesteps, {features})" if features else ""
        raise ValueError(
            f"sequences of {layer} must have the shape (batch, timesteps, features)"
            f"{here}; received {repr(sequences) if shape is None else sizes}."
        )
    if unroll and sizes[1] is None:
        raise ValueError(
            f"{layer} cannot unroll an unknown number of timesteps: the shape of "
            f"sequences is {sizes}. Give the timesteps in keras.Input(shape=("
            "timesteps, features)), or pass unroll=False."
        )


def is_boolean(tensor: tf.Tensor) -> bool:
    """Returns whether a tensor holds booleans, or integers, which count as booleans.

    Floating-point numbers count if they are known to be 0 and 1: early versions of
    Keras 3 convert a NumPy array of booleans to them.
    """
    if tensor.dtype.is_bool or tensor.dtype.is_integer:
        return True
    values = tf.get_static_value(tensor) if tensor.dtype.is_floating else None
    return values is not None and bool(np.isin(values, (0, 1)).all())


def timestep_mask(name: str, mask: Any, sizes: tf.TensorShape) -> tf.Tensor | None:
    """Returns a mask as booleans (batch, timesteps), or None.

    Args:
        name: What the mask is, for the message.
        mask: None, or booleans or integers, (batch, timesteps) or (batch, timesteps,
            1), or a list of one mask, which may go on with None for each state.
        sizes: Batch and timesteps of the sequences.

    Raises:
        ValueError: The mask has another dtype or shape, or there is more than one.
    """
    nested = isinstance(mask, list | tuple)
    if nested and not any(isinstance(row, list | tuple) for row in mask):
        if len(mask) == 0 or any(other is not None for other in mask[1:]):
            raise ValueError(
                f"{name} must be one tensor, (batch, timesteps); received a list of "
                f"{len(mask)}."
            )
        mask = mask[0]
    if mask is None:
        return None
    mask = tf.convert_to_tensor(mask)
    if not is_boolean(mask):
        raise ValueError(
            f"{name} must hold booleans, or integers where 0 means False; received a "
            f"tensor of the dtype {mask.dtype.name}. Compare it with a number, for "
            "instance mask > 0.5."
        )
    mask = tf.cast(mask, tf.bool)
    if mask.shape.rank == 3 and mask.shape[2] == 1:
        mask = tf.squeeze(mask, axis=2)
    if not mask.shape.is_compatible_with(sizes):
        raise ValueError(
            f"{name} must have the shape (batch, timesteps), here {tuple(sizes)}; "
            f"received {tuple(mask.shape)}."
        )
    return mask


def written_by_keras(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a config of Keras with values that the constructors here accept.

    Keras accepts 1 for True and a negative seed, and writes them into configs.
    """
    config = dict(config)
    for name in _BOOLEANS:
        if type(config.get(name)) is int and config[name] in (0, 1):
            config[name] = bool(config[name])
    if type(config.get("seed")) is int:
        config["seed"] = abs(config["seed"])
    return config
