"""What only the target `saved_model` does: TensorFlow alone, engines, states."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import cases
from support.harness import assert_close, run_python

import tf_gru_addon
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets.saved_model import TARGET, export_saved_model
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.ops import engines, native


def _export(model, path, **options):
    return export_saved_model(model, path, **{"beside_keras": False, **options})


def _sequential(*layers, shape=(None, 3), **options):
    return keras.Sequential([keras.Input(shape, **options), *layers])


@pytest.mark.parametrize("case", ["cells_stacked", "layer_dropout"])
def test_no_dropout_and_no_custom_op(case, tmp_path):
    report = _export(cases.model(case), tmp_path / "served")
    assert report.max_error < 2e-6
    assert not [op for op in report.ops if "Random" in op or "TfGruAddon" in op]


def test_half_precision(tmp_path):
    model = cases.model("layer_bfloat16")
    assert _export(model, tmp_path / "served", tolerance=3e-2).passed


@pytest.mark.parametrize("engine", ["native", "portable"])
def test_whatever_engine_trained_it(engine, tmp_path):
    if engine == "native" and not tf_gru_addon.native.status().available:
        pytest.skip(tf_gru_addon.native.status().reason)
    model = _sequential(tf_gru_addon.GRU(4, engine=engine))
    assert _export(model, tmp_path / "served").passed
    assert model.layers[0].engine == engine


ALONE = """
import sys

class Hide:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tf_gru_addon", "keras", "tf_keras"):
            return None
        return self.finder.find_spec(name, path, target)

sys.meta_path[:] = [Hide(finder) for finder in sys.meta_path]
import numpy, tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
with numpy.load(sys.argv[2]) as file:
    arrays = [file["frames"], file["state"]]
sequences, state = loaded.serve(*arrays)
named = loaded.signatures["serving_default"](
    frames=tf.constant(arrays[0]), state=tf.constant(arrays[1])
)
assert sorted(named) == ["encoder", "encoder_1"], named
tf.debugging.assert_equal(named["encoder"], sequences)
tf.debugging.assert_equal(named["encoder_1"], state)
numpy.savez(sys.argv[3], sequences=sequences, state=state)
assert not {"tf_gru_addon", "keras"} & set(sys.modules)
"""


def test_tensorflow_alone_and_the_names(tmp_path):
    frames = keras.Input((None, 3), name="frames")
    state = keras.Input((4,), name="state")
    masked = keras.layers.Masking()(frames)
    layer = tf_gru_addon.GRU(
        4, return_sequences=True, return_state=True, name="encoder"
    )
    model = keras.Model([frames, state], layer(masked, initial_state=state))
    _export(model, tmp_path / "served")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 9, 3)).astype("float32")
    x[0, 5:], x[1, 2:4], x[2] = 0, 0, 0
    h = rng.normal(size=(3, 4)).astype("float32")
    np.savez(tmp_path / "in.npz", frames=x, state=h)
    run_python(ALONE, *(tmp_path / name for name in ("served", "in.npz", "out.npz")))
    expected = model([x, h])
    with np.load(tmp_path / "out.npz") as file:
        assert_close(file["sequences"], expected[0])
        assert_close(file["state"], expected[1])


def test_open_sizes_and_no_timesteps(tmp_path):
    _export(cases.model("layer_sequences"), tmp_path / "served")
    loaded = tf.saved_model.load(tmp_path / "served")
    for batch, timesteps in [(0, 4), (2, 0), (7, 3)]:
        x = np.zeros((batch, timesteps, cases.FEATURES), "float32")
        assert loaded.serve(x).shape == (batch, timesteps, cases.UNITS)


def test_a_stateful_model_goes_on_from_its_state(tmp_path):
    model = _sequential(tf_gru_addon.GRU(4, stateful=True), batch_size=2)
    x = np.ones((2, 3, 3), "float32")
    model(x)
    _export(model, tmp_path / "served")
    run = TARGET.load(tmp_path / "served", flat_model(model))
    (first,), (again,) = run([x]), run([x])
    np.testing.assert_array_equal(first, again)
    loaded = tf.saved_model.load(tmp_path / "served")
    for _ in range(2):
        assert_close(loaded.serve(x), model(x))


def test_an_op_that_is_not_tensorflow_s(tmp_path):
    if not tf_gru_addon.native.status().available:
        pytest.skip(tf_gru_addon.native.status().reason)
    model = _sequential(_Native(2))
    with pytest.raises(ExportError, match=r"runs the op TfGruAddon.* is not part of"):
        _export(model, tmp_path / "served")
    assert not list(tmp_path.iterdir())


class _Native(keras.layers.Layer):
    """Insists on the native engine, also within an export."""

    def __init__(self, units):
        super().__init__()
        self.gru = tf_gru_addon.GRU(units)

    def build(self, shape):
        self.gru.build(shape)

    def call(self, x):
        with engines.using(dataclasses.replace(native.ENGINE, why_not=lambda call: [])):
            return self.gru(x)
