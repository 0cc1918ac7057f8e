"""A model predicts in one thread while another exports it; nothing of it changes."""

import threading
import time

import keras
import numpy as np
import pytest
from support import streams
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon._compat import layers_of
from tf_gru_addon.export import (
    Stream,
    StreamingModel,
    export_litert,
    export_onnx,
    export_saved_model,
    export_streaming,
)

X = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")


class _Watched(keras.layers.Layer):
    """Sets down what is set on it, and what its model looks like during each call."""

    def __init__(self):
        super().__init__(name="watched")
        self.heads = [keras.layers.Dense(3), {"last": keras.layers.Dense(2)}]
        self.watch = None

    def build(self, shape):
        self.heads[0].build(shape)
        self.heads[1]["last"].build((*shape[:-1], 3))

    def call(self, x):
        if self.watch is not None:
            self.watch()
        return self.heads[1]["last"](self.heads[0](x))

    def __setattr__(self, name, value):
        if watch := vars(self).get("watch"):
            watch(self, name)
        super().__setattr__(name, value)


def _causal():
    inner = streams.sequential(
        keras.layers.TimeDistributed(keras.layers.Dense(3)),
        tf_gru_addon.GRU(3, activity_regularizer="l2", return_sequences=True),
    )
    return streams.sequential(
        keras.layers.GRU(3, dropout=0.5, return_sequences=True),
        inner,
        keras.layers.RNN(keras.layers.GRUCell(4)),
        _Watched(),
    )


def _whole_sequences():
    return streams.sequential(
        keras.layers.Bidirectional(
            tf_gru_addon.GRU(2, dropout=0.5, return_sequences=True), merge_mode="sum"
        ),
        keras.layers.RNN(tf_gru_addon.GRUCell(3), return_sequences=True),
        *_causal().layers,
    )


def _look(value):
    """Returns what tells whether an attribute is what it was."""
    if isinstance(value, list | tuple):
        return [_look(each) for each in value]
    if isinstance(value, dict):
        return {key: _look(each) for key, each in value.items()}
    return id(value)


class _Watch:
    """Compares a model's layers with what they were."""

    def __init__(self, model):
        self._model, self._layers = model, [model, *layers_of(model)]
        self._before = self._looks()
        self.changes, self.looks = set(), 0

    def _looks(self):
        return [(type(each), _look(vars(each))) for each in self._layers]

    def __call__(self, owner=None, name=None):
        self.looks += 1
        if owner in self._layers:
            self.changes.add((owner.name, name))
        now = self._looks()
        for layer, (kind, then), (other, attributes) in zip(
            self._layers, self._before, now, strict=True
        ):
            if kind is not other:
                self.changes.add((layer.name, "__class__"))
            self.changes |= {
                (layer.name, key)
                for key in then.keys() | attributes.keys()
                if then.get(key) != attributes.get(key)
            }


ONCE = {"examples": {"x": [X]}, "only_examples": True}


def _whole(export, **options):
    options = {**ONCE, **options}
    return _whole_sequences, lambda model, path: export(model, path, **options)


def _step(format):
    return _causal, lambda model, path: export_streaming(model, path, format, **ONCE)


def _stream(model, path):
    assert_close(Stream(model, batch_size=2).push(X), model.predict_on_batch(X))
    streaming = StreamingModel(model)
    streaming.step(X, streaming.initial_states(2))


PEER = pytest.mark.peer
USES = [
    pytest.param(_whole(export_saved_model), id="saved_model"),
    pytest.param(_whole(export_onnx, beside_keras=False), id="onnx", marks=PEER),
    pytest.param(_whole(export_litert, beside_keras=False), id="litert", marks=PEER),
    pytest.param(_step("saved_model"), id="saved_model step"),
    pytest.param(_step("onnx"), id="onnx step", marks=PEER),
    pytest.param(_step("litert"), id="litert step", marks=PEER),
    pytest.param((_causal, _stream), id="stream"),
]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("use", USES)
def test_a_model_predicts_while_it_is_exported(use, tmp_path):
    make, write = use
    model = make()
    watched = model.layers[-1]
    expected = model.predict_on_batch(X)
    watched.watch = watch = _Watch(model)
    watch._before = watch._looks()  # with the watch itself
    done, wrong, count = threading.Event(), [], 0

    def predict():
        nonlocal count
        while not done.is_set():
            wrong.append((model.predict_on_batch(X) != expected).any())
            watch()
            count += 1
            time.sleep(0.02)

    thread = threading.Thread(target=predict)
    thread.start()
    try:
        write(model, tmp_path / "a")
    finally:
        done.set()
        thread.join()
    watch()
    assert watch.changes == set()
    assert not any(wrong)
    assert count > 2
    assert watch.looks > count  # some from within calls of the exported layers


def test_the_watch_sees_a_change():
    model = _causal()
    watch = _Watch(model)
    gru = model.layers[0]
    object.__setattr__(gru, "stateful", True)
    watch()
    assert watch.changes == {(gru.name, "stateful")}


def test_a_stateful_model_keeps_its_state_while_it_is_exported(tmp_path):
    layer = tf_gru_addon.GRU(4, stateful=True)
    model = keras.Sequential([keras.Input((None, 3), batch_size=2), layer])
    model(X)
    assigned = []
    assign = layer.states[0].assign
    state = np.array(layer.states[0])
    layer.states[0].assign = lambda value: assigned.append(1) or assign(value)
    export_saved_model(model, tmp_path / "a")
    assert not assigned
    np.testing.assert_array_equal(layer.states[0], state)
