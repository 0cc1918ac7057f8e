"""Has a written file loaded and run by the framework that it is for.

A file that this package reads back can still be refused, or read differently, by its
framework. So the framework loads it into a GRU, and the outputs are compared with those
of this package, computed in float64.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Format, Stack
from tf_gru_addon.weights.gru_layer import GRULayer

#: The largest error, relative to the largest output. Rounding in float32 stays far
#: below; weights in another order are far above.
_TOLERANCE = 1e-3
#: Outputs above this may be infinite in float32.
_LARGEST = 1e30


def read_back(path: Path, stack: Stack, format: Format) -> str:
    """Has a file loaded and run by the framework that it is for.

    Args:
        path: The file that was written.
        stack: The layers that it must hold.
        format: Its format.

    Returns:
        What read the file, in words.

    Raises:
        WeightsError: The framework does not load it, or computes other outputs.
    """
    peer = format.peer
    if peer is None:
        return "this package"
    package = peer.package()
    if package is None:
        return f"this package alone, as {peer.name} is not installed"
    who = f"{peer.name} {package.__version__}"
    if format.activations != "stated":
        stack = tuple(GRULayer(layer.forward, layer.backward) for layer in stack)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 4, stack[0].features))
    try:
        outputs = peer.run(path, stack, x)
    except Exception as error:
        raise WeightsError(
            f"{path.name}: {who} does not load what was written "
            f"({type(error).__name__}: {error})."
        ) from error
    if outputs is not None:
        expected = _expected(stack, x)
        largest = np.abs(expected).max()
        difference = np.abs(outputs - expected).max() / max(largest, 1e-6)
        if largest < _LARGEST and not difference <= _TOLERANCE:
            raise WeightsError(
                f"{path.name}: {who} loads what was written, but computes other "
                f"outputs, which differ by {difference:.2g} of the largest."
            )
    return who


def _expected(stack: Stack, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of a stack, in float64."""
    import tensorflow as tf

    from tf_gru_addon import activations
    from tf_gru_addon.ops.gru_portable import gru_portable

    with tf.device("CPU"):
        y = tf.constant(x, tf.float64)
        for layer in stack:
            sides = []
            for weights in layer.directions:
                backwards = weights is layer.backward
                bias = weights.bias
                side, _ = gru_portable(
                    y,
                    tf.zeros([len(x), layer.units], tf.float64),
                    tf.constant(weights.kernel, tf.float64),
                    tf.constant(weights.recurrent_kernel, tf.float64),
                    None if bias is None else tf.constant(bias, tf.float64),
                    reset_after=weights.reset_after,
                    activation=activations.get(layer.activation),
                    recurrent_activation=activations.get(layer.recurrent_activation),
                    go_backwards=backwards,
                )
                sides.append(side[:, ::-1] if backwards else side)
            y = tf.concat(sides, axis=-1)
        return np.asarray(y)
