"""Framewise layers as functions of NumPy arrays, in float32, with copied weights.

TensorFlow runs the layers that are missing here.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import activations
from tf_gru_addon.layers import keras2_masks

Function = Callable[..., np.ndarray]

_ZERO = np.float32(0)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # in (0, 1]: no overflow
    y: np.ndarray = np.where(x >= 0, 1, small) / (1 + small)
    return y


def _softmax(x: np.ndarray) -> np.ndarray:
    y: np.ndarray = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def _elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def _hard_sigmoid(slope: float) -> Function:
    return lambda x: np.clip(np.float32(slope) * x + np.float32(0.5), 0, 1)


#: Activations of tensors, and what computes them on arrays.
ACTIVATIONS: dict[Callable[..., Any], Function] = {
    keras.activations.linear: lambda x: x,
    keras.activations.relu: lambda x: np.maximum(x, _ZERO),
    keras.activations.sigmoid: _sigmoid,
    keras.activations.tanh: np.tanh,
    keras.activations.softmax: _softmax,
    keras.activations.elu: _elu,
    keras.activations.silu: lambda x: x * _sigmoid(x),
    keras.activations.softplus: lambda x: np.logaddexp(x, _ZERO),
    keras.activations.hard_sigmoid: _hard_sigmoid(1 / 6),
    activations.hard_sigmoid: _hard_sigmoid(0.2),
}


def activation(function: Callable[..., Any] | None) -> Function:
    """Returns an activation of arrays; TensorFlow runs those not in `ACTIVATIONS`.

    Args:
        function: The activation of tensors, or None for linear.
    """
    if function is None:
        function = keras.activations.linear
    if function in ACTIVATIONS:
        return ACTIVATIONS[function]
    return lambda x: np.asarray(function(tf.constant(x)))


def affine(kernel: Any, bias: Any) -> Function:
    """Returns x -> x W + b along the last axis of x.

    Args:
        kernel: W, (features, units); copied.
        bias: b, (units,), or None; copied.
    """
    kernel = np.array(kernel, np.float32)
    bias = None if bias is None else np.array(bias, np.float32)
    features, units = kernel.shape

    def apply(x: np.ndarray) -> np.ndarray:
        y: np.ndarray = np.dot(x.reshape(-1, features), kernel)
        if bias is not None:
            y += bias
        return y.reshape(*x.shape[:-1], units)

    return apply


def function_of(layer: Any, rank: int) -> Function | None:
    """Returns what a layer computes in inference, or None if it is not known here.

    Args:
        layer: A layer with the compute dtype float32.
        rank: The number of axes of each of its inputs.
    """
    make = _LAYERS.get(type(layer))
    axes = getattr(layer, "axis", -1)
    axes = axes if isinstance(axes, list | tuple) else [axes]
    over_features = all(axis % rank == rank - 1 for axis in axes)
    quantized = getattr(layer, "quantization_mode", None)
    return make(layer) if make and over_features and not quantized else None


def mask_function_of(layer: Any) -> Function | None:
    """Returns what computes the mask that a layer makes, or None if it makes none.

    Args:
        layer: A layer that `function_of` knows.
    """
    if isinstance(layer, keras.layers.Masking):
        value = np.float32(layer.mask_value)
        return lambda x: (x != value).any(axis=-1)
    if isinstance(layer, keras.layers.Embedding) and layer.mask_zero:
        return lambda x: x != 0
    return None


def identity(x: np.ndarray) -> np.ndarray:
    """Returns x: what a layer that acts only in training computes in inference."""
    return x


def _dense(layer: keras.layers.Dense) -> Function:
    product = affine(layer.kernel, layer.bias if layer.use_bias else None)
    if layer.activation in (None, keras.activations.linear):
        return product
    activate = activation(layer.activation)
    return lambda x: activate(product(x))


def _batch_normalization(layer: keras.layers.BatchNormalization) -> Function:
    variance = np.array(layer.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale *= np.asarray(layer.gamma)
    offset = -np.asarray(layer.moving_mean) * scale
    if layer.center:
        offset += np.asarray(layer.beta)
    scale, offset = scale.astype(np.float32), offset.astype(np.float32)
    return lambda x: x * scale + offset


def _layer_normalization(layer: keras.layers.LayerNormalization) -> Function | None:
    if getattr(layer, "rms_scaling", False):
        return None
    gamma = np.array(layer.gamma) if layer.scale else np.float32(1)
    beta = np.array(layer.beta) if layer.center else _ZERO
    epsilon = np.float32(layer.epsilon)

    def apply(x: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        variance = (x * x).mean(axis=-1, keepdims=True)
        y: np.ndarray = x / np.sqrt(variance + epsilon) * gamma + beta
        return y

    return apply


def _embedding(layer: keras.layers.Embedding) -> Function:
    name, table = layer.name, np.array(layer.embeddings)

    def apply(x: np.ndarray) -> np.ndarray:
        ids = x.astype(np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
            raise ValueError(
                f"frames of {name}, an Embedding, must be from 0 to {len(table) - 1}; "
                f"received {ids.min()} to {ids.max()}."
            )
        return table[ids]

    return apply


def _masking(layer: keras.layers.Masking) -> Function:
    value = np.float32(layer.mask_value)
    return lambda x: np.where((x != value).any(axis=-1, keepdims=True), x, _ZERO)


def _add(*inputs: np.ndarray) -> np.ndarray:
    return functools.reduce(operator.add, inputs)


def _multiply(*inputs: np.ndarray) -> np.ndarray:
    return functools.reduce(operator.mul, inputs)


def _concatenate(*inputs: np.ndarray) -> np.ndarray:
    return np.concatenate(inputs, axis=-1)


_LAYERS: dict[type, Callable[[Any], Function | None]] = {
    **{
        kind: lambda layer: identity
        for kind in (
            keras.layers.ActivityRegularization,
            keras.layers.AlphaDropout,
            keras.layers.Dropout,
            keras.layers.GaussianDropout,
            keras.layers.GaussianNoise,
            keras.layers.Identity,
            keras.layers.SpatialDropout1D,
        )
    },
    keras.layers.Activation: lambda layer: activation(layer.activation),
    keras.layers.Add: lambda layer: _add,
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Concatenate: lambda layer: _concatenate,
    keras.layers.Dense: _dense,
    keras.layers.Embedding: _embedding,
    keras.layers.LayerNormalization: _layer_normalization,
    keras.layers.Masking: _masking,
    keras.layers.Multiply: lambda layer: _multiply,
    keras2_masks.Add: lambda layer: _add,
    keras2_masks.Concatenate: lambda layer: _concatenate,
    keras2_masks.Multiply: lambda layer: _multiply,
}
