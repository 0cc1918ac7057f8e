"""What only the target `onnx` does: GRU nodes, names, states, OpenVINO."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import cases
from support.harness import assert_close

import tf_gru_addon
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.targets.onnx import TARGET, export_onnx
from tf_gru_addon.flat_model import flat_model

pytestmark = [
    pytest.mark.peer,
    # Raised by protobuf, onnx and tf2onnx.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

#: The number of GRU nodes in a case, if it is not one.
NODES = {
    "cells_stacked": 0,
    "layer_initial_state": 2,
    "layer_masked": 2,
    "bidirectional": 2,
    "bidirectional_dropout": 2,
    "nested": 2,
}
#: Refused for its dtype; and outputs up to a million, where rounding differs.
OTHERS = {"layer_bfloat16", "layer_every_part"}
#: OpenVINO lacks their activation.
NOT_OPENVINO = {
    "cell_hard_sigmoid",
    "cell_keras_hard_sigmoid",
    "cell",
    "cell_dropout",
    "cell_every_part",
    "cell_implementation_2",
    "cell_masked",
    "cell_no_bias",
    "cell_reset_after",
    "layer_hard_sigmoid",
    "layer_keras_hard_sigmoid",
    "cells_stacked",
}


def _export(model, path, **options):
    return export_onnx(model, path, **{"beside_keras": False, **options})


def _sequential(*layers, shape=(None, 3), **options):
    model = keras.Sequential([keras.Input(shape, **options), *layers])
    rng = np.random.default_rng(7)
    model.set_weights([rng.normal(0, 0.4, w.shape) for w in model.weights])
    return model


@pytest.mark.parametrize("case", sorted(set(cases.CASES) - OTHERS))
def test_every_case(case, tmp_path):
    model = cases.model(case)
    cases.reset_states(model)
    report = _export(model, tmp_path / "model.onnx")
    assert report.max_error < 2e-6
    assert report.ops.get("GRU", 0) == NODES.get(case, 1)
    assert ("Loop" in report.ops) == (case == "cells_stacked")
    ran = any(name.startswith("OpenVINO") for name, _ in report.cases)
    assert ran == (case not in NOT_OPENVINO), report.notes


class _Subclass(keras.layers.GRU):
    def call(self, sequences, initial_state=None, mask=None, training=None):
        return 2 * super().call(sequences, initial_state, mask, training)


def test_a_subclass_is_no_gru_node(tmp_path):
    report = _export(_sequential(_Subclass(4)), tmp_path / "model.onnx")
    assert "GRU" not in report.ops
    assert report.ops["Loop"] == 1


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("zero_output", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_masks_and_initial_states(masked, zero_output, backwards, sequences, tmp_path):
    x, h = keras.Input((None, 3), name="x"), keras.Input((4,), name="h")
    mask = keras.Input((None,), dtype="bool", name="mask")
    layer = tf_gru_addon.GRU(
        4,
        return_sequences=sequences,
        return_state=True,
        go_backwards=backwards,
        zero_output_for_mask=zero_output,
    )
    outputs = layer(x, initial_state=h, mask=mask if masked else None)
    model = keras.Model([x, h, mask] if masked else [x, h], outputs)
    report = _export(model, tmp_path / "model.onnx")
    assert report.max_error < 1e-6
    assert ("a row masked wholly" in dict(report.cases)) == masked


@pytest.mark.parametrize("reset_after", [False, True])
@pytest.mark.parametrize(
    ("activation", "recurrent_activation", "nodes"),
    [
        ("relu", "hard_sigmoid", ["HardSigmoid", "Relu"]),
        ("hard_sigmoid", "sigmoid", ["Sigmoid", "HardSigmoid"]),
        (None, keras.activations.hard_sigmoid, ["HardSigmoid", "Affine"]),
        (tf.tanh, tf.sigmoid, ["Sigmoid", "Tanh"]),
        ("elu", None, ["Affine", "Elu"]),
        ("softsign", "softplus", ["Softplus", "Softsign"]),
    ],
)
def test_activations(activation, recurrent_activation, nodes, reset_after, tmp_path):
    import onnx

    layer = tf_gru_addon.GRU(
        4,
        activation=activation,
        recurrent_activation=recurrent_activation,
        reset_after=reset_after,
    )
    model = _sequential(layer, shape=(5, 3))
    model.set_weights([w * 0.3 for w in model.get_weights()])
    report = _export(model, tmp_path / "model.onnx")
    assert report.max_error < 2e-6
    graph = onnx.load(tmp_path / "model.onnx").graph
    (node,) = [node for node in graph.node if node.op_type == "GRU"]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert [name.decode() for name in attributes["activations"]] == nodes
    assert attributes["linear_before_reset"] == reset_after


def test_a_shared_layer_has_its_weights_in_every_node(tmp_path):
    a, b = keras.Input((None, 3), name="a"), keras.Input((None, 3), name="b")
    layer = tf_gru_addon.GRU(4)
    model = keras.Model([a, b], keras.layers.Subtract()([layer(a), layer(b)]))
    assert _export(model, tmp_path / "model.onnx").ops["GRU"] == 2


def test_names_and_open_sizes(tmp_path):
    inputs = keras.Input((None, 3), name="my frames")
    states = keras.Input((4,), name="cut_0_x")
    layer = tf_gru_addon.GRU(4, return_state=True, name="encoder")
    model = keras.Model([inputs, states], layer(inputs, initial_state=states))
    _export(model, tmp_path / "model.onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    names = [each.name for each in session.get_inputs()]
    assert names == ["my_frames", "_cut_0_x"]
    assert [each.name for each in session.get_outputs()] == ["encoder", "encoder_1"]
    shape = session.get_inputs()[0].shape
    assert shape[2] == 3
    assert not isinstance(shape[0], int)
    assert not isinstance(shape[1], int)


def test_a_stateful_layer_takes_and_gives_its_state(tmp_path):
    layer = tf_gru_addon.GRU(4, stateful=True, return_sequences=True, name="first")
    model = _sequential(layer, keras.layers.Dense(2), batch_size=2)
    _export(model, tmp_path / "model.onnx")
    run = TARGET.load(tmp_path / "model.onnx", flat_model(model))
    state = np.zeros((2, 4), "float32")
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(2, 5, 3)).astype("float32")
        y, state = run([x, state])
        assert_close(y, model(x))
        assert_close(state, layer.states[0])


class _TimesTwo(keras.layers.Layer):
    def call(self, x):
        return tf.raw_ops.Betainc(a=x * x + 1, b=x * x + 1, x=tf.sigmoid(x))


class _Loop(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.gru = tf_gru_addon.GRU(3, return_sequences=True)

    def build(self, shape):
        self.gru.build(shape)

    def call(self, x):
        body = tf.function(lambda y: self.gru(y))
        return body(x)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            lambda: [tf_gru_addon.GRU(2, activation="selu", name="mine")],
            r"mine: ONNX's GRU has no counterpart of the activation selu\. It has elu",
        ),
        (
            lambda: [tf_gru_addon.GRU(2, recurrent_activation=tf.exp, name="mine")],
            r"mine: .* the recurrent_activation exp\. .* export a SavedModel",
        ),
        (
            lambda: [tf_gru_addon.GRU(2, dtype="float64", name="mine")],
            r"mine: ONNX Runtime's GRU computes in float32, but the layer in float64",
        ),
        (lambda: [_TimesTwo(name="odd"), tf_gru_addon.GRU(2)], r"odd.*op Betainc"),
        (lambda: [_Loop()], r"gru.*: this GRU is called inside a loop"),
    ],
    ids=["activation", "recurrent_activation", "dtype", "op", "function"],
)
def test_what_onnx_cannot_hold(layers, message, tmp_path):
    model = keras.Sequential([keras.Input((None, 3)), *layers()])
    with pytest.raises(ExportError, match=message):
        _export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
