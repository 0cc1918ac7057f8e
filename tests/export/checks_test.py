"""Wrong arguments of exports and streams: named, and before anything is written."""

import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon.export import (
    ExportError,
    Stream,
    StreamingModel,
    export_litert,
    export_onnx,
    export_saved_model,
    export_streaming,
)

X = np.zeros((2, 4, 3), "float32")


class _Subclass(keras.Model):
    def call(self, x):
        return x


@pytest.fixture(scope="module")
def model():
    return keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(2)])


COMMON = [
    ({"tolerance": "x"}, "tolerance must be a finite number .* received: 'x'"),
    ({"tolerance": float("nan")}, "tolerance must be .* received: nan"),
    ({"tolerance": float("inf")}, "tolerance must be .* received: inf"),
    ({"tolerance": -1e-5}, "tolerance must be .* at least 0; received: -1e-05"),
    ({"tolerance": True}, "tolerance must be .* received: True"),
    ({"examples": "x"}, "examples must be a dict .* received a str"),
    ({"examples": [X]}, "examples must be a dict .* received a list"),
    ({"examples": {1: [X]}}, "examples must be a dict .* the name 1"),
    ({"examples": {"a": X}}, "list of one array; 'a' is a ndarray"),
    ({"examples": {"a": [X, X]}}, "list of one array; 'a' is a list of 2"),
    ({"examples": {"a": ["x"]}}, r"examples\['a'\]\[0\] must be an array of float32"),
    ({"examples": {"a": [X * 1j]}}, "an array of float32; received one of complex"),
    ({"examples": {"a": [X[0]]}}, r"shape \(any, any, 3\) .* received \(4, 3\)"),
    ({"examples": {"a": [X[..., :2]]}}, r"shape \(any, any, 3\) .* \(2, 4, 2\)"),
    ({"examples": {"a": [X[:0]]}}, r"not be empty.* received \(0, 4, 3\)"),
    ({"only_examples": True}, "only_examples=True leaves nothing to compare on"),
    ({"only_examples": "yes"}, "only_examples must be True or False; received: 'yes'"),
    ({"path": None}, "path must be a path.* received: None"),
    ({"path": ""}, "path must be a path.* received: ''"),
    ({"model": "x"}, r"model must be a keras\.Model; received a str"),
    ({"model": keras.Sequential([tf_gru_addon.GRU(2)])}, "the model is not built"),
    ({"model": _Subclass()}, "not built|does not say what its inputs are"),
]
WHOLE = [({"beside_keras": "no"}, "beside_keras must be True or False")]
STEP = [
    ({"format": None}, "format must be one of .* received: None"),
    ({"mask": "yes"}, "mask must be True or False; received: 'yes'"),
    ({"batch_size": -1}, "batch_size must be None or a positive integer.* -1"),
    ({"batch_size": "x"}, "batch_size must be None or a positive integer.* 'x'"),
    ({"quantize": None}, "quantize must be one of .* received: None"),
    (
        {"format": "litert", "quantize": "int8", "representative": X[..., :2]},
        "representative must have the shape",
    ),
]
QUANTIZE = [({"quantize": "int4"}, "\"dynamic\" .* received: 'int4'")]
CASES = [
    *[(export_saved_model, *case) for case in COMMON + WHOLE],
    *[(export_streaming, *case) for case in COMMON + STEP],
    *[(export_litert, *case) for case in COMMON[:1] + WHOLE + QUANTIZE],
    *[(export_onnx, *case) for case in COMMON[:1] + WHOLE],
]


@pytest.mark.parametrize(("export", "wrong", "message"), CASES)
def test_arguments_of_exports(export, wrong, message, model, tmp_path):
    arguments = {"model": model, "path": tmp_path / "there", **wrong}
    (tmp_path / "there").write_text("mine")  # which is found after the arguments
    with pytest.raises(ExportError, match=message):
        export(**arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "mine"


def test_examples_that_the_model_refuses(tmp_path):
    embedding = keras.layers.Embedding(5, 2)
    layers = [keras.Input((None,), dtype="int32"), embedding, keras.layers.GRU(2)]
    examples = {"words": [np.full((1, 3), 7)]}
    with pytest.raises(ExportError, match=r"examples\['words'\]: .* does not run on"):
        export_saved_model(keras.Sequential(layers), tmp_path / "a", examples=examples)
    with pytest.raises(ExportError, match="an array of int32; received one of float"):
        export_saved_model(
            keras.Sequential(layers), tmp_path / "a", examples={"a": [X[:, :, 0]]}
        )
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], keras.layers.Add()([a, b]))
    examples = {"rows": [X[0], X[0, :1]]}
    with pytest.raises(ExportError, match="as many rows for each input; received 4, 1"):
        export_saved_model(model, tmp_path / "a", examples=examples)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: Stream("x"), r"model must be a keras\.Model; received a str"),
        (lambda m: Stream(m, batch_size=-1), "batch_size must be a positive integer"),
        (lambda m: Stream(m, batch_size="x"), "batch_size must be .* received: 'x'"),
        (lambda m: Stream(m, batch_size=True), "batch_size must be .* received: True"),
        (lambda m: Stream(m).push(X[0]), r"frames must have the shape .* \(4, 3\)"),
        (lambda m: Stream(m).push("x"), "frames must be an array of float32; .* str"),
        (lambda m: Stream(m).push(None), "frames must be an array of float32; .* obje"),
        (lambda m: Stream(m).push(X[:1] * 1j), "frames must be .* one of complex"),
        (lambda m: Stream(m).push([[1], [1, 2]]), "frames must be an array of float32"),
        (
            lambda m: Stream(m).push(X[:1], mask=[[0.5] * 4]),
            "mask must be an array of bool; received one of float64",
        ),
        (lambda m: Stream(m).reset(rows="x"), "rows must be 1 booleans.* 'x'"),
        (lambda m: Stream(m).reset(rows=[[0], [0, 1]]), "rows must be 1 booleans"),
        (lambda m: Stream(m).reset(rows=0.5), "rows must be 1 booleans.* 0.5"),
        (lambda m: StreamingModel(m).initial_states(-1), "batch_size must be .* -1"),
        (lambda m: _step(m, "x"), "frames must be an array of float32"),
        (lambda m: _step(m, X * 1j), "frames must be .* one of complex"),
        (lambda m: _step(m, X, "x"), "mask must be an array of bool"),
        (lambda m: StreamingModel(m).step(X, "x"), "must be a dict of .* received 'x'"),
        (lambda m: StreamingModel(m).reset({}, "x"), "rows must be an array of bool"),
    ],
)
def test_arguments_of_streams(call, message, model):
    with pytest.raises(ValueError, match=message):
        call(model)


def _step(model, frames, mask=None):
    streaming = StreamingModel(model)
    return streaming.step(frames, streaming.initial_states(2), mask)


def test_nan_in_a_stream_ends_with_a_reset(model):
    stream = Stream(model, batch_size=2)
    frames = X.copy()
    frames[0] = np.nan
    assert np.isnan(stream.push(frames)[0]).all()
    stream.reset([0])
    expected = Stream(model, batch_size=2)
    expected.push(X)
    expected.reset([0])
    np.testing.assert_array_equal(stream.push(X), expected.push(X))
