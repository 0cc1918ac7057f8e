"""How fast is the portable engine beside keras.layers.GRU, and what does dropout cost?

    python -m benchmarks.portable [--repeats N]

Both layers run the same shapes with the same weights in turn, in one process, as
compiled functions; what is printed are medians of milliseconds and their ratios. A
training step is the forward pass in training mode and the gradients of weights and
inputs, without an optimiser.
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

#: Batch, timesteps, features, units.
SHAPES = [
    (32, 100, 64, 128),
    (64, 100, 128, 256),
    (128, 50, 256, 512),
    (1, 500, 64, 128),
    (8, 20, 32, 32),
]


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
    """Returns keras.layers.GRU and this package's, with the same weights."""
    theirs = keras.layers.GRU(units, return_sequences=True, **options)
    ours = tf_gru_addon.GRU(units, return_sequences=True, **options)
    for layer in (theirs, ours):
        layer.build((None, None, features))
    ours.set_weights(theirs.get_weights())
    return theirs, ours


def compare(title, rows):
    """Prints a table of (label, Keras ms, ours ms)."""
    print(f"\n{title}")
    print(f"{'shape (B,T,F,U)':<22}{'Keras ms':>10}{'portable ms':>13}{'ratio':>8}")
    for label, theirs, ours in rows:
        print(
            f"{label:<22}{theirs:>10.2f}{ours:>13.2f}{theirs / ours:>8.2f}", flush=True
        )


def main():
    """Runs the three comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=21)
    repeats = parser.parse_args().repeats
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}"
    )
    cases = {
        "Forward": (forward, {}),
        "Forward, reset_after=False": (forward, {"reset_after": False}),
        "Training step": (training_step, {}),
        "Training step, reset_after=False": (training_step, {"reset_after": False}),
    }
    for title, (make, options) in cases.items():
        rows = []
        for B, T, F, U in SHAPES:
            x = tf.random.normal([B, T, F])
            functions = [make(layer, x) for layer in layers(F, U, **options)]
            rows.append((f"{B},{T},{F},{U}", *medians(functions, repeats)))
        compare(title, rows)

    print("\nTraining step with recurrent_dropout=0.2, beside none")
    print(f"{'shape (B,T,F,U)':<22}{'Keras':>10}{'portable':>13}")
    for B, T, F, U in SHAPES:
        x = tf.random.normal([B, T, F])
        functions = [
            training_step(layer, x)
            for rate in (0.0, 0.2)
            for layer in layers(F, U, recurrent_dropout=rate)
        ]
        keras_ms, ours_ms, keras_dropout_ms, ours_dropout_ms = medians(
            functions, repeats
        )
        print(
            f"{f'{B},{T},{F},{U}':<22}{keras_dropout_ms / keras_ms:>10.2f}"
            f"{ours_dropout_ms / ours_ms:>13.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
