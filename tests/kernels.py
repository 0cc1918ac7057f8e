"""The native kernels, called through their C interface, past TensorFlow."""

import ctypes
from pathlib import Path

import numpy as np

from tf_gru_addon import native

Floats = ctypes.POINTER(ctypes.c_float)


class Options(ctypes.Structure):
    """`GruOptions` of gru.h."""

    _fields_ = (
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
    )


class Inputs(ctypes.Structure):
    """`GruInputs`."""

    _fields_ = (
        ("inputs", Floats),
        ("initial_state", Floats),
        ("kernel", Floats),
        ("recurrent_kernel", Floats),
        ("bias", Floats),
        ("mask", ctypes.POINTER(ctypes.c_uint8)),
        ("input_masks", Floats * 3),
        ("recurrent_masks", Floats * 3),
    )


class Outputs(ctypes.Structure):
    """`GruOutputs`."""

    _fields_ = tuple(
        (name, Floats) for name in ("outputs", "last_output", "state", "gates")
    )


SIGMOID, TANH = 0, 3


def library():
    """Returns the library, which TensorFlow must have loaded."""
    path = Path(native.__file__).parent / native.LIBRARY
    result = ctypes.CDLL(str(path))
    result.gru_isa.restype = ctypes.c_char_p
    return result


def example(seed=0, batch=16, timesteps=20, features=32, units=64):
    """Returns x, h0, kernel, recurrent kernel and bias, in float32.

    Of a size that is worth several threads.
    """
    rng = np.random.default_rng(seed)
    shapes = [
        (batch, timesteps, features),
        (batch, units),
        (features, 3 * units),
        (units, 3 * units),
        (2, 3 * units),
    ]
    return [rng.normal(0, 0.3, shape).astype("float32") for shape in shapes]


def forward(arrays, threads=0):
    """Returns the outputs and the last state of a GRU with `reset_after`."""
    x, h0, kernel, recurrent_kernel, bias = map(np.ascontiguousarray, arrays)
    options = Options(*x.shape, h0.shape[1], TANH, SIGMOID, 1, 0, 0, threads)
    outputs = np.full((*x.shape[:2], h0.shape[1]), np.nan, "float32")
    state = np.full_like(h0, np.nan)

    def pointer(array):
        return array.ctypes.data_as(Floats)

    inputs = Inputs(*map(pointer, (x, h0, kernel, recurrent_kernel, bias)))
    results = Outputs(pointer(outputs), None, pointer(state), None)
    failed = library().gru_forward(
        *(ctypes.byref(argument) for argument in (options, inputs, results))
    )
    if failed:
        raise MemoryError
    return outputs, state
