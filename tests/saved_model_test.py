"""A SavedModel needs only TensorFlow, and takes the inputs that the model takes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import cases
from support.harness import assert_close, run_python
from tensorflow.core.protobuf import saved_model_pb2

WAYS = {
    "export": lambda model, path: model.export(path),
    "save": lambda model, path: tf.saved_model.save(model, path),
}
#: The cases whose SavedModels differ.
CASES = [
    "cell_dropout",
    "cell_masked",
    "cells_stacked",
    "layer_sequences",
    "layer_return_state",
    "layer_initial_state",
    "layer_backwards",
    "layer_stateful",
    "layer_unroll",
    "layer_masked",
    "layer_dropout",
    "layer_keras_hard_sigmoid",
    "layer_bfloat16",
    "bidirectional_dropout",
    "time_distributed",
    "nested",
]
EVERY_CASE = pytest.mark.parametrize("case", CASES)
EVERY_WAY = pytest.mark.parametrize("way", WAYS)


def _sizes(case):
    """Returns a batch size and timesteps that differ from the traced ones."""
    if case in cases.FIXED_BATCH:
        return cases.BATCH, 6
    if case in cases.FIXED_TIMESTEPS:
        return 5, cases.TIMESTEPS
    return 5, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with SavedModels of every case, made in every way, and their inputs."""
    result = tmp_path_factory.mktemp("saved_models")
    for case in CASES:
        model = cases.model(case)
        for way, save in WAYS.items():
            cases.reset_states(model)
            save(model, result / case / way)
            np.save(result / case / f"{way}.npy", cases.example(*_sizes(case)))
    return result


RUN_SAVED_MODELS = """
import importlib.abc, pathlib, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "tf_gru_addon":
            raise ModuleNotFoundError("kept away by the test", name=name)

sys.meta_path.insert(0, Refuse())
import numpy, tensorflow as tf

for path in pathlib.Path(sys.argv[1]).glob("*/*.npy"):
    loaded = tf.saved_model.load(str(path.with_suffix("")))
    served = loaded.signatures["serving_default"]
    ((name, spec),) = served.structured_input_signature[1].items()
    # Older versions of Keras save a half precision model for half precision inputs.
    x = tf.cast(numpy.load(path), spec.dtype)
    for n in range(2):
        for key, y in served(**{name: x}).items():
            numpy.save(f"{path}.{n}.{key}", tf.cast(y, "float32"))
assert "tf_gru_addon" not in sys.modules
"""


@pytest.fixture(scope="module")
def results(folder):
    """The folder, after a process without this package and Keras ran them all."""
    run_python(RUN_SAVED_MODELS, folder)
    return folder


@EVERY_WAY
@EVERY_CASE
def test_the_same_numbers_without_this_package(results, case, way):
    files = sorted((results / case).glob(f"{way}.npy.*.npy"))
    expected = cases.expected(case, *_sizes(case))
    for file, y in zip(files, expected, strict=True):
        assert_close(np.load(file), y, str(y.dtype), file.name)


def _op_types(path):
    """Returns every op type in a SavedModel, also in functions that nothing calls."""
    saved = saved_model_pb2.SavedModel.FromString(
        (path / "saved_model.pb").read_bytes()
    )
    graph = saved.meta_graphs[0].graph_def
    functions = [function.node_def for function in graph.library.function]
    return {node.op for nodes in (graph.node, *functions) for node in nodes}


@EVERY_WAY
@EVERY_CASE
def test_no_random_op_and_no_native_op(folder, case, way):
    types = _op_types(folder / case / way)
    assert {op for op in types if "Random" in op} == set()
    assert {op for op in types if not hasattr(tf.raw_ops, op)} == set()


def test_the_check_finds_the_random_op_of_a_training_graph(tmp_path):
    model = cases.model("layer_dropout")
    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = tf.TensorSpec((None, None, cases.FEATURES))
    archive.add_endpoint("train", lambda x: model(x, training=True), [spec])
    archive.write_out(tmp_path)
    assert any("Random" in op for op in _op_types(tmp_path))


@EVERY_WAY
def test_other_batch_sizes_and_timesteps_are_in_the_signature(folder, way):
    served = tf.saved_model.load(str(folder / "bidirectional_dropout" / way))
    (spec,) = (
        served.signatures["serving_default"].structured_input_signature[1].values()
    )
    assert spec.shape.as_list() == [None, None, cases.FEATURES]


@EVERY_WAY
def test_no_timesteps_and_no_rows(folder, way):
    path = str(folder / "layer_sequences" / way)
    served = tf.saved_model.load(path).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    for batch, timesteps in [(0, 4), (2, 0), (0, 0)]:
        (y,) = served(**{name: tf.zeros((batch, timesteps, cases.FEATURES))}).values()
        assert y.shape == (batch, timesteps, cases.UNITS)


@EVERY_WAY
def test_a_stateful_saved_model_starts_from_its_saved_state(way, tmp_path):
    model = cases.CASES["layer_stateful"]()
    x = cases.example()
    model(x)
    WAYS[way](model, tmp_path)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    for _ in range(2):
        (y,) = served(**{name: tf.constant(x)}).values()
        assert_close(y, model(x))


def _gradients(call, variables, x):
    """Returns the gradient for every variable, by the variable's value."""
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(call(x)))
    gradients = tape.gradient(loss, variables)
    return {
        np.asarray(variable).tobytes(): gradient
        for variable, gradient in zip(variables, gradients, strict=True)
    }


@EVERY_WAY
def test_gradients_flow_through_a_saved_model(folder, way):
    model, x = cases.model("layer_masked"), tf.constant(cases.example(5, 6))
    loaded = tf.saved_model.load(str(folder / "layer_masked" / way))
    served = loaded.signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    actual = _gradients(
        lambda x: served(**{name: x})["output_0"], served.trainable_variables, x
    )
    expected = _gradients(model, [v.value for v in model.trainable_variables], x)
    assert set(actual) == set(expected)
    for key, gradient in expected.items():
        assert_close(actual[key], gradient)
