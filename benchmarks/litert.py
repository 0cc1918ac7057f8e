"""How large and how fast is a GRU in LiteRT, compared with Keras' unrolled GRU?

    python -m benchmarks.litert [--repeats N]

Keras' own GRU converts to LiteRT's built-in ops only if it is unrolled for a fixed
number of timesteps. The interpreter of ai-edge-litert runs each file at batch 1 with
one thread, alternating between files. The script prints kilobytes and median
milliseconds.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import tf_gru_addon
from tf_gru_addon.export.targets.litert import convert_to_litert, export_litert
from tf_gru_addon.export.targets.saved_model import write_saved_model
from tf_gru_addon.flat_model import flat_model

FEATURES, UNITS = 64, 128
UNROLLED = 50
TIMESTEPS = (50, 200, 500, 1000, 2000)


def ours(folder, sequences):
    model = keras.Sequential([keras.Input((None, FEATURES))])
    model.add(tf_gru_addon.GRU(UNITS, return_sequences=sequences))
    path = folder / f"{sequences}.tflite"
    export_litert(model, path, beside_keras=False)
    return path.read_bytes()


def unrolled(folder, sequences):
    model = keras.Sequential([keras.Input((UNROLLED, FEATURES), batch_size=1)])
    model.add(keras.layers.GRU(UNITS, return_sequences=sequences, unroll=True))
    saved = folder / f"saved_{sequences}"
    write_saved_model(flat_model(model), saved)
    return convert_to_litert(model.name, saved, "serving_default")


def runner(content, timesteps):
    interpreter = Interpreter(model_content=content, num_threads=1)
    (port,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(port["index"], [1, timesteps, FEATURES])
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).normal(size=(1, timesteps, FEATURES))
    interpreter.set_tensor(port["index"], x.astype(np.float32))
    return interpreter


def medians(runners, repeats):
    seconds = [[] for _ in runners]
    for i in range(repeats + 2):  # two to warm up
        for each, times in zip(runners, seconds, strict=True):
            start = time.perf_counter()
            each.invoke()
            if i >= 2:
                times.append(time.perf_counter() - start)
    return [1000 * statistics.median(times) for times in seconds]


def main():
    """Prints sizes and times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=25)
    repeats = parser.parse_args().repeats
    weights = 4 * (FEATURES * 3 * UNITS + UNITS * 3 * UNITS + 2 * 3 * UNITS)
    print(f"{FEATURES} features, {UNITS} units, {weights / 1e3:.0f} kB of weights")
    with tempfile.TemporaryDirectory() as name:
        for sequences in (False, True):
            files = [f(Path(name), sequences) for f in (ours, unrolled)]
            runners = [runner(content, UNROLLED) for content in files]
            a, b = medians(runners, repeats)
            print(
                f"\n{'all outputs' if sequences else 'the last output'}, {UNROLLED} "
                f"timesteps: {a:.2f} ms, {len(files[0]) / 1e3:.0f} kB; Keras unrolled: "
                f"{b:.2f} ms, {len(files[1]) / 1e3:.0f} kB"
            )
            for timesteps in TIMESTEPS:
                (taken,) = medians([runner(files[0], timesteps)], repeats)
                each = 1000 * taken / timesteps
                print(f"{timesteps:6} timesteps {taken:8.2f} ms, {each:.1f} us each")


if __name__ == "__main__":
    main()
