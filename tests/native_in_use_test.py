"""The native engine runs in users' programs and gives the right numbers."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close, run_python

import tf_gru_addon
from tf_gru_addon import GRU, native, use_engine

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)


def _time_distributed():
    return [
        keras.layers.Reshape((2, 3, 4)),
        keras.layers.TimeDistributed(GRU(3)),
        keras.layers.Flatten(),
    ]


KINDS = {
    "plain": lambda: [GRU(3)],
    "bidirectional": lambda: [keras.layers.Bidirectional(GRU(3))],
    "time_distributed": _time_distributed,
    "masked": lambda: [keras.layers.Masking(), GRU(3, return_sequences=True), GRU(3)],
    "mixed_bfloat16": lambda: [GRU(3, dtype="mixed_bfloat16")],
    "stateful": lambda: [GRU(3, stateful=True)],
    "from_cell": lambda: [GRU.from_cell(tf_gru_addon.GRUCell(3))],
}


def _fit(kind):
    """Returns the losses and the weights of a training, and the predictions."""
    keras.utils.set_random_seed(3)
    layers = [keras.Input((6, 4), batch_size=8), *KINDS[kind](), keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6, 4)).astype("float32")
    x[::3, 4:] = 0
    y = rng.normal(size=(32, 2)).astype("float32")
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    predicted = model.predict(x, batch_size=8, verbose=0)
    return [history.history["loss"], *model.get_weights(), predicted]


@pytest.mark.parametrize("kind", KINDS)
def test_fit_and_predict(ran, kind):
    actual = _fit(kind)
    assert set(ran) == {"native"}
    ran.clear()
    with use_engine("portable"):
        expected = _fit(kind)
    assert set(ran) == {"portable"}
    dtype = "bfloat16" if kind == "mixed_bfloat16" else "float32"
    for a, e in zip(actual, expected, strict=True):
        assert_close(a, e, dtype)


MIRRORED = """
import dataclasses
import keras, numpy as np, tensorflow as tf
from tf_gru_addon import GRU
from tf_gru_addon.ops import engines

(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
ran = []
for name, engine in list(engines.ENGINES.items()):
    def spy(call, _name=name, _run=engine.run):
        ran.append((_name, call.inputs.shape[0]))
        return _run(call)
    engines.ENGINES[name] = dataclasses.replace(engine, run=spy)
rng = np.random.default_rng(0)
x = rng.normal(size=(32, 5, 3)).astype("float32")
y = rng.normal(size=(32, 4)).astype("float32")
results = []
for kind in (keras.layers.GRU, GRU):
    keras.utils.set_random_seed(1)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        # The initializers of the two classes draw different numbers.
        layer = keras.layers.Bidirectional(kind(2))
        model = keras.Sequential([keras.Input((None, 3)), layer])
        weights = np.random.default_rng(2)
        model.set_weights([weights.normal(size=w.shape) for w in model.weights])
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    ran.clear()
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    predicted = model.predict(x, verbose=0)
    results.append([history.history["loss"], *model.get_weights(), predicted])
# Each of two replicas has half of a batch, in training and in prediction.
assert set(ran) == {("native", 4), ("native", 16)}, ran
for a, b in zip(*results):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
print("done")
"""


def test_fit_on_two_devices_of_a_mirrored_strategy():
    """The results equal those of keras.layers.GRU under the same strategy."""
    assert run_python(MIRRORED).stdout.endswith("done\n")


def test_the_profiler_shows_the_ops_by_name(tmp_path):
    layer = GRU(3)
    call = tf.function(layer)
    x = tf.ones([2, 4, 3])
    call(x)
    tf.profiler.experimental.start(str(tmp_path))
    call(x)
    with tf.GradientTape() as tape:
        output = layer(x, training=True)
    tape.gradient(output, layer.trainable_weights)
    tf.profiler.experimental.stop()
    (file,) = tmp_path.rglob("*.xplane.pb")
    names = set(re.findall(rb"TfGruAddon>\w+", file.read_bytes()))
    expected = {b"GruLast", b"GruLastTraining", b"GruGradient"}
    assert names == {b"TfGruAddon>" + name for name in expected}


def _model():
    forward = GRU(2, return_sequences=True)
    layers = [keras.Input((None, 3)), keras.layers.Bidirectional(forward), GRU(2)]
    return keras.Sequential(layers)


EXPORTS = {
    "export": lambda model, path: model.export(path),
    "save": lambda model, path: tf.saved_model.save(model, path),
}


@pytest.mark.parametrize("way", EXPORTS)
def test_a_trained_model_exports_no_native_op(ran, way, tmp_path):
    """Also if the model has traced functions with native ops."""
    model = _model()
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones([4, 5, 3]), np.ones([4, 2]), verbose=0)
    model.predict(np.ones([4, 5, 3]), verbose=0)
    model.serve_it = tf.function(
        model.call, input_signature=[tf.TensorSpec([None, None, 3])]
    )
    model.serve_it(tf.ones([4, 5, 3]))
    assert set(ran) == {"native"}
    ran.clear()
    EXPORTS[way](model, tmp_path)
    assert set(ran) == {"portable"}
    text = (tmp_path / "saved_model.pb").read_bytes()
    assert b"MatMul" in text
    assert b"TfGruAddon" not in text


@pytest.mark.parametrize("way", EXPORTS)
def test_use_engine_exports_a_layer_that_demands_native(way, tmp_path):
    layer = GRU(2, engine="native")
    model = keras.Sequential([keras.Input((None, 3)), layer])
    with pytest.raises(
        ValueError,
        match=r"'native' was asked for and cannot run: the call is traced for export\. "
        r'.* within use_engine\("portable"\)',
    ):
        EXPORTS[way](model, tmp_path / "refused")
    with use_engine("portable"):
        EXPORTS[way](model, tmp_path / "written")
    loaded = tf.saved_model.load(tmp_path / "written").signatures["serving_default"]
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    (name,) = loaded.structured_input_signature[1]
    (actual,) = loaded(**{name: tf.constant(x)}).values()
    assert layer.explain().engine == "native"
    assert_close(actual, model(x))


EXPORT_OTHERS = """
import dataclasses, pathlib, sys
import keras, numpy as np, tensorflow as tf
from tf_gru_addon import GRU
from tf_gru_addon.ops import engines

ran = []
for name, engine in list(engines.ENGINES.items()):
    def spy(call, _name=name, _run=engine.run):
        ran.append(_name)
        return _run(call)
    engines.ENGINES[name] = dataclasses.replace(engine, run=spy)

folder = pathlib.Path(sys.argv[1])
layer = keras.layers.Bidirectional(GRU(2, return_sequences=True))
model = keras.Sequential([keras.Input((None, 3)), layer, GRU(2)])
model.compile("sgd", "mse", jit_compile=False)
model.fit(np.ones([4, 5, 3]), np.ones([4, 2]), verbose=0)
assert set(ran) == {"native"}, ran
for kind, name in (("onnx", "m.onnx"), ("litert", "m.tflite"), ("openvino", "m.xml")):
    ran.clear()
    model.export(str(folder / name), format=kind)
    assert set(ran) == {"portable"}, (kind, ran)
"""


@pytest.mark.peer
def test_other_export_formats_hold_no_native_op(tmp_path):
    run_python(EXPORT_OTHERS, tmp_path)
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(files) == {"m.onnx", "m.tflite", "m.xml", "m.bin"}
    assert b"MatMul" in files["m.onnx"]
    assert b"MatMul" in files["m.xml"]
    for name, text in files.items():
        assert b"TfGruAddon" not in text, name
