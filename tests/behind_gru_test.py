"""Layers that read static shapes, after a GRU with known timesteps and unknown batch.

A model gives the same numbers and shapes as the same model with `keras.layers.GRU`,
for batch sizes below, at and above the number of timesteps, in every way of running
and saving it.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon import native
from tf_gru_addon.export import export_litert, export_onnx, export_saved_model
from tf_gru_addon.export.targets import target_of
from tf_gru_addon.flat_model import flat_model

# Warnings of protobuf, onnx and tf2onnx themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

TIMESTEPS, FEATURES = 5, 2
X = [
    np.random.default_rng(batch).normal(size=(batch, TIMESTEPS, FEATURES))
    for batch in (2, TIMESTEPS, 7)
]
X = [x.astype("float32") for x in X]
SETTINGS = {
    "native": {},
    "portable": {"engine": "portable"},
    "selu": {"activation": "selu"},
    "mixed_float16": {"dtype": "mixed_float16"},
    "no_native": {},
    "accelerated": {},
}


def _few_heads(gru, y):
    del gru
    return [
        layers.TimeDistributed(layers.Dense(1))(y),
        layers.Dense(2)(layers.Flatten()(y)),
        layers.Reshape((3, TIMESTEPS))(y),
        layers.Conv1D(2, 2)(y),
    ]


def _every_head(gru, y):
    unrolled = gru(2, unroll=True, return_sequences=True)(y)
    return [
        *_few_heads(gru, y),
        layers.Attention()([y, y]),
        layers.MultiHeadAttention(1, 2)(y, y),
        unrolled,
        layers.Bidirectional(gru(2))(unrolled),
    ]


def _model(cls, heads, **options):
    keras.utils.set_random_seed(3)
    gru = functools.partial(cls, **options)
    inputs = keras.Input((TIMESTEPS, FEATURES))
    return keras.Model(inputs, heads(gru, gru(3, return_sequences=True)(inputs)))


def _pair(setting, heads, monkeypatch):
    """Returns a model and the same model with `keras.layers.GRU` and equal weights."""
    if setting == "native" and not native.status().available:
        pytest.skip(f"native: {native.status().reason}")
    if setting == "no_native":
        monkeypatch.setenv("TF_GRU_ADDON_NATIVE", "0")
    options = dict(SETTINGS[setting])
    if setting == "mixed_float16":
        keras.config.set_dtype_policy(options.pop("dtype"))
    if setting == "accelerated":
        model = _model(keras.layers.GRU, heads)
        tf_gru_addon.accelerate(model)
    else:
        model = _model(tf_gru_addon.GRU, heads, **options)
    options.pop("engine", None)
    reference = _model(keras.layers.GRU, heads, **options)
    model(X[0])  # Keras cannot export a model that was never called.
    reference.set_weights(model.get_weights())
    return model, reference


# Each function takes a model and a folder, and returns a function of an array.


def _function(model, path, **options):
    spec = tf.TensorSpec([None, TIMESTEPS, FEATURES])
    return tf.function(lambda x: model(x), input_signature=[spec], **options)


def _xla(model, path):
    return _function(model, path, jit_compile=True)


def _predict(model, path):
    return lambda x: model.predict(x, verbose=0)


def _keras_file(model, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


def _export(model, path):
    model.export(path / "exported")
    return _served(path / "exported", model)


def _save(model, path):
    tf.saved_model.save(model, path / "saved")
    return _served(path / "saved", model)


def _served(path, model):
    loaded = tf.saved_model.load(path)
    (spec,) = (
        loaded.signatures["serving_default"].structured_input_signature[1].values()
    )

    def run(x):
        # Some Keras versions save a half-precision model with half-precision inputs.
        results = loaded.signatures["serving_default"](
            **{spec.name: tf.cast(x, spec.dtype)}
        )
        return [results[name] for name in sorted(results)]

    return run


def _export_saved_model(model, path):
    export_saved_model(model, path / "exported", beside_keras=False)
    run = target_of("saved_model").load(path / "exported", flat_model(model))
    return lambda x: run([x])


def _litert(model, path):
    export_litert(model, path / "model.tflite", beside_keras=False)
    run = target_of("litert").load(path / "model.tflite", flat_model(model))
    return lambda x: run([x])


def _onnx(model, path):
    export_onnx(model, path / "model.onnx", beside_keras=False)
    run = target_of("onnx").load(path / "model.onnx", flat_model(model))
    return lambda x: run([x])


def _keras_onnx(model, path):
    model.export(path / "model.onnx", format="onnx", verbose=False)
    run = target_of("onnx").load(path / "model.onnx", flat_model(model))
    return lambda x: run([x])


@pytest.mark.parametrize(
    ("setting", "way", "heads"),
    [
        ("native", _predict, _every_head),
        ("portable", _function, _every_head),
        ("portable", _xla, _few_heads),
        ("portable", _keras_file, _every_head),
        ("no_native", _save, _few_heads),
        ("portable", _export_saved_model, _few_heads),
        ("selu", _predict, _few_heads),
        ("selu", _export, _every_head),
        ("mixed_float16", _predict, _few_heads),
        ("mixed_float16", _export, _few_heads),
        ("accelerated", _predict, _few_heads),
        ("accelerated", _save, _few_heads),
        pytest.param("native", _litert, _every_head, marks=pytest.mark.peer),
        pytest.param("native", _onnx, _every_head, marks=pytest.mark.peer),
        pytest.param("selu", _keras_onnx, _few_heads, marks=pytest.mark.peer),
    ],
)
def test_every_layer_gives_the_same_numbers(setting, way, heads, tmp_path, monkeypatch):
    model, reference = _pair(setting, heads, monkeypatch)
    run = way(model, tmp_path)
    for x in X:
        for output, (a, e) in enumerate(zip(run(x), reference(x), strict=True)):
            assert_close(tf.cast(a, "float32"), e, str(e.dtype.name), (len(x), output))


def test_a_step_of_training(monkeypatch):
    models = _pair("portable", lambda gru, y: _few_heads(gru, y)[:2], monkeypatch)
    y = [np.zeros_like(head) for head in models[1](X[-1])]
    for model in models:
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(X[-1], y, batch_size=4, shuffle=False, verbose=0)
    weights = (model.get_weights() for model in models)
    for a, e in zip(*weights, strict=True):
        assert_close(a, e)


def test_time_distributed_keeps_the_timesteps():
    model = keras.Sequential(
        [
            keras.Input((5, 2)),
            tf_gru_addon.GRU(3, return_sequences=True, activation="selu"),
            layers.TimeDistributed(layers.Dense(1)),
        ]
    )
    assert model.predict(np.ones((2, 5, 2)), verbose=0).shape == (2, 5, 1)
