"""The durations of a forward pass and a training step, in all engines and peers."""

import functools
from collections.abc import Callable

import numpy as np

from benchmarks import layers, library, machine
from benchmarks.peers import PEERS
from benchmarks.problem import LARGE, Candidate, Problem, Shape, problem
from benchmarks.timing import in_turn, summary

LAYERS = ("native", "portable", "Keras", "Keras XLA", "tf_keras")
#: The native engine's library without TensorFlow; it has no training step.
LIBRARY = "native library"
#: The functions that only return their arguments, with and without XLA.
IDENTITIES = {"identity": False, "identity XLA": True}
NAMES = ("native", LIBRARY, "portable", *LAYERS[2:], *PEERS)

#: The largest difference from Keras' results, relative to their largest number.
TOLERANCE = 3e-5


def makers(given: Problem, training: bool) -> dict[str, Callable[[], Candidate]]:
    """Returns the functions that make the candidates with this kind of pass."""
    made = {}
    for name in NAMES:
        if name in LAYERS:
            made[name] = functools.partial(layers.candidate, name, given, training)
        elif make := (PEERS | {LIBRARY: (library.forward, None)})[name][training]:
            made[name] = functools.partial(make, given, machine.threads())
    return made


def candidates(given: Problem, training: bool) -> dict[str, Candidate | None]:
    """Returns the candidates by name; None if one is not installed.

    Raises:
        RuntimeError: One computes something else than Keras.
    """
    made = {}
    for name, make in makers(given, training).items():
        try:
            made[name] = make()
        except ImportError:
            made[name] = None
    expected = made["Keras"].read(made["Keras"].run())
    for name, candidate in made.items():
        if candidate is not None:
            check(name, candidate.read(candidate.run()), expected)
    return made


def check(name: str, results: list[np.ndarray], expected: list[np.ndarray]) -> None:
    """Raises RuntimeError unless a candidate's results are as expected."""
    for result, array in zip(results, expected, strict=True):
        if result.shape != array.shape:
            raise RuntimeError(
                f"{name} gives the shape {result.shape}, Keras {array.shape}."
            )
        scale = np.abs(array).max() or 1.0  # gradients can all be 0
        error = np.abs(result - array).max() / scale
        if not error <= TOLERANCE:
            raise RuntimeError(
                f"{name} differs from Keras by {error:.1e}; {TOLERANCE} is allowed."
            )


def compare(shape: Shape, training: bool, rounds: int) -> dict:
    """Returns the times of all candidates, and on large shapes sgemm's rates.

    Returns:
        `times`: by name what `timing.summary` says, None if it is not installed; the
        identities are what was taken off the times of what runs in a `tf.function`.
        `sgemm`: GFLOP/s by library, measured in the same rounds.
    """
    given = problem(shape)
    found = candidates(given, training)
    for name, compiled in IDENTITIES.items():
        found[name] = layers.identity(given, training, jit_compile=compiled)
    products = machine.sgemm() if shape in LARGE else {}
    functions = {name: one.run for name, one in found.items() if one is not None}
    times = in_turn({**functions, **products}, rounds)
    results = {
        name: one and summary(times[name], times.get(one.overhead))
        for name, one in found.items()
    }
    rates = {
        name: round(machine.gflops(summary(times[name])["raw"]), 1) for name in products
    }
    return {"times": results, "sgemm": rates}
