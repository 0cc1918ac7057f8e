"""What rounding changes, against what another engine does change."""

import functools

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon import use_engine, verify
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import run_model


def _model(dtype="float32", scale=1.0, **options):
    gru = tf_gru_addon.GRU(16, dtype=dtype, **options)
    gru.build((None, None, 3))
    gru.cell.recurrent_kernel.assign(scale * gru.cell.recurrent_kernel)
    return gru


def _distance(expected, actual):
    return float(np.abs(np.asarray(expected, "f8") - np.asarray(actual, "f8")).max())


def _rounding(layer, x):
    return verify.rounding(lambda x: layer(x, training=False), x, [layer], _distance)


X = np.random.default_rng(0).normal(size=(3, 40, 3)).astype("float32")


@pytest.mark.parametrize("scale", [1, 3, 6])
def test_two_right_engines_are_within_the_limit(scale):
    layer = _model(scale=scale)
    spread = _rounding(layer, X)
    exact = _model("float64")
    exact.set_weights(layer.get_weights())
    with use_engine("portable"):
        portable = layer(X)
    for other in (portable, exact(X)):
        assert _distance(layer(X), other) <= verify.limit(0, spread)
    assert spread < 1e-4 or scale > 1


def test_a_wrong_one_is_not():
    layer = _model()
    spread = _rounding(layer, X)
    assert 1e-8 < spread < 1e-6
    kernel = layer.cell.kernel.numpy()
    before = layer(X)
    kernel[0, 0] *= 1.001
    layer.cell.kernel.assign(kernel)
    assert _distance(before, layer(X)) > verify.limit(0, spread)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_the_unit_is_that_of_the_dtype_computed_in(dtype):
    spread = _rounding(_model(dtype), X.astype("float64"))
    unit = {"mixed_bfloat16": 2**-7, "mixed_float16": 2**-10, "float64": 2**-52}[dtype]
    assert unit / 10 < spread < 100 * unit
    assert verify.decidable([_model(dtype)]) == max(1e-2, 8 * unit)


def test_the_model_is_left_as_it_was():
    layer = tf_gru_addon.GRU(4, stateful=True)
    model = keras.Sequential([keras.Input((None, 3), batch_size=3), layer])
    model(X)
    flat = flat_model(model)
    variables = [*model.variables, *layer.states]
    values = [np.array(v) for v in variables]
    run = functools.partial(run_model, flat)
    spread = verify.rounding(
        run, [X], [flat, layer], lambda a, b: _distance(a[0], b[0])
    )
    assert 0 < spread < 1e-5
    for value, variable in zip(values, variables, strict=True):
        np.testing.assert_array_equal(value, variable)
