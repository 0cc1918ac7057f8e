"""The native engine's library called directly, without TensorFlow around it."""

import ctypes
from pathlib import Path

import numpy as np

from benchmarks.problem import Candidate, Problem
from tf_gru_addon import native

_SIGMOID, _TANH = 0, 3  # of GruActivation in gru.h
_Array = ctypes.c_void_p


class _Options(ctypes.Structure):
    _fields_ = [
        *[
            (name, ctypes.c_int64)
            for name in ("batch", "timesteps", "features", "units")
        ],
        *[
            (name, ctypes.c_int)
            for name in (
                "activation",
                "recurrent_activation",
                "reset_after",
                "go_backwards",
                "zero_output_for_mask",
                "threads",
            )
        ],
    ]


class _Inputs(ctypes.Structure):
    _fields_ = [
        *[
            (name, _Array)
            for name in (
                "inputs",
                "initial_state",
                "kernel",
                "recurrent_kernel",
                "bias",
                "mask",
            )
        ],
        ("input_masks", _Array * 3),
        ("recurrent_masks", _Array * 3),
    ]


class _Outputs(ctypes.Structure):
    _fields_ = [(name, _Array) for name in ("outputs", "last_output", "state", "gates")]


def forward(problem: Problem, threads: int) -> Candidate:
    """Returns `gru_forward` of gru.h, called through ctypes.

    Raises:
        ImportError: The library is not there.
    """
    status = native.status()
    if not status.available:
        raise ImportError(status.reason)
    library = ctypes.CDLL(str(Path(native.__file__).with_name(native.LIBRARY)))
    shape = problem.shape
    state = np.zeros((shape.batch, shape.units), np.float32)
    outputs = np.empty_like(problem.upstream)
    last = np.empty_like(state)
    options = _Options(*shape, _TANH, _SIGMOID, reset_after=1, threads=threads)
    arrays = [problem.inputs, state, *problem.weights]
    inputs = _Inputs(*[array.ctypes.data for array in arrays])
    results = _Outputs(outputs=outputs.ctypes.data, state=last.ctypes.data)
    arguments = [ctypes.byref(given) for given in (options, inputs, results)]

    def run():
        if library.gru_forward(*arguments):
            raise MemoryError("gru_forward ran out of memory.")
        return outputs

    run.arrays = [*arrays, last]  # must live as long as their addresses are used
    return Candidate(run, lambda outputs: [outputs.copy()])
