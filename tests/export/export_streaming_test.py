"""One step of a model in a file; `every_target_test.py` compares the outputs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import streams
from support.harness import assert_close, run_python

from tf_gru_addon import GRU
from tf_gru_addon.cli import main
from tf_gru_addon.export import ExportError, export_streaming


@pytest.mark.peer
def test_litert_holds_built_in_ops_and_no_loop(tmp_path):
    path = tmp_path / "a.tflite"
    report = export_streaming(streams.model("dense"), path, "litert", batch_size=1)
    assert not {"WHILE", "CUSTOM", "Flex"} & set(report.ops)
    assert report.ops["FULLY_CONNECTED"] >= 4
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(str(path)).get_signature_runner("step")
    shapes = {n: tuple(d["shape"]) for n, d in runner.get_input_details().items()}
    assert shapes["frames"] == (1, 1, streams.FEATURES)


@pytest.mark.peer
@pytest.mark.parametrize("quantize", ["float16", "dynamic", "int8"])
def test_litert_quantized(quantize, tmp_path):
    model = streams.sequential(
        GRU(128, return_sequences=True), keras.layers.Dense(4, activation="softmax")
    )
    x = np.random.default_rng(0).normal(size=(8, 20, streams.FEATURES))
    report = export_streaming(
        model,
        tmp_path / "a",
        "litert",
        quantize=quantize,
        representative=x if quantize == "int8" else None,
    )
    numbers = sum(w.size for w in model.get_weights())
    bytes_of_a_number = 2 if quantize == "float16" else 1
    assert report.size < 1.2 * bytes_of_a_number * numbers + 16384


@pytest.mark.peer
def test_onnx_holds_a_node_a_gru(tmp_path):
    report = export_streaming(streams.model("cells"), tmp_path / "a.onnx", "onnx")
    assert report.ops["GRU"] == 3
    assert "Loop" not in report.ops
    import onnx

    graph = onnx.load(tmp_path / "a.onnx").graph
    assert {x.name for x in graph.input} == {
        "frames",
        "rnn_state",
        "rnn_1_state",
        "rnn_2_state",
    }
    assert {y.name for y in graph.output} == {
        "output",
        "next_rnn_state",
        "next_rnn_1_state",
        "next_rnn_2_state",
    }


SERVE = """
import sys
import numpy as np, tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1])
served = loaded.signatures
x = np.load(sys.argv[2])
states = served["initial_states"](batch_size=tf.constant(len(x)))
parts = []
for start, end in [(0, 0), (0, 1), (1, 5), (5, 11)]:
    states = served["step"](frames=tf.constant(x[:, start:end]), **states)
    parts.append(states.pop("output"))
np.save(sys.argv[2], np.concatenate(parts, axis=1))
assert "tf_gru_addon" not in sys.modules
"""


def test_a_saved_model_is_served_by_tensorflow_alone(tmp_path):
    name = "dense"
    x = streams.frames(name)
    export_streaming(streams.model(name), tmp_path / "step")
    np.save(tmp_path / "x.npy", x)
    run_python(SERVE, tmp_path / "step", tmp_path / "x.npy")
    assert_close(np.load(tmp_path / "x.npy"), streams.outputs(name, x)[0])


def test_only_standard_ops(tmp_path):
    report = export_streaming(streams.model("dense"), tmp_path / "step")
    assert not [op for op in report.ops if not hasattr(tf.raw_ops, op)]


def test_a_model_is_as_it_was(tmp_path):
    model = streams.sequential(keras.layers.Dense(3), GRU(2))
    before = [len(layer._inbound_nodes) for layer in model.layers]
    export_streaming(model, tmp_path / "step")
    assert [len(layer._inbound_nodes) for layer in model.layers] == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "pickle"}, "one of saved_model, litert, onnx; received: 'pickle'"),
        (
            {"quantize": "int8"},
            "one of none for the format saved_model; .* 'int8'",
        ),
        ({"format": "litert", "quantize": "int8"}, "representative .* go together"),
        ({"batch_size": True}, "received: True"),
        ({"batch_size": 0}, "batch_size must be None or a positive integer"),
    ],
)
def test_options(options, message, tmp_path):
    with pytest.raises(ExportError, match=message):
        export_streaming(streams.model("gru"), tmp_path / "a", **options)
    assert not list(tmp_path.iterdir())


def test_a_layer_that_is_not_causal(tmp_path):
    model = streams.sequential(GRU(2, go_backwards=True, name="back"))
    with pytest.raises(ExportError, match="back: this GRU cannot be streamed"):
        export_streaming(model, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_the_command_line(tmp_path, capsys):
    model = streams.sequential(GRU(2, return_sequences=True, name="gru"))
    model.save(tmp_path / "m.keras")
    output = tmp_path / "step"
    command = ["export", "--model", str(tmp_path / "m.keras"), "--streaming"]
    assert main([*command, "--output", str(output)]) == 0
    assert "saved_model, one step" in capsys.readouterr().out
    step = tf.saved_model.load(output).signatures["step"]
    assert set(step.structured_outputs) == {"output", "gru_state"}

    backwards = streams.sequential(GRU(2, go_backwards=True, name="back"))
    backwards.save(tmp_path / "b.keras")
    command[2] = str(tmp_path / "b.keras")
    assert main([*command, "--output", str(tmp_path / "other")]) == 2
    assert "back: this GRU cannot be streamed" in capsys.readouterr().err
