"""`jit_compile=True` in `fit` and `predict`, with every kind of model."""

import keras
import numpy as np
import pytest
from support import cases
from support.harness import assert_close

#: The cases for which XLA compiles different graphs; `serialization_test` runs all
#: cases in a `tf.function`.
CASES = [
    "cell_dropout",
    "cells_stacked",
    "layer_stateful",
    "layer_masked",
    "bidirectional_dropout",
    "time_distributed",
]
DROPOUT = {"cell_dropout", "cells_stacked", "bidirectional_dropout"}


def _compiled(case, jit_compile):
    model = cases.CASES[case]()
    model.set_weights(cases.model(case).get_weights())
    model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=jit_compile)
    return model


@pytest.mark.parametrize("case", CASES)
def test_fit_and_predict(case):
    x = cases.example()
    y = np.zeros_like(cases.model(case)(x))
    cases.reset_states(cases.model(case))
    weights, predictions = [], []
    for jit_compile in (False, True):
        model = _compiled(case, jit_compile)
        predictions.append(model.predict(x, verbose=0))
        cases.reset_states(model)
        losses = model.fit(x, y, epochs=2, verbose=0, shuffle=False).history["loss"]
        assert np.isfinite(losses).all()
        weights.append(model.get_weights())
    assert_close(predictions[1], predictions[0])
    if case in DROPOUT:
        return  # XLA draws other random numbers
    for compiled, plain in zip(weights[1], weights[0], strict=True):
        assert_close(compiled, plain)
