"""The duration of the first call of a layer's `tf.function`, which traces it."""

import gc
import statistics

from benchmarks import layers
from benchmarks.problem import Shape, problem
from benchmarks.timing import call

SHAPE = Shape(32, 100, 64, 128)


def measure(training: bool, rounds: int) -> dict[str, float]:
    """Returns the median milliseconds by layer, without building the layer."""
    given = problem(SHAPE)
    arguments = layers.arguments(given, training)
    seconds = {}
    for i in range(rounds + 1):  # one to warm up what is common to all calls
        for name in ("native", "portable", "Keras", "tf_keras"):
            try:
                made = layers.layer(name, given)
            except ImportError:
                continue
            gc.collect()
            taken = call(lambda made=made: layers.function(made, training)(*arguments))
            if i:
                seconds.setdefault(name, []).append(taken)
    return {
        name: round(1000 * statistics.median(taken), 2)
        for name, taken in seconds.items()
    }
