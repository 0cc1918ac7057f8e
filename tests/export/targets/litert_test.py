"""LiteRT files, run by LiteRT's own interpreter."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import cases
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets.litert import TOLERANCES, export_litert

pytestmark = pytest.mark.peer


def _model(*layers, shape=(None, 3), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


NAN = {"NaN": [np.full((2, 3, 3), np.nan, "float32")]}


def _export(model, tmp_path, **options):
    return export_litert(model, tmp_path / "m.tflite", beside_keras=False, **options)


def _masked():
    return _model(
        keras.layers.Masking(),
        keras.layers.Bidirectional(tf_gru_addon.GRU(6, return_sequences=True)),
        tf_gru_addon.GRU(5),
        keras.layers.Dense(2, activation="softmax"),
    )


MODELS = {
    "sequences": lambda: _model(tf_gru_addon.GRU(4, return_sequences=True)),
    "last": lambda: _model(tf_gru_addon.GRU(4)),
    "masked": _masked,
    "masked zeros": lambda: _model(
        keras.layers.Masking(),
        tf_gru_addon.GRU(4, return_sequences=True, zero_output_for_mask=True),
    ),
    "embedding": lambda: _model(
        keras.layers.Embedding(7, 5, mask_zero=True),
        tf_gru_addon.GRU(4, go_backwards=True, return_sequences=True),
        shape=(None,),
    ),
    "reset before, hard": lambda: _model(
        tf_gru_addon.GRU(
            4,
            activation="relu",
            recurrent_activation="hard_sigmoid",
            reset_after=False,
            use_bias=False,
        )
    ),
    "Keras' own": lambda: _model(keras.layers.GRU(4, return_sequences=True)),
    "a cell": lambda: _model(keras.layers.RNN(tf_gru_addon.GRUCell(4))),
    "unrolled": lambda: _model(tf_gru_addon.GRU(4, unroll=True), shape=(9, 3)),
    "time distributed": lambda: _model(
        tf_gru_addon.GRU(4, return_sequences=True),
        keras.layers.TimeDistributed(keras.layers.Dense(2)),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_keeps_its_numbers(name, tmp_path):
    report = _export(MODELS[name](), tmp_path)
    assert report.passed
    assert report.size == os.path.getsize(report.path)
    assert not [op for op in report.ops if op.startswith(("FLEX", "CUSTOM"))]
    assert "WHILE" in report.ops  # not one op a timestep


def test_several_inputs_and_outputs_keep_their_order(tmp_path):
    a, b = keras.Input((None, 3), name="b"), keras.Input((None, 2), name="a")
    y = tf_gru_addon.GRU(4)(keras.layers.Concatenate()([a, b]))
    outputs = [keras.layers.Dense(n, name=k)(y) for k, n in (("z", 2), ("y", 3))]
    assert _export(keras.Model([a, b], outputs), tmp_path).passed


def test_layers_are_as_they_were(tmp_path):
    layer = tf_gru_addon.GRU(4, engine="auto")
    model = _model(layer)
    x = np.ones([2, 5, 3], np.float32)
    before = np.asarray(model(x))
    _export(model, tmp_path)
    assert layer.engine == "auto"
    assert_close(model(x), before)


@pytest.mark.parametrize("quantize", ["float16", "dynamic"])
def test_small_weights(quantize, tmp_path):
    keras.utils.set_random_seed(0)
    model = _model(tf_gru_addon.GRU(64), shape=(None, 32))
    report = _export(model, tmp_path, quantize=quantize)
    weights = 4 * model.count_params()
    assert 1e-6 < report.max_error <= TOLERANCES[quantize]
    assert report.size < weights / {"float16": 2, "dynamic": 4}[quantize] + 16_000


@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_file_is_little_more_than_its_weights(return_sequences, tmp_path):
    layer = tf_gru_addon.GRU(32, return_sequences=return_sequences)
    model = _model(layer, shape=(None, 12))
    assert _export(model, tmp_path).size < 1.2 * 4 * model.count_params() + 32_000


def test_an_op_that_litert_lacks_is_named(tmp_path, capfd):
    layer = keras.layers.Lambda(
        lambda x: tf.linalg.inv(tf.einsum("bi,bj->bij", x, x) + tf.eye(2))
    )
    with pytest.raises(
        ExportError, match=r"it lacks the op MatrixInverse, made in .*lambda"
    ):
        _export(_model(tf_gru_addon.GRU(2), layer), tmp_path)
    assert "MLIR" not in capfd.readouterr().err
    assert not os.listdir(tmp_path)


def test_a_stateful_layer_is_refused_by_its_name(tmp_path):
    layer = tf_gru_addon.GRU(2, stateful=True, name="memory")
    with pytest.raises(ExportError, match="memory: a stateful layer"):
        _export(_model(layer, batch_size=1), tmp_path)


def test_an_unknown_way_to_quantize(tmp_path):
    with pytest.raises(ExportError, match=r'"none", "float16" or "dynamic".*int4'):
        _export(_model(tf_gru_addon.GRU(2)), tmp_path, quantize="int4")


def test_an_output_that_exists_is_kept(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"mine")
    with pytest.raises(ExportError, match="exists already"):
        _export(_model(tf_gru_addon.GRU(2)), tmp_path)
    assert (tmp_path / "m.tflite").read_bytes() == b"mine"


def test_what_differs_stays_for_inspection(tmp_path):
    with pytest.raises(ExportError, match="It stays where it is") as raised:
        _export(_model(tf_gru_addon.GRU(2)), tmp_path, examples=NAN)
    assert not raised.value.report.passed
    assert (tmp_path / "m.tflite").exists()


@pytest.mark.parametrize("name", ["layer_masked", "layer_initial_state"])
def test_the_models_of_every_other_test(name, tmp_path):
    assert _export(cases.model(name), tmp_path).passed
