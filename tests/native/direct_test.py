"""The kernels called on NumPy arrays, against the oracle."""

import numpy as np
import pytest
from support import oracles
from support.harness import assert_close, run_python

from tf_gru_addon import native

if not native.status().available:
    pytest.skip(native.status().reason, allow_module_level=True)

from tf_gru_addon.native.direct import ACTIVATIONS, Dense, Forward, Weights

B, T, F = 3, 5, 4


def _arrays(units, reset_after, use_bias):
    rng = np.random.default_rng(units)
    shapes = [(F, 3 * units), (units, 3 * units)]
    shapes += [(2, 3 * units) if reset_after else (3 * units,)] * use_bias
    arrays = [rng.normal(0, 0.5, shape).astype("float32") for shape in shapes]
    x = rng.normal(size=(B, T, F)).astype("float32")
    h0 = rng.normal(size=(B, units)).astype("float32")
    return x, h0, [*arrays, None][:3]


def _call(weights, x, h0, mask=None, sequences=True):
    call = Forward(weights, h0, T, mask is not None, sequences)
    call.inputs[...] = x
    if mask is not None:
        call.mask[...] = mask
    call()
    return call


@pytest.mark.parametrize("units", [1, 5, 16, 33])
@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("zero_output_for_mask", [True, False])
def test_values(units, reset_after, use_bias, zero_output_for_mask):
    x, h0, arrays = _arrays(units, reset_after, use_bias)
    options = {
        "reset_after": reset_after,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "zero_output_for_mask": zero_output_for_mask,
    }
    weights = Weights(*arrays, **options)
    mask = np.random.default_rng(1).random((B, T)) < 0.5
    for m in (None, mask):
        outputs, _, state = oracles.gru(x, h0, *arrays, mask=m, **options)
        call = _call(weights, x, h0, m)
        assert_close(call.outputs, outputs)
        assert_close(call.state, state)
        assert_close(_call(weights, x, h0, m, sequences=False).outputs, state)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("recurrent_activation", ACTIVATIONS[:4])
def test_activations(activation, recurrent_activation):
    x, h0, arrays = _arrays(5, True, True)
    options = {
        "reset_after": True,
        "activation": activation,
        "recurrent_activation": recurrent_activation,
    }
    outputs, _, _ = oracles.gru(x, h0, *arrays, **options)
    assert_close(_call(Weights(*arrays, **options), x, h0).outputs, outputs)


def test_the_weights_are_copied_and_the_arrays_stay():
    x, h0, arrays = _arrays(16, True, True)
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    weights = Weights(*arrays, reset_after=True, **options)
    call = _call(weights, x, h0)
    first, outputs = call.outputs.copy(), call.outputs
    for array in arrays:
        array += 1
    call()
    assert call.outputs is outputs
    assert_close(outputs, first)


@pytest.mark.parametrize("units", [1, 15, 16, 17])
@pytest.mark.parametrize("reset_after", [True, False])
def test_infinity_reaches_no_other_row_and_goes_out_with_the_gates(units, reset_after):
    """It closes the gates or opens them; the padding of the weights makes no NaN."""
    x, h0, arrays = _arrays(units, reset_after, True)
    x[1, 1, 2] = np.inf
    x[2, 3, 0] = np.nan
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    options["reset_after"] = reset_after
    with np.errstate(all="ignore"):
        outputs, _, state = oracles.gru(x, h0, *arrays, **options)
    assert np.isnan(outputs).any(axis=(1, 2)).tolist() == [False, False, True]
    call = _call(Weights(*arrays, **options), x, h0)
    np.testing.assert_allclose(call.outputs, outputs, rtol=1e-4, atol=3e-5)
    np.testing.assert_allclose(call.state, state, rtol=1e-4, atol=3e-5)


def test_no_timesteps():
    _, h0, arrays = _arrays(5, False, True)
    options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    weights = Weights(*arrays, reset_after=False, **options)
    call = Forward(weights, h0, 0)
    call()
    assert call.outputs.shape == (B, 0, 5)
    assert_close(call.state, h0)


def _softmax(y):
    y = np.exp(y - y.max(axis=-1, keepdims=True))
    return y / y.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "softmax"])
@pytest.mark.parametrize("units", [1, 10, 16, 70])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense(activation, units, use_bias):
    rng = np.random.default_rng(units)
    kernel = rng.normal(size=(9, units)).astype("float32")
    bias = rng.normal(size=units).astype("float32") if use_bias else None
    x = rng.normal(size=(3, 9)).astype("float32")
    dense = Dense(kernel, bias, activation, (3,))
    dense.inputs[...] = x
    dense()
    y = x.astype("float64") @ kernel + (0 if bias is None else bias)
    known = {**oracles.ACTIVATIONS, "softmax": _softmax}
    assert_close(dense.outputs, known[activation](y))


@pytest.mark.parametrize("isa", ["generic", "avx2", "avx512"])
def test_dense_on_every_instruction_set(isa):
    run_python(DENSE, isa, env={"TF_GRU_ADDON_ISA": isa})


DENSE = """
import numpy as np
from tf_gru_addon.native.direct import Dense
x = np.linspace(-60, 90, 7, dtype="float32").reshape(1, 7)
dense = Dense(np.eye(7), None, "softmax", (1,))
dense.inputs[...] = x
dense()
y = np.exp(x.astype("float64") - 90)
assert np.allclose(dense.outputs, y / y.sum(), atol=1e-6), dense.outputs
dense.inputs[0, 3] = np.nan
dense()
assert np.isnan(dense.outputs).all()
"""


WITHOUT = """
import numpy as np
from tf_gru_addon.native.direct import Forward, Weights
options = {"activation": "tanh", "recurrent_activation": "sigmoid"}
weights = Weights(np.ones((1, 3)), np.ones((1, 3)), None, reset_after=True, **options)
try:
    Forward(weights, np.zeros((1, 1), "float32"), 1)
except RuntimeError as error:
    assert "TF_GRU_ADDON_NATIVE is 0" in str(error), error
else:
    raise SystemExit("it ran")
"""


def test_without_the_library():
    run_python(WITHOUT, env={"TF_GRU_ADDON_NATIVE": "0"})
