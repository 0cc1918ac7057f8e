import zipfile

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export import ExportError, export_streaming
from tf_gru_addon.export.keras_files import load_keras_file
from tf_gru_addon.export.targets.saved_model import export_saved_model


class _Clip(keras.constraints.Constraint):
    def __init__(self, limit=1.0):
        self.limit = limit

    def __call__(self, w):
        return keras.ops.clip(w, -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}


class _Sum(keras.regularizers.Regularizer):
    def __call__(self, w):
        return keras.ops.sum(w)

    def get_config(self):
        return {}


class _Halves(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return keras.ops.full(shape, 0.5, dtype)


def _cost(y_true, y_pred):
    return keras.ops.sum(y_true - y_pred)


def _doubled(x):
    return 2 * keras.ops.tanh(x)


class _Double(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def _model(**options):
    layers = [
        keras.Input((None, 3)),
        keras.layers.Dense(3, kernel_constraint=_Clip(0.3)),
        tf_gru_addon.GRU(
            4,
            kernel_constraint=_Clip(),
            bias_initializer=_Halves(),
            recurrent_regularizer=_Sum(),
            return_sequences=True,
            **options,
        ),
        keras.layers.GRU(2, recurrent_initializer=_Halves(), name="own"),
    ]
    model = keras.Sequential(layers)
    model.compile(loss=_cost, metrics=[_cost])
    return model


def test_what_matters_in_training_alone_is_left_out(tmp_path):
    model = _model(bias_regularizer="l2")
    model.save(tmp_path / "m.keras")
    loaded, left_out = load_keras_file(tmp_path / "m.keras")
    assert left_out == ["_Clip", "_Halves", "_Sum"]
    x = np.ones((2, 5, 3), "float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[1].cell.bias_regularizer is not None
    assert loaded.layers[1].cell.kernel_constraint is None


def test_what_is_known_is_kept(tmp_path):
    _model().save(tmp_path / "m.keras")
    known = {"_Clip": _Clip, "_Halves": _Halves, "_Sum": _Sum}
    with keras.saving.custom_object_scope(known):
        loaded, left_out = load_keras_file(tmp_path / "m.keras")
    assert left_out == []
    assert loaded.layers[0].kernel_constraint.limit == 0.3


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (_Double, "_Double"),
        (lambda: keras.layers.Dense(2, activation=_doubled), "_doubled"),
        (lambda: tf_gru_addon.GRU(2, activation=_doubled), "_doubled"),
    ],
)
def test_an_unknown_layer_or_activation_is_named(layer, name, tmp_path):
    keras.Sequential([keras.Input((None, 3)), layer()]).save(tmp_path / "m.keras")
    with pytest.raises(ExportError, match=rf"'{name}' .*custom_objects=.*{name}"):
        load_keras_file(tmp_path / "m.keras")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (1 << 27) + b"{}", "claims 134217730 bytes"),
    ],
)
def test_a_damaged_file_is_named(content, reason, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", content)
    with pytest.raises(ExportError, match=rf"m\.keras: .*{reason}"):
        load_keras_file(tmp_path / "m.keras")


def test_live_objects_need_no_registration(tmp_path):
    model = _model(activation=_doubled)
    assert export_saved_model(model, tmp_path / "served", beside_keras=False).passed
    causal = keras.Sequential(model.layers[:2])
    causal.build((None, None, 3))
    x = np.ones((1, 5, 3), "float32")
    outputs = tf_gru_addon.Stream(causal).push(x)
    np.testing.assert_allclose(outputs, causal(x), atol=1e-6)
    assert export_streaming(causal, tmp_path / "step").passed
    assert "own" in tf_gru_addon.accelerate(model).replaced
