"""The native engine's library, called directly without TensorFlow."""

import ctypes
from pathlib import Path

import numpy as np

from benchmarks.problem import Candidate, Problem
from tf_gru_addon import native
from tf_gru_addon.native import direct


def forward(problem: Problem, threads: int) -> Candidate:
    """Returns `gru_forward` of gru.h, called through ctypes.

    Raises:
        ImportError: The library is not available.
    """
    status = native.status()
    if not status.available:
        raise ImportError(status.reason)
    library = ctypes.CDLL(str(Path(native.__file__).with_name(native.LIBRARY)))
    shape = problem.shape
    state = np.zeros((shape.batch, shape.units), np.float32)
    outputs = np.empty_like(problem.upstream)
    last = np.empty_like(state)
    kinds = [direct.ACTIVATIONS.index(name) for name in ("tanh", "sigmoid")]
    options = direct.Options(*shape, *kinds, reset_after=1, threads=threads)
    arrays = [problem.inputs, state, *problem.weights]
    inputs = direct.Inputs(*[array.ctypes.data for array in arrays])
    results = direct.Outputs(outputs=outputs.ctypes.data, state=last.ctypes.data)
    arguments = [ctypes.byref(given) for given in (options, inputs, results)]

    def run():
        if library.gru_forward(*arguments):
            raise MemoryError("gru_forward ran out of memory.")
        return outputs

    run.arrays = [*arrays, last]  # keep them alive while their addresses are in use
    return Candidate(run, lambda outputs: [outputs.copy()])
