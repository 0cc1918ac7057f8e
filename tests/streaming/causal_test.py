"""A layer that needs later frames is refused with its name and the reason."""

import keras
import numpy as np
import pytest
from support import streams

from tf_gru_addon import GRU
from tf_gru_addon.errors import ExportError
from tf_gru_addon.streaming.causal import read

layers = keras.layers


class Custom(layers.Layer):
    def call(self, x):
        return x


def _functional(call):
    x = keras.Input((None, 3))
    return keras.Model(x, call(x))


def _given_state(x):
    return GRU(3, name="it")(x, initial_state=layers.Dense(3)(GRU(2)(x)))


def _given_mask(x):
    mask = keras.ops.any(x > 0, axis=-1)
    return GRU(3, name="it")(x, mask=mask)


def _beside(x):
    return layers.Add(name="it")([x, layers.RepeatVector(1)(GRU(3)(x))])


def _attention(x):
    return layers.MultiHeadAttention(1, 2, name="it")(x, x)


REFUSED = {
    "bidirectional": (layers.Bidirectional(GRU(2), name="it"), "from its end"),
    "go_backwards": (GRU(2, go_backwards=True, name="it"), "go_backwards=True"),
    "keras_go_backwards": (
        layers.GRU(2, go_backwards=True, name="it"),
        "go_backwards=True",
    ),
    "lstm": (layers.LSTM(2, name="it"), "its state is not supported"),
    "lstm_cell": (
        layers.RNN(layers.LSTMCell(2), name="it"),
        "LSTMCell, not a GRUCell",
    ),
    "same": (layers.Conv1D(2, 3, padding="same", name="it"), 'padding="same" looks'),
    "valid": (layers.Conv1D(2, 3, name="it"), 'padding="valid"'),
    "strides": (
        layers.Conv1D(2, 3, strides=2, padding="causal", name="it"),
        "strides=2 changes the number",
    ),
    "pooling": (layers.GlobalAveragePooling1D(name="it"), "all timesteps to one"),
    "max_pooling": (layers.MaxPooling1D(name="it"), "the number of timesteps"),
    "permute": (layers.Permute((2, 1), name="it"), "moves the time axis"),
    "group": (layers.GroupNormalization(1, name="it"), "statistics over time"),
    "unit": (layers.UnitNormalization([1, 2], name="it"), "axis=.* combines timesteps"),
    "softmax": (layers.Softmax(axis=1, name="it"), "axis=1 combines timesteps"),
    "custom": (Custom(name="it"), "not known whether a Custom looks at later"),
}
FUNCTIONAL = {
    "initial_state": (_given_state, "called with an initial state or a mask"),
    "mask": (_given_mask, "only elementwise operations|state or a mask"),
    "beside": (_beside, "combines single timesteps with a summary"),
    "attention": (_attention, "initial state or a mask|looks at all others"),
    "training": (
        lambda x: layers.Dropout(0.5, name="it")(x, training=True),
        "called with training=True",
    ),
    "over_time": (lambda x: keras.ops.cumsum(x, axis=1), "only elementwise operations"),
    "array": (lambda x: x + np.ones((7, 3), "float32"), "only elementwise operations"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_is_refused_by_name_in_nested_models_too(name):
    layer, reason = REFUSED[name]
    model = streams.sequential(layer)
    for each in (model, streams.sequential(layers.Dense(3), model)):
        with pytest.raises(ExportError, match=f"^it: .*{reason}"):
            read(each)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_a_call_is_refused(name):
    call, reason = FUNCTIONAL[name]
    with pytest.raises(ExportError, match=reason):
        read(_functional(call))


def test_flatten_and_prelu():
    x = keras.Input((4, 3))
    with pytest.raises(ExportError, match=r"^flat: .*moves the time axis"):
        read(keras.Model(x, layers.Flatten(name="flat")(x)))
    with pytest.raises(ExportError, match=r"^it: .*a weight for each timestep"):
        read(keras.Model(x, layers.PReLU(name="it")(x)))
    read(keras.Model(x, layers.PReLU(shared_axes=[1])(x)))


def test_frames_without_features():
    x = keras.Input((4,))
    with pytest.raises(ExportError, match=r"^it: .*only an Embedding takes"):
        read(keras.Model(x, layers.Dense(2, name="it")(x)))
    x = keras.Input((None, None))
    with pytest.raises(ExportError, match=r"number of features; .*\(None, None, None"):
        read(keras.Model(x, layers.ReLU()(x)))


def test_two_inputs():
    inputs = [keras.Input((None, 3), name=name) for name in ("a", "b")]
    model = keras.Model(inputs, layers.Add()(inputs))
    with pytest.raises(ExportError, match=r"this one has 2: a, b. Concatenate them"):
        read(model)


def test_a_model_must_be_a_built_keras_model():
    with pytest.raises(ExportError, match=r"must be a keras.Model; received a GRU"):
        read(GRU(2))
    with pytest.raises(ExportError, match="not built"):
        read(keras.Sequential([GRU(2)]))
