"""What only the target `litert` does: built-in ops, loops, small files."""

import os

import keras
import pytest
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets.litert import TOLERANCES, export_litert

pytestmark = pytest.mark.peer


def _model(*layers, shape=(None, 3), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


def _export(model, tmp_path, **options):
    return export_litert(model, tmp_path / "m.tflite", beside_keras=False, **options)


MODELS = {
    "sequences": lambda: _model(tf_gru_addon.GRU(4, return_sequences=True)),
    "reset before, hard": lambda: _model(
        tf_gru_addon.GRU(
            4,
            activation="relu",
            recurrent_activation="hard_sigmoid",
            reset_after=False,
            use_bias=False,
        )
    ),
    "unrolled": lambda: _model(tf_gru_addon.GRU(4, unroll=True), shape=(9, 3)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_loop_of_built_in_ops(name, tmp_path):
    report = _export(MODELS[name](), tmp_path)
    assert not [op for op in report.ops if op.startswith(("FLEX", "CUSTOM"))]
    assert "WHILE" in report.ops  # not one op a timestep


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
