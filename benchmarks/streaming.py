"""How long does one frame take in a `Stream`, compared with other runtimes?

    python -m benchmarks.streaming [--repeats N] [--batch N]

All runtimes run the same model from the same states in one process. A call takes and
returns NumPy arrays. The script prints median microseconds, and the ratio to
`Stream.push`: first for repeated calls of one runtime, then for alternating calls,
which find the caches full of the others' data. The runtimes are called as documented:
`InferenceSession.run` and a LiteRT signature runner with the frame and the states, each
with one thread; and the `tf.function` of a `StreamingModel`. Runtimes that are not
installed are left out.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

import tf_gru_addon
from tf_gru_addon import native
from tf_gru_addon.export import StreamingModel, export_streaming

#: Features; the units of each GRU; the units of a final Dense layer, if any.
MODELS = [
    (64, [128], None),
    (64, [128], 10),
    (64, [128, 128], 10),
    (40, [96], 10),
    (128, [256], None),
    (12, [32], 9),
]


def make_model(features, units, classes):
    model = keras.Sequential([keras.Input((None, features))])
    for each in units:
        model.add(tf_gru_addon.GRU(each, return_sequences=True))
    if classes:
        model.add(keras.layers.Dense(classes, activation="softmax"))
    return model


def onnxruntime_call(path, frame, states):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers)
    inputs = {"frames": frame, **states}
    return lambda: session.run(None, inputs)


def litert_call(path, frame, states):
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path), num_threads=1).get_signature_runner("step")
    inputs = {"frames": frame, **states}
    return lambda: runner(**inputs)


def calls(model, batch, folder):
    """Returns the call of each runtime, by name."""
    features = model.inputs[0].shape[-1]
    frame = np.random.default_rng(0).normal(size=(batch, 1, features))
    frame = frame.astype("float32")
    stream = tf_gru_addon.Stream(model, batch)
    step = StreamingModel(model)
    states = step.initial_states(batch)
    arrays = {name: state.numpy() for name, state in states.items()}
    made = {"Stream": lambda: stream.push(frame)}
    if all(map(importlib.util.find_spec, ("onnxruntime", "tf2onnx"))):
        export_streaming(model, folder / "step.onnx", "onnx", batch_size=batch)
        made["ONNX Runtime"] = onnxruntime_call(folder / "step.onnx", frame, arrays)
    if importlib.util.find_spec("ai_edge_litert"):
        export_streaming(model, folder / "step.tflite", "litert", batch_size=batch)
        made["LiteRT"] = litert_call(folder / "step.tflite", frame, arrays)
    made["tf.function"] = lambda: step.step(frame, states)[0].numpy()
    return made


def medians(functions, repeats):
    """Returns the median microseconds of each function, in alternating calls."""
    seconds = [[] for _ in functions]
    for i in range(repeats + 20):  # the first 20 warm up
        for function, times in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            if i >= 20:
                times.append(time.perf_counter() - start)
    return [1e6 * statistics.median(times) for times in seconds]


def in_bursts(functions, repeats):
    """Returns the median microseconds of each function, in repeated calls."""
    bursts = [[] for _ in functions]
    for _ in range(5):
        for function, times in zip(functions, bursts, strict=True):
            times += medians([function], repeats // 5)
    return [statistics.median(times) for times in bursts]


def main():
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}; "
        f"native: {native.status().reason}; batch {options.batch}"
    )
    for how in (in_bursts, medians):
        print("\nIn turn" if how is medians else "\nOne right after the other")
        for i, (features, units, classes) in enumerate(MODELS):
            model = make_model(features, units, classes)
            with tempfile.TemporaryDirectory() as folder:
                made = calls(model, options.batch, Path(folder))
                times = how(list(made.values()), options.repeats)
            if i == 0:
                print(f"{'model':<22}" + "".join(f"{name:>18}" for name in made))
            name = "-".join(map(str, [features, *units, *([classes] * bool(classes))]))
            cells = [f"{times[0]:.1f} us"]
            cells += [f"{t:.1f} us {t / times[0]:5.1f}" for t in times[1:]]
            print(f"{name:<22}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
