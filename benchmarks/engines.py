"""How fast are the engines beside keras.layers.GRU, and what does dropout cost?

    python -m benchmarks.engines [--repeats N]

All run the same shapes with the same weights in turn, in one process, as compiled
functions; what is printed are medians of milliseconds, and how many times as fast as
Keras. A training step is the forward pass in training mode and the gradients of weights
and inputs, without an optimiser.
"""

import argparse
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon import native

#: Batch, timesteps, features, units.
SHAPES = [
    (32, 100, 64, 128),
    (64, 100, 128, 256),
    (128, 50, 256, 512),
    (1, 500, 64, 128),
    (8, 20, 32, 32),
]
CASES = {
    "Forward": (False, {}),
    "Forward, reset_after=False": (False, {"reset_after": False}),
    "Training step": (True, {}),
    "Training step, reset_after=False": (True, {"reset_after": False}),
}


def forward(layer, x):
    return tf.function(lambda: layer(x))


def training_step(layer, x):
    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(layer(x, training=True) ** 2)
        return tape.gradient(loss, [x, *layer.trainable_weights])

    return step


def medians(functions, repeats):
    """Returns the median milliseconds of each function, run in turn."""
    seconds = [[] for _ in functions]
    for i in range(repeats + 2):  # two to warm up
        for function, times in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if i >= 2:
                times.append(time.perf_counter() - start)
    return [1000 * statistics.median(times) for times in seconds]


def layers(features, units, **options):
    """Returns layers with the same weights: Keras', and this package's by engine."""
    made = {"Keras": keras.layers.GRU(units, return_sequences=True, **options)}
    for engine in ("portable", "native"):
        if engine == "portable" or native.status().available:
            made[engine] = tf_gru_addon.GRU(
                units, return_sequences=True, engine=engine, **options
            )
    for layer in made.values():
        layer.build((None, None, features))
        layer.set_weights(made["Keras"].get_weights())
    return made


def compare(training, options, repeats):
    """Prints a table of milliseconds, and of how many times as fast as Keras."""
    for i, (B, T, F, U) in enumerate(SHAPES):
        x = tf.random.normal([B, T, F])
        made = layers(F, U, **options)
        make = training_step if training else forward
        times = medians([make(layer, x) for layer in made.values()], repeats)
        if i == 0:
            print(f"{'B,T,F,U':<18}" + "".join(f"{name:>18}" for name in made))
        cells = [f"{times[0]:.2f} ms"]
        cells += [f"{t:.2f} ms {times[0] / t:6.2f}" for t in times[1:]]
        print(f"{f'{B},{T},{F},{U}':<18}" + "".join(f"{c:>18}" for c in cells))


def compare_dropout(repeats):
    """Prints what recurrent dropout makes of a training step, for each layer."""
    for i, (B, T, F, U) in enumerate(SHAPES):
        x = tf.random.normal([B, T, F])
        without, with_dropout = (
            layers(F, U, recurrent_dropout=rate) for rate in (0.0, 0.2)
        )
        both = [*without.values(), *with_dropout.values()]
        times = medians([training_step(layer, x) for layer in both], repeats)
        if i == 0:
            print(f"{'B,T,F,U':<18}" + "".join(f"{name:>18}" for name in without))
        ratios = [b / a for a, b in zip(times, times[len(without) :], strict=False)]
        print(f"{f'{B},{T},{F},{U}':<18}" + "".join(f"{r:>18.2f}" for r in ratios))


def main():
    """Runs the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=21)
    repeats = parser.parse_args().repeats
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}; "
        f"native: {native.status().reason}"
    )
    for title, (training, options) in CASES.items():
        print(f"\n{title}")
        compare(training, options, repeats)
    print("\nTraining step with recurrent_dropout=0.2, times that without")
    compare_dropout(repeats)


if __name__ == "__main__":
    main()
