"""A model's step gives the model's numbers for every way of cutting the sequence."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import streams
from support.harness import assert_close, op_types

from tf_gru_addon import GRU
from tf_gru_addon._compat import layers_of
from tf_gru_addon.streaming import Stream, StreamingModel

_MODELS = {}


def streaming(name):
    if name not in _MODELS:
        _MODELS[name] = StreamingModel(streams.model(name))
    return _MODELS[name]


def run(name, x, cuts, mask=None):
    step, states = streaming(name).step, streaming(name).initial_states(len(x))
    chunks = []
    for start, end in cuts:
        masks = None if mask is None else mask[:, start:end]
        y, states = step(x[:, start:end], states, masks)
        chunks.append([tf.cast(each, "float32") for each in tf.nest.flatten(y)])
    return streams.joined(name, chunks)


@pytest.mark.parametrize("name", streams.CASES)
def test_any_chunks_give_the_numbers_of_the_whole_sequence(name):
    x = streams.frames(name)
    expected = streams.outputs(name, x)
    single = [(t, t + 1) for t in range(x.shape[1])]
    for cuts in (single, [(0, 0), (0, 4), (4, 4), (4, 11)]):
        streams.assert_same(run(name, x, cuts), expected, name)


@pytest.mark.parametrize("name", streams.MASKED)
@settings(max_examples=8, deadline=None)
@given(cuts=streams.cuts(), seed=st.integers(0, 1000))
def test_any_mask(name, cuts, seed):
    x = streams.frames(name)
    mask = np.random.default_rng(seed).random(x.shape[:2]) < 0.6
    mask[0] = False
    expected = streams.outputs(name, x, mask)
    x = np.where(mask[..., np.newaxis], x, np.float32("nan")) if name == "gru" else x
    streams.assert_same(run(name, x, cuts, mask), expected, name)


def test_rows_are_reset_separately():
    name = "convolutions"
    x = streams.frames(name)
    model = streaming(name)
    first, states = model.step(x[:, :4], model.initial_states(3))
    states = model.reset(states, [False, True, False])
    rest, _ = model.step(x[:, 4:], states)
    y = np.concatenate([first, rest], axis=1)
    expected = streams.outputs(name, x)[0]
    expected[1, 4:] = streams.outputs(name, x[1:2, 4:])[0]
    assert_close(y, expected)


def test_states_are_explicit_and_named():
    states = streaming("cells").states
    assert {name: s.shape for name, s in states.items()} == {
        "rnn_state": (4,),
        "rnn_1_state": (3,),
        "rnn_2_state": (2,),
    }
    assert {s.shape for s in streaming("last_of_zero_outputs").states.values()} == {
        (4,)
    }
    assert len(streaming("last_of_zero_outputs").states) == 2
    assert streaming("bfloat16").initial_states(2)["half_state"].dtype == tf.bfloat16


def test_a_step_uses_the_current_weights():
    model = streams.sequential(GRU(2, return_sequences=True))
    step = StreamingModel(model)
    x = np.ones((1, 3, streams.FEATURES), "float32")
    step.step(x, step.initial_states(1))
    model.set_weights([w + 0.5 for w in model.get_weights()])
    assert_close(step.step(x, step.initial_states(1))[0], model(x))


def test_a_step_holds_neither_random_nor_native_ops():
    model = streaming("dense")
    step = tf.function(model.step).get_concrete_function(*model.signature(True))
    ops = op_types(step)
    assert "MatMul" in ops
    assert not [op for op in ops if "Random" in op or "Gru" in op]


def test_a_long_stream_does_not_drift():
    x = streams.frames("gru", 1, 2000)
    cuts = [(t, t + 1) for t in range(0, 200)] + [(200, 1000), (1000, 2000)]
    assert_close(run("gru", x, cuts)[0], streams.outputs("gru", x)[0])


@pytest.mark.parametrize("name", ["cells", "dense", "images", "nested", "residual"])
def test_no_attribute_of_a_layer_is_set(name, monkeypatch):
    model, x = streams.model(name), streams.frames(name)
    layers = [model, *layers_of(model)]
    found = []
    real = keras.Layer.__setattr__

    def record(self, attribute, value):
        if any(self is layer for layer in layers):
            found.append(attribute)
        real(self, attribute, value)

    monkeypatch.setattr(keras.Layer, "__setattr__", record)
    model.trainable = True  # an example of a recorded attribute
    assert "trainable" in found
    found.clear()
    step = StreamingModel(model)
    step.step(x, step.initial_states(len(x)))
    Stream(model, len(x)).push(x)
    # Keras sets these two at every call of a layer.
    assert set(found) <= {"built", "_called"}


X = np.zeros((2, 1, streams.FEATURES), "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": X[0]}, r"frames .* must have the shape .*received \(1, 3\)"),
        ({"frames": X[..., :2]}, r"here \(None, None, 3\); received \(2, 1, 2\)"),
        ({"frames": X[:1]}, r"'gru\w*_state' .* \(1, 5\), with as many rows as frames"),
        ({"states": {}}, r"states .* must be a dict of \['gru\w*'\]; received \[\]"),
        ({"mask": [[True]]}, r"mask .* here \(2, 1\); received \(1, 1\)"),
    ],
)
def test_wrong_arguments(change, message):
    model = streaming("gru")
    arguments = {"frames": X, "states": model.initial_states(2), **change}
    with pytest.raises(ValueError, match=message):
        model.step(**arguments)


def test_a_shared_layer_has_a_state_for_each_call():
    layer = GRU(streams.FEATURES, return_sequences=True, name="twice")
    x = keras.Input((None, streams.FEATURES))
    model = keras.Model(x, layer(layer(x)))
    assert list(StreamingModel(model).states) == ["twice_state", "twice_1_state"]


def test_a_loaded_functional_model_with_masks(tmp_path):
    inputs = keras.Input((None, 3))
    x = keras.layers.Masking()(inputs)
    x = GRU(4, return_sequences=True)(x)
    model = keras.Model(inputs, GRU(2)(keras.layers.Dropout(0.1)(x)))
    model.save(tmp_path / "m.keras")
    # Its graph also holds the operations of the masks, and passes masks to the layers.
    loaded = StreamingModel(keras.models.load_model(tmp_path / "m.keras"))
    assert list(loaded.states) == list(StreamingModel(model).states)
