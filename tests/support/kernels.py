"""Calls of the native kernels through their C ABI, without TensorFlow ops."""

import ctypes
from pathlib import Path

import numpy as np

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
        ("padded_units", ctypes.c_int64),
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


class Upstream(ctypes.Structure):
    """`GruUpstream`."""

    _fields_ = tuple(
        (name, Floats)
        for name in ("outputs", "gates", "d_outputs", "d_last_output", "d_state")
    )


class Gradients(ctypes.Structure):
    """`GruGradients`."""

    _fields_ = tuple(
        (f"d_{name}", Floats)
        for name in ("inputs", "initial_state", "kernel", "recurrent_kernel", "bias")
    )


SIGMOID, TANH = 0, 3


def library():
    """Returns the library; TensorFlow must be loaded."""
    from tf_gru_addon import native

    path = Path(native.__file__).parent / native.LIBRARY
    result = ctypes.CDLL(str(path))
    result.gru_isa.restype = ctypes.c_char_p
    result.gru_activation_name.restype = ctypes.c_char_p
    return result


def example(seed=0, batch=16, timesteps=20, features=32, units=64):
    """Returns x, h0, kernel, recurrent kernel and bias, in float32.

    The default size is large enough for several threads.
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
    inputs = Inputs(*map(_pointer, (x, h0, kernel, recurrent_kernel, bias)))
    results = Outputs(_pointer(outputs), None, _pointer(state), None)
    _call(library().gru_forward, options, inputs, results)
    return outputs, state


def train(
    library,
    arrays,
    d_outputs,
    d_state,
    *,
    activation=TANH,
    recurrent_activation=SIGMOID,
    reset_after=True,
    go_backwards=False,
    zero_output_for_mask=False,
    mask=None,
    input_masks=(),
    recurrent_masks=(),
):
    """Returns the outputs, the last state and the gradients of `arrays`.

    Args:
        library: The library.
        arrays: x, h0, kernel, recurrent kernel, and a bias or None.
        d_outputs: The gradient of the outputs.
        d_state: The gradient of the last state.
        activation: The position of the candidate's activation in `GRU_ACTIVATIONS`.
        recurrent_activation: That of the gates.
        reset_after: Whether the reset gate acts after the recurrent product.
        go_backwards: Whether to start at the last timestep.
        zero_output_for_mask: Whether masked timesteps output 0.
        mask: (batch, timesteps), or None.
        input_masks: No, one or three arrays (batch, features).
        recurrent_masks: No, one or three arrays (batch, units).
    """
    x, h0, *weights = arrays
    units = h0.shape[1]
    options = Options(*x.shape, units, activation, recurrent_activation)
    options.reset_after = reset_after
    options.go_backwards = go_backwards
    options.zero_output_for_mask = zero_output_for_mask
    inputs = Inputs(*map(_pointer, (x, h0, *weights)))
    if mask is not None:
        inputs.mask = mask.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
    for g, m in enumerate(input_masks):
        inputs.input_masks[g] = _pointer(m)
    for g, m in enumerate(recurrent_masks):
        inputs.recurrent_masks[g] = _pointer(m)
    outputs, state = (
        np.full((*x.shape[:2], units), np.nan, "float32"),
        np.empty_like(h0),
    )
    library.gru_gates_size.restype = ctypes.c_int64
    size = library.gru_gates_size(ctypes.c_int64(units))
    gates = np.full((*x.shape[:2], size), np.nan, "float32")
    results = Outputs(_pointer(outputs), None, _pointer(state), _pointer(gates))
    gradients = [None if array is None else np.empty_like(array) for array in arrays]
    upstream = Upstream(*map(_pointer, (outputs, gates, d_outputs, None, d_state)))
    _call(library.gru_forward, options, inputs, results)
    results = Gradients(*map(_pointer, gradients))
    _call(library.gru_backward, options, inputs, upstream, results)
    return [outputs, state, *[d for d in gradients if d is not None]]


def _pointer(array):
    return None if array is None else array.ctypes.data_as(Floats)


def _call(function, *structures):
    if function(*map(ctypes.byref, structures)):
        raise MemoryError
