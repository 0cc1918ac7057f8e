"""Calls the kernels on NumPy arrays through ctypes; a call takes microseconds.

The structures mirror those of `include/gru.h`, field by field. That header documents
the pointers; here, `None` stands for null and an address for an array.
"""

from __future__ import annotations

import ctypes
import functools
import math
import pathlib

import numpy as np

from tf_gru_addon import native

_FLOATS = ctypes.c_void_p

#: The activations of the kernels, in the order of `GRU_ACTIVATIONS` in gru.h.
ACTIVATIONS = (
    "sigmoid",
    "hard_sigmoid",
    "keras_hard_sigmoid",
    "tanh",
    "relu",
    "linear",
)

#: The longest vector of any instruction set, in floats. The kernels read weights padded
#: to it in place; they would pack others in every call.
_LANES = 16

#: Below this number of multiplications, about a tenth of a millisecond, waking a second
#: thread takes longer than the work that it would take over.
_ONE_THREAD = 5e6


class Options(ctypes.Structure):
    """`GruOptions`."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "timesteps")),
        *((name, ctypes.c_int64) for name in ("features", "units")),
        *((name, ctypes.c_int) for name in ("activation", "recurrent_activation")),
        *((name, ctypes.c_int) for name in ("reset_after", "go_backwards")),
        *((name, ctypes.c_int) for name in ("zero_output_for_mask", "threads")),
        ("padded_units", ctypes.c_int64),
    )


class Inputs(ctypes.Structure):
    """`GruInputs`."""

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
    """`GruOutputs`."""

    _fields_ = (
        ("outputs", _FLOATS),
        ("last_output", _FLOATS),
        ("state", _FLOATS),
        ("gates", _FLOATS),
    )


class _Dense(ctypes.Structure):
    """`GruDense`."""

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
        reset_after: Whether the reset gate acts after the recurrent product.
        activation: The activation of the candidate, one of `ACTIVATIONS`.
        recurrent_activation: The activation of z and r, one of `ACTIVATIONS`.
        zero_output_for_mask: Whether the output of a masked timestep is 0.
        threads: The most threads to use; 0 for one per CPU of the process. Short calls
            use one.

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
    ) -> None:
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
        """Returns a copy padded from (..., 3 * units) to (..., 3 * padded)."""
        gates = array.reshape(*array.shape[:-1], 3, self.units)
        padding = [(0, 0)] * (gates.ndim - 1) + [(0, self._padded - self.units)]
        padded = np.pad(np.asarray(gates, np.float32), padding)
        return np.ascontiguousarray(padded.reshape(*array.shape[:-1], 3 * self._padded))


class Forward:
    """A forward pass for chunks of one size, on arrays that it owns.

    Fill `inputs` and, if there is one, `mask`; call; read `outputs` and `state`. Every
    call uses the same arrays. Calls from several threads must use different instances.

    Args:
        weights: The weights.
        initial_state: The state before the first timestep: float32, (batch, units),
            contiguous. Every call reads it again.
        timesteps: The number of timesteps.
        masked: Whether there is a mask.
        sequences: Whether to compute the outputs of all timesteps.

    Attributes:
        inputs: The inputs, float32, (batch, timesteps, features).
        mask: The mask, bool, (batch, timesteps), or None.
        outputs: The outputs, float32, (batch, timesteps, units); without `sequences`,
            the last state, (batch, units).
        state: The last state, float32, (batch, units).

    Raises:
        RuntimeError: The native engine is not available; `native.status` says why.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.native.direct import Forward, Weights
        >>> kernels = np.ones((4, 6)), np.ones((2, 6))
        >>> activations = {"activation": "tanh", "recurrent_activation": "sigmoid"}
        >>> weights = Weights(*kernels, None, reset_after=True, **activations)
        >>> run = Forward(weights, np.zeros((1, 2), np.float32), timesteps=3)
        >>> run.inputs[...] = 1
        >>> run()
        >>> run.outputs.shape
        (1, 3, 2)
    """

    def __init__(
        self,
        weights: Weights,
        initial_state: np.ndarray,
        timesteps: int,
        masked: bool = False,
        sequences: bool = True,
    ) -> None:
        self._forward = _library().gru_forward
        batch, units = initial_state.shape
        self.inputs = np.zeros((batch, timesteps, weights.features), np.float32)
        self.mask = np.ones((batch, timesteps), bool) if masked else None
        self.state = np.zeros((batch, units), np.float32)
        self.outputs = self.state
        if sequences:
            self.outputs = np.zeros((batch, timesteps, units), np.float32)
        products = batch * timesteps * (weights.features + units) * 3 * units
        self._kept = weights, initial_state  # the structures hold only addresses
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
        """Runs the pass.

        Raises:
            MemoryError: The workspace does not fit in memory.
        """
        if self._forward(*self._arguments):
            raise MemoryError(
                "the forward pass of the GRU ran out of memory for its workspace; run "
                "a smaller batch."
            )


class Dense:
    """A Dense layer for few rows, on arrays that it owns.

    Fill `inputs`; call; read `outputs`. Every call uses the same arrays.

    Args:
        kernel: W, (features, units); copied.
        bias: None, or (units,); copied.
        activation: One of `ACTIVATIONS`, or "softmax".
        shape: The axes before the features.

    Attributes:
        inputs: The inputs, float32, (*shape, features).
        outputs: The outputs, float32, (*shape, units).

    Raises:
        RuntimeError: The native engine is not available; `native.status` says why.
    """

    def __init__(
        self,
        kernel: np.ndarray,
        bias: np.ndarray | None,
        activation: str,
        shape: tuple[int, ...],
    ) -> None:
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
        self._kept = weights, outputs, structure  # they hold only addresses
        self._argument = ctypes.byref(structure)

    def __call__(self) -> None:
        """Runs the layer."""
        self._dense(self._argument)


def _address(array: np.ndarray | None) -> int | None:
    """Returns the address of an array's data, or None for null."""
    return None if array is None else array.ctypes.data


@functools.cache
def _library() -> ctypes.CDLL:
    """Returns the library with the types of the functions declared."""
    native.ops()  # raises the reason if the library cannot be used
    library = ctypes.CDLL(str(pathlib.Path(native.__file__).parent / native.LIBRARY))
    library.gru_dense.restype = None
    return library
