"""How accurate is the native engine, compared with keras.layers.GRU?

    python -m benchmarks.accuracy [--seeds N]

Both run the same sequences in float32 with the same weights, forward and backward. The
reference is keras.layers.GRU in float64, which agrees with `tests/support/oracles.py`
in values and gradients. For every result, the script prints the native engine's error
divided by Keras': first the root mean square over all seeds, then the largest error.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon import native

#: Batch, timesteps, features, units.
SHAPES = [
    (32, 100, 64, 128),
    (64, 100, 128, 256),
    (128, 50, 256, 512),
    (8, 2000, 64, 128),
    (4, 2000, 16, 32),
    (17, 53, 37, 61),
]
RESULTS = ("outputs", "state", "dx", "dh0", "dW", "dU", "db")


def weights(units, features, reset_after, seed):
    """Returns a layer's initial weights, with a non-zero bias."""
    keras.utils.set_random_seed(seed)
    layer = keras.layers.GRU(units, reset_after=reset_after)
    layer.build((None, None, features))
    *kernels, bias = layer.get_weights()
    return [*kernels, tf.random.normal(bias.shape, stddev=0.1).numpy()]


def run(make, dtype, values, arrays):
    """Returns a layer's outputs, state and gradients, in the order of `RESULTS`."""
    x, h0, d_outputs, d_state = (tf.cast(array, dtype) for array in arrays)
    layer = make(h0.shape[1], return_sequences=True, return_state=True, dtype=dtype)
    layer.build(x.shape)
    layer.set_weights(values)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch([x, h0])
            results = layer(x, initial_state=h0, training=True)
        sources = [x, h0, *layer.trainable_weights]
        upstream = [d_outputs, d_state]
        return [*results, *tape.gradient(results, sources, output_gradients=upstream)]

    return [np.asarray(result, np.float64) for result in step()]


def errors(shape, reset_after, seed):
    """Returns the mean squared and the largest errors, as [engine, result]."""
    B, T, F, U = shape
    values = weights(U, F, reset_after, seed)
    arrays = [
        tf.random.stateless_normal(size, [seed, i])
        for i, size in enumerate([(B, T, F), (B, U), (B, T, U), (B, U)])
    ]

    def of_keras(units, **options):
        return keras.layers.GRU(units, reset_after=reset_after, **options)

    def of_native(units, **options):
        return tf_gru_addon.GRU(
            units, reset_after=reset_after, engine="native", **options
        )

    exact = run(of_keras, "float64", values, arrays)
    squares, largest = [], []
    for make in (of_native, of_keras):
        results = run(make, "float32", values, arrays)
        differences = [a - b for a, b in zip(results, exact, strict=True)]
        squares.append([np.mean(d**2) for d in differences])
        largest.append([np.abs(d).max() for d in differences])
    return squares, largest


def compare(shape, reset_after, seeds):
    """Prints the lines of a shape: the native engine's errors divided by Keras'."""
    each = [errors(shape, reset_after, seed) for seed in range(seeds)]
    native_square, keras_square = np.mean([squares for squares, _ in each], axis=0)
    native_most, keras_most = np.max([largest for _, largest in each], axis=0)
    name = f"{','.join(map(str, shape))} {'after' if reset_after else 'before'}"
    for kind, ratios in (
        ("rms", np.sqrt(native_square / keras_square)),
        ("max", native_most / keras_most),
    ):
        cells = "".join(f"{ratio:>9.2f}" for ratio in ratios)
        print(f"{name:<24}{kind:<5}{cells}", flush=True)


def main():
    """Compares all shapes, with the reset gate before and after the product."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    print(f"native: {native.status().reason}")
    print(f"{'':<29}" + "".join(f"{name:>9}" for name in RESULTS))
    for shape in SHAPES:
        for reset_after in (True, False):
            compare(shape, reset_after, seeds)


if __name__ == "__main__":
    main()
