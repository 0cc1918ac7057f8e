"""How much faster does `accelerate` make existing models?

    python -m benchmarks.accelerate [--repeats N]

Two compiled copies of each model, one with Keras' layers and one accelerated, alternate
in one process: an epoch of `fit`, then a `predict` on the same data. The script prints
the median seconds and the speed-up. It excludes the first round, in which Keras traces
the model.
"""

import argparse
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon import datasets, native

layers = keras.layers


def japanese_vowels():
    """Masked speech: the model and the data of configs/japanese_vowels.yaml."""
    train, _ = datasets.load_japanese_vowels()
    model = keras.Sequential([keras.Input((None, train.features)), layers.Masking()])
    for sequences in (True, False):
        gru = layers.GRU(64, return_sequences=sequences, recurrent_dropout=0.2)
        model.add(layers.Bidirectional(gru))
        model.add(layers.Dropout(0.2))
    model.add(layers.Dense(9, activation="softmax"))
    return model, train.frames, train.labels, 16


def frames():
    """Long sequences of numbers: 1,024 of 100 timesteps and 64 features."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1024, 100, 64)).astype("float32")
    model = keras.Sequential([keras.Input((None, 64))])
    model.add(layers.GRU(128, return_sequences=True))
    model.add(layers.GRU(128))
    model.add(layers.Dense(10, activation="softmax"))
    return model, x, rng.integers(0, 10, len(x)), 32


def words():
    """Text: 1,024 rows of up to 120 words, for an embedding and a bidirectional GRU."""
    rng = np.random.default_rng(0)
    x = rng.integers(1, 10_000, (1024, 120))
    x[np.arange(120) >= rng.integers(20, 121, (1024, 1))] = 0
    model = keras.Sequential([keras.Input((None,), dtype="int32")])
    model.add(layers.Embedding(10_000, 64, mask_zero=True))
    model.add(layers.Bidirectional(layers.GRU(64)))
    model.add(layers.Dense(2, activation="softmax"))
    return model, x, rng.integers(0, 2, len(x)), 32


MODELS = {
    "Japanese Vowels": japanese_vowels,
    "2 GRU(128)": frames,
    "Embedding, Bidirectional(GRU(64))": words,
}


def compare(make, repeats):
    """Returns the median seconds of `fit` and `predict`, before and after."""
    models = []
    for _ in range(2):
        model, x, y, batch_size = make()
        model.compile("adam", "sparse_categorical_crossentropy")
        models.append(model)
    tf_gru_addon.accelerate(models[1])
    seconds = [[], [], [], []]
    for turn in range(repeats + 1):
        for i, model in enumerate(models):
            times = (
                _seconds(model.fit, x, y, batch_size=batch_size, verbose=0),
                _seconds(model.predict, x, batch_size=batch_size, verbose=0),
            )
            if turn:
                seconds[i].append(times[0])
                seconds[2 + i].append(times[1])
    return [statistics.median(times) for times in seconds]


def _seconds(function, *args, **kwargs):
    start = time.perf_counter()
    function(*args, **kwargs)
    return time.perf_counter() - start


def main():
    """Runs the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    print(
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}; "
        f"native: {native.status().reason}"
    )
    print(f"{'':<36}{'an epoch of fit':>26}{'predict':>26}")
    for name, make in MODELS.items():
        cells = []
        times = compare(make, repeats)
        for before, after in (times[:2], times[2:]):
            ratio = before / after
            cells.append(f"{before:8.2f} s {after:6.2f} s {ratio:6.2f}")
        print(f"{name:<36}{cells[0]:>26}{cells[1]:>26}", flush=True)


if __name__ == "__main__":
    main()
