"""How fast are the engines and their peers, and what does each option cost?

    python -m benchmarks.engines [--only SECTION ...] [--rounds N] [--quick]

One run measures this package's engines, `keras.layers.GRU`, the same compiled by XLA,
tf_keras, PyTorch, ONNX Runtime, OpenVINO and flax on the same shapes, with the same
weights and number of threads. It checks each result against Keras' before measuring.
The tables hold medians over rounds in which all candidates alternate (see `timing.py`).
For candidates in a `tf.function`, the time of an empty one is subtracted. A training
step is the forward pass in training mode and the gradients of inputs and weights,
without an optimizer.

A complete run also writes `benchmarks/results/engines.json` and `engines.png`.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from benchmarks import (
    first_call,
    machine,
    memory,
    options,
    report,
    single_step,
    speed,
)
from benchmarks.plot import plot
from benchmarks.problem import LARGE, SHAPES

RESULTS = Path(__file__).with_name("results")


def by_shape(measure: Callable, training: bool, quick: bool, rounds: int) -> dict:
    """Returns a measurement of every shape."""
    shapes = [shape for shape in SHAPES if not (quick and shape in LARGE)]
    return {str(shape): measure(shape, training, rounds) for shape in shapes}


def sections(quick: bool, rounds: int) -> dict[str, Callable[[], dict]]:
    """Returns the function that measures each section, by name."""

    def both(measure):
        return {
            "forward": measure(False),
            "training": measure(True),
        }

    return {
        "forward": lambda: by_shape(speed.compare, False, quick, rounds),
        "training": lambda: by_shape(speed.compare, True, quick, rounds),
        "options": lambda: both(
            lambda training: by_shape(options.measure, training, quick, rounds)
        ),
        "single_step": lambda: single_step.measure(rounds),
        "first_call": lambda: both(
            lambda training: first_call.measure(training, rounds)
        ),
        "memory": memory.measure,
    }


def show(name: str, results: dict) -> None:
    """Prints a section's tables."""
    if name == "forward":
        print(f"\n## Forward pass\n\n{report.speed(results, 1)}")
    elif name == "training":
        print(f"\n## Training step\n\n{report.speed(results, 3)}")
    elif name == "options":
        for kind, found in results.items():
            print(f"\n## Options, {kind}\n\n{report.of_options(found)}")
    elif name == "single_step":
        print(f"\n## One timestep, batch 1\n\n{report.single_step(results)}")
    elif name == "first_call":
        for kind, found in results.items():
            table = report.beside_keras(found, "milliseconds")
            print(f"\n## First call, {kind}\n\n{table}")
    elif name == "memory":
        table = report.beside_keras(results, "MiB")
        print(f"\n## Peak memory of a training step at {memory.SHAPE}\n\n{table}")


def main():
    """Measures and prints; a complete run also writes its results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(sections(False, 1))
    parser.add_argument("--only", nargs="+", choices=names, help="sections to measure")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="no large shapes")
    arguments = parser.parse_args()
    machine.configure()
    results = {"machine": machine.describe()}
    print(json.dumps(results["machine"], indent=2))
    others, start = machine.OtherLoad(), time.perf_counter()
    for name, measure in sections(arguments.quick, arguments.rounds).items():
        if name in (arguments.only or names):
            results[name] = measure()
            show(name, results[name])
    results["minutes"] = round((time.perf_counter() - start) / 60, 1)
    results["other_load"] = others.fraction()
    print(
        f"\n{results['minutes']} minutes; others had {results['other_load']} of the CPU"
    )
    if not arguments.only and not arguments.quick:
        RESULTS.mkdir(exist_ok=True)
        text = json.dumps(results, indent=1)
        (RESULTS / "engines.json").write_text(text + "\n", "utf-8")
        plot(results, RESULTS / "engines.png")


if __name__ == "__main__":
    main()
