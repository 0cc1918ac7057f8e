"""The cost of masks, dropout and the other options of a layer."""

import numpy as np

from benchmarks import layers
from benchmarks.problem import Problem, Shape, problem
from benchmarks.timing import in_turn, summary
from tf_gru_addon import native

PLAIN = "plain"
#: The layer's arguments, by name of the option.
FORWARD = {
    PLAIN: {},
    "reset_after=False": {"reset_after": False},
    "go_backwards": {"go_backwards": True},
    "full mask": {"mask": "full"},
    "half-full mask": {"mask": "half"},
}
#: With dropout, each gate has its own mask, or all gates share one.
TRAINING = {
    **FORWARD,
    "dropout, 3 masks": {"dropout": 0.2, "implementation": 1},
    "dropout, 1 mask": {"dropout": 0.2, "implementation": 2},
    "recurrent dropout, 3 masks": {"recurrent_dropout": 0.2, "implementation": 1},
    "recurrent dropout, 1 mask": {"recurrent_dropout": 0.2, "implementation": 2},
}
#: The options that are measured for the other layers, too.
FOR_ALL = (PLAIN, "reset_after=False", "recurrent dropout, 3 masks")


def lengths(batch: int, timesteps: int) -> np.ndarray:
    """Returns lengths with a mean of half the timesteps; one has all timesteps."""
    if batch == 1:
        return np.array([(timesteps + 1) // 2])
    spread = np.linspace(timesteps, 0, batch).round().astype(int)
    return np.random.default_rng(0).permutation(spread)


def _mask(kind: str | None, given: Problem) -> np.ndarray | None:
    if kind is None:
        return None
    B, T, _, _ = given.shape
    used = np.full(B, T) if kind == "full" else lengths(B, T)
    return np.arange(T) < used[:, np.newaxis]


def measure(shape: Shape, training: bool, rounds: int) -> dict:
    """Returns `timing.summary` by layer and option."""
    given = problem(shape)
    functions = {
        "identity": layers.identity(given, training).run,
        "identity, mask": layers.identity(given, training, _mask("full", given)).run,
    }
    for name in ("native", "portable", "Keras"):
        if name == "native" and not native.status().available:
            continue
        for option, arguments in (TRAINING if training else FORWARD).items():
            if name == "native" or option in FOR_ALL:
                arguments = dict(arguments)
                mask = _mask(arguments.pop("mask", None), given)
                functions[name, option] = layers.candidate(
                    name, given, training, mask, **arguments
                ).run
    times = in_turn(functions, rounds)
    result = {}
    for name, option in list(functions)[2:]:
        masked = "mask" in TRAINING[option]
        overhead = times["identity, mask" if masked else "identity"]
        result.setdefault(name, {})[option] = summary(times[name, option], overhead)
    return result
