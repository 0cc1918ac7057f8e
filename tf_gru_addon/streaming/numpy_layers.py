"""Layers that treat each frame alone as functions of NumPy arrays, in float32.

Their weights are copied. What is not here is called as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import activations
from tf_gru_addon.layers import keras2_masks

Function = Callable[..., np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    small = np.exp(-np.abs(x))  # in (0, 1]: nothing overflows
    return np.where(x >= 0, 1, small) / (1 + small)


def _softmax(x: np.ndarray) -> np.ndarray:
    y = np.exp(x - x.max(axis=-1, keepdims=True))
    y /= y.sum(axis=-1, keepdims=True)
    return y


def _hard_sigmoid(slope: float) -> Function:
    return lambda x: np.clip(np.float32(slope) * x + np.float32(0.5), 0, 1)


_ZERO = np.float32(0)
_ACTIVATIONS: dict[Callable, Function] = {
    keras.activations.linear: lambda x: x,
    keras.activations.relu: lambda x: np.maximum(x, _ZERO),
    keras.activations.sigmoid: _sigmoid,
    keras.activations.tanh: np.tanh,
    keras.activations.softmax: _softmax,
    keras.activations.elu: lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    keras.activations.silu: lambda x: x * _sigmoid(x),
    keras.activations.softplus: lambda x: np.logaddexp(x, _ZERO),
    keras.activations.hard_sigmoid: _hard_sigmoid(1 / 6),
    activations.hard_sigmoid: _hard_sigmoid(0.2),
}


def activation(function: Callable | None) -> Function:
    """Returns an activation of arrays; one that is not known here runs in TensorFlow.

    Args:
        function: The activation of tensors, or None for linear.
    """
    if function is None:
        function = keras.activations.linear
    if function in _ACTIVATIONS:
        return _ACTIVATIONS[function]
    return lambda x: np.asarray(function(tf.constant(x)))


def affine(kernel: Any, bias: Any) -> Function:
    """Returns x -> x W + b along the last axis of x.

    Args:
        kernel: W, (features, units).
        bias: b, (units,), or None.
    """
    kernel = np.array(kernel, np.float32)
    bias = None if bias is None else np.array(bias, np.float32)
    features, units = kernel.shape

    def apply(x):
        y = np.dot(x.reshape(-1, features), kernel)
        if bias is not None:
            y += bias
        return y.reshape(*x.shape[:-1], units)

    return apply


def function_of(layer: Any, rank: int) -> Function | None:
    """Returns what a layer computes of its inputs, in inference; None if not known.

    Args:
        layer: A layer that computes in float32.
        rank: The number of axes of each of its inputs.
    """
    make = _LAYERS.get(type(layer))
    axes = getattr(layer, "axis", -1)
    axes = axes if isinstance(axes, list | tuple) else [axes]
    over_features = all(axis % rank == rank - 1 for axis in axes)
    quantized = getattr(layer, "quantization_mode", None)
    return make(layer) if make and over_features and not quantized else None


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

    def apply(x):
        x = x - x.mean(axis=-1, keepdims=True)
        variance = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(variance + epsilon) * gamma + beta

    return apply


def _embedding(layer: keras.layers.Embedding) -> Function:
    table = np.array(layer.embeddings)

    def apply(x):
        ids = x.astype(np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(table):
            raise ValueError(
                f"frames of {layer.name}, an Embedding, must be from 0 to "
                f"{len(table) - 1}; received {ids.min()} to {ids.max()}."
            )
        return table[ids]

    return apply


def _masking(layer: keras.layers.Masking) -> Function:
    value = np.float32(layer.mask_value)
    return lambda x: np.where((x != value).any(axis=-1, keepdims=True), x, _ZERO)


def _merge(combine: Callable[[list[np.ndarray]], np.ndarray]) -> Callable:
    return lambda layer: lambda *inputs: combine(inputs)


def _total(inputs):
    result = inputs[0]
    for x in inputs[1:]:
        result = result + x
    return result


def _product(inputs):
    result = inputs[0]
    for x in inputs[1:]:
        result = result * x
    return result


def identity(x: np.ndarray) -> np.ndarray:
    """Returns x: what layers do that act in training alone."""
    return x


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
    keras.layers.Add: _merge(_total),
    keras.layers.BatchNormalization: _batch_normalization,
    keras.layers.Concatenate: _merge(lambda inputs: np.concatenate(inputs, axis=-1)),
    keras.layers.Dense: _dense,
    keras.layers.Embedding: _embedding,
    keras.layers.LayerNormalization: _layer_normalization,
    keras.layers.Masking: _masking,
    keras.layers.Multiply: _merge(_product),
    keras2_masks.Add: _merge(_total),
    keras2_masks.Concatenate: _merge(lambda inputs: np.concatenate(inputs, axis=-1)),
    keras2_masks.Multiply: _merge(_product),
}
