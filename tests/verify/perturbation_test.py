"""What rounding changes, and what another engine or other weights change."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon import use_engine, verify
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import perturbation
from tf_gru_addon.verify.difference import difference
from tf_gru_addon.verify.inputs import arrays_of

X = np.random.default_rng(0).normal(size=(3, 40, 3)).astype("float32")


def _layer(dtype="float32", scale=1.0, **options):
    gru = tf_gru_addon.GRU(16, dtype=dtype, **options)
    gru.build((None, None, 3))
    gru.cell.recurrent_kernel.assign(scale * gru.cell.recurrent_kernel)
    return gru


def _rounding(layer, x):
    def run(x):
        return arrays_of(layer(x, training=False))

    return verify.rounding(run, x, run(x), [layer])


@pytest.mark.parametrize("scale", [1, 3, 6])
def test_two_right_engines_are_within_a_multiple(scale):
    layer = _layer(scale=scale)
    spread = _rounding(layer, X)
    exact = _layer("float64")
    exact.set_weights(layer.get_weights())
    with use_engine("portable"):
        portable = layer(X)
    for other in (portable, exact(X)):
        error = difference(arrays_of(layer(X)), arrays_of(other))
        assert error <= perturbation.FACTOR * spread
    assert spread < 1e-4 or scale > 1


def test_a_wrong_one_is_not():
    layer = _layer()
    spread = _rounding(layer, X)
    assert 1e-8 < spread < 1e-6
    kernel = layer.cell.kernel.numpy()
    before = arrays_of(layer(X))
    kernel[0, 0] *= 1.001
    layer.cell.kernel.assign(kernel)
    assert difference(before, arrays_of(layer(X))) > perturbation.FACTOR * spread


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_the_unit_is_that_of_the_dtype_computed_in(dtype):
    layer = _layer(dtype)
    spread = _rounding(layer, X.astype("float64"))
    unit = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10, "float64": 2**-52}[dtype]
    assert unit / 10 < spread < 100 * unit
    assert perturbation.decidable([layer]) == max(1e-2, 8 * unit)


def test_the_model_is_left_as_it_was():
    layer = tf_gru_addon.GRU(4, stateful=True)
    model = keras.Sequential([keras.Input((None, 3), batch_size=3), layer])
    model(X)
    flat = flat_model(model)
    variables = [*model.variables, *layer.states]
    values = [np.array(v) for v in variables]

    def run(arrays):
        return verify.run_model(flat, arrays)

    assert 0 < verify.rounding(run, [X], run([X]), [flat, layer]) < 1e-5
    for value, variable in zip(values, variables, strict=True):
        np.testing.assert_array_equal(value, variable)
