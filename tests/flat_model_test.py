"""The form in which exports and streams read a model."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.errors import ExportError
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import example_inputs, run_model


def test_the_flat_model_of_named_inputs_and_outputs():
    inputs = {"b": keras.Input((None, 3), name="b"), "a": keras.Input((2,), name="a")}
    outputs, state = tf_gru_addon.GRU(2, return_state=True)(
        inputs["b"], initial_state=inputs["a"]
    )
    model = keras.Model(inputs, {"y": outputs, "h": state})
    flat = flat_model(model)
    arrays = example_inputs(flat)["batch 5, timesteps 8"]
    names = [tensor.name for tensor in flat.inputs]
    expected = model(dict(zip(names, arrays, strict=True)))
    actual = run_model(flat, arrays)
    np.testing.assert_array_equal(actual[0], expected["h"])
    assert len(actual) == 2


class _Subclass(keras.Model):
    def __init__(self):
        super().__init__()
        self.gru = tf_gru_addon.GRU(2)

    def call(self, x):
        return self.gru(x)


def test_what_is_no_model_to_export():
    with pytest.raises(ExportError, match=r"must be a keras\.Model; received a str"):
        flat_model("model.keras")
    with pytest.raises(ExportError, match=r"is not built.*Begin it with a keras\.In"):
        flat_model(keras.Sequential([tf_gru_addon.GRU(2)]))
    model = _Subclass()
    model(np.zeros((1, 2, 3), "float32"))
    with pytest.raises(ExportError, match=r"a _Subclass does not say.*keras\.Model.x"):
        flat_model(model)
    x = keras.Input((None, 3))
    assert flat_model(keras.Model(x, model(x))).outputs
