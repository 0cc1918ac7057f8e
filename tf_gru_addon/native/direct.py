"""The kernels called on NumPy arrays, without TensorFlow: microseconds a call.

The structures are those of `gru.h`, field by field.
"""

import ctypes
import functools
import math
import pathlib

import numpy as np

from tf_gru_addon import native

_FLOATS = ctypes.c_void_p

#: The kernels' activations, in the order of `GruActivation`.
ACTIVATIONS = (
    "sigmoid",
    "hard_sigmoid",
    "keras_hard_sigmoid",
    "tanh",
    "relu",
    "linear",
)

#: The longest vector of any instruction set. The kernels read weights padded to it as
#: they lie, and would pack others at every call.
_LANES = 16

#: With so few multiplications, a tenth of a millisecond, waking a thread takes longer
#: than what it would do.
_ONE_THREAD = 5e6


class Options(ctypes.Structure):
    """`GruOptions`; an array is given by its address."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "timesteps")),
        *((name, ctypes.c_int64) for name in ("features", "units")),
        *((name, ctypes.c_int) for name in ("activation", "recurrent_activation")),
        *((name, ctypes.c_int) for name in ("reset_after", "go_backwards")),
        *((name, ctypes.c_int) for name in ("zero_output_for_mask", "threads")),
        ("padded_units", ctypes.c_int64),
    )


class Inputs(ctypes.Structure):
    """`GruInputs`; an array is given by its address."""

    _fields_ = (
        ("inputs", _FLOATS),
        ("initial_state", _FLOATS),
        ("kernel", _FLOATS),
        ("recurrent_kernel", _FLOATS),
        ("bias", _FLOATS),
        ("mask", ctypes.c_void_p),
        ("input_masks", _FLOATS * 3),
        ("recurrent_masks", _FLOATS * 3),
    )


class Outputs(ctypes.Structure):
    """`GruOutputs`; an array is given by its address."""

    _fields_ = (
        ("outputs", _FLOATS),
        ("last_output", _FLOATS),
        ("state", _FLOATS),
        ("gates", _FLOATS),
    )


class _Dense(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "features")),
        *((name, ctypes.c_int64) for name in ("units", "padded_units")),
        *((name, ctypes.c_int) for name in ("activation", "softmax")),
        *((name, _FLOATS) for name in ("inputs", "kernel", "bias", "outputs")),
    )


class Weights:
    """The weights and options of a GRU, copied into the form that `Forward` takes.

    Args:
        kernel: W, (features, 3 * units), the gates in the order z, r, h.
        recurrent_kernel: U, (units, 3 * units).
        bias: None, or (3 * units,), or with `reset_after` (2, 3 * units).
        reset_after: The convention.
        activation: Of the candidate, one of `ACTIVATIONS`.
        recurrent_activation: Of the gates, likewise.
        zero_output_for_mask: Whether the output of a masked timestep is 0.
        threads: At most so many threads; 0 for as many as the process has. Short calls
            take one.

    Attributes:
        features: The number of features.
        units: The number of units.
    """

    def __init__(
        self,
        kernel: np.ndarray,
        recurrent_kernel: np.ndarray,
        bias: np.ndarray | None,
        *,
        reset_after: bool,
        activation: str,
        recurrent_activation: str,
        zero_output_for_mask: bool = False,
        threads: int = 0,
    ):
        self.features = kernel.shape[0]
        self.units = recurrent_kernel.shape[0]
        self._padded = -(-self.units // _LANES) * _LANES
        self.kernel = self._pad(kernel)
        self.recurrent_kernel = self._pad(recurrent_kernel)
        self.bias = None if bias is None else self._pad(bias)
        self.options = {
            "features": self.features,
            "units": self.units,
            "padded_units": self._padded,
            "reset_after": int(reset_after),
            "activation": ACTIVATIONS.index(activation),
            "recurrent_activation": ACTIVATIONS.index(recurrent_activation),
            "zero_output_for_mask": int(zero_output_for_mask),
        }
        self.threads = threads

    def _pad(self, array: np.ndarray) -> np.ndarray:
        """Returns a copy, (..., 3 * units) made (..., 3 * padded)."""
        gates = array.reshape(*array.shape[:-1], 3, self.units)
        padding = [(0, 0)] * (gates.ndim - 1) + [(0, self._padded - self.units)]
        padded = np.pad(np.asarray(gates, np.float32), padding)
        return np.ascontiguousarray(padded.reshape(*array.shape[:-1], 3 * self._padded))


class Forward:
    """A forward pass for chunks of one size, on arrays that it holds.

    Fill `inputs` and, if there is one, `mask`; call; read `outputs` and `state`. The
    arrays stay the same from call to call.

    Args:
        weights: The weights.
        initial_state: Where every call finds the state before the first timestep:
            float32, (batch, units), contiguous.
        timesteps: The number of timesteps.
        masked: Whether there is a mask.
        sequences: Whether the outputs of all timesteps are wanted.

    Attributes:
        inputs: (batch, timesteps, features), float32.
        mask: (batch, timesteps), booleans, or None.
        outputs: (batch, timesteps, units); without `sequences` (batch, units), the
            last state.
        state: (batch, units), the last state.

    Raises:
        RuntimeError: The native engine is not available; see `native.status`.
    """

    def __init__(
        self,
        weights: Weights,
        initial_state: np.ndarray,
        timesteps: int,
        masked: bool = False,
        sequences: bool = True,
    ):
        self._forward = _library().gru_forward
        batch, units = initial_state.shape
        self.inputs = np.zeros((batch, timesteps, weights.features), np.float32)
        self.mask = np.ones((batch, timesteps), bool) if masked else None
        self.state = np.zeros((batch, units), np.float32)
        self.outputs = self.state
        if sequences:
            self.outputs = np.zeros((batch, timesteps, units), np.float32)
        products = batch * timesteps * (weights.features + units) * 3 * units
        self._kept = weights, initial_state  # for the kernels' pointers
        self._structures = (
            Options(
                batch=batch,
                timesteps=timesteps,
                threads=1 if products < _ONE_THREAD else weights.threads,
                **weights.options,
            ),
            Inputs(
                inputs=_address(self.inputs),
                initial_state=_address(initial_state),
                kernel=_address(weights.kernel),
                recurrent_kernel=_address(weights.recurrent_kernel),
                bias=_address(weights.bias),
                mask=_address(self.mask),
            ),
            Outputs(
                outputs=_address(self.outputs) if sequences else None,
                state=_address(self.state),
            ),
        )
        self._arguments = tuple(map(ctypes.byref, self._structures))

    def __call__(self) -> None:
        """Runs the pass; MemoryError if its workspace does not fit in memory."""
        if self._forward(*self._arguments):
            raise MemoryError("the GRU's forward pass ran out of memory.")


class Dense:
    """A Dense layer for a few rows, on arrays that it holds.

    Fill `inputs`; call; read `outputs`. The arrays stay the same from call to call.

    Args:
        kernel: W, (features, units); copied.
        bias: None, or (units,); copied.
        activation: One of `ACTIVATIONS`, or "softmax".
        shape: The axes in front of the features.

    Attributes:
        inputs: (*shape, features), float32.
        outputs: (*shape, units).

    Raises:
        RuntimeError: The native engine is not available; see `native.status`.
    """

    def __init__(
        self,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        activation: str,
        shape: tuple[int, ...],
    ):
        self._dense = _library().gru_dense
        features, units = kernel.shape
        padded = -(-units // _LANES) * _LANES
        weights = np.zeros((features + 1, padded), np.float32)
        weights[:-1, :units] = kernel
        weights[-1, :units] = 0 if bias is None else bias
        self.inputs = np.zeros((*shape, features), np.float32)
        outputs = np.zeros((*shape, padded), np.float32)
        self.outputs = outputs[..., :units]
        softmax = activation == "softmax"
        structure = _Dense(
            rows=math.prod(shape),
            features=features,
            units=units,
            padded_units=padded,
            activation=ACTIVATIONS.index("linear" if softmax else activation),
            softmax=softmax,
            inputs=_address(self.inputs),
            kernel=_address(weights),
            bias=_address(weights[-1]),
            outputs=_address(outputs),
        )
        self._kept = weights, outputs, structure  # for the kernels' pointers
        self._argument = ctypes.byref(structure)

    def __call__(self) -> None:
        """Runs the layer."""
        self._dense(self._argument)


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


@functools.cache
def _library() -> ctypes.CDLL:
    native.ops()  # says why, if it cannot be used
    library = ctypes.CDLL(str(pathlib.Path(native.__file__).parent / native.LIBRARY))
    library.gru_dense.restype = None
    return library
