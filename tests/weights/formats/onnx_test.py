"""ONNX's GRU nodes, against ONNX Runtime and ONNX's own reference."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.harness import assert_close
from support.random_weights import (
    few,
    gru_stacks,
    gru_weights,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon.weights import GRULayer, WeightsError, read_onnx, to_onnx

pytestmark = pytest.mark.peer

ACTIVATIONS = [
    *("tanh", "sigmoid", "hard_sigmoid", "keras_hard_sigmoid", "relu", "linear"),
    *("elu", "leaky_relu", "softplus", "softsign"),
]


def runtime(model, x):
    """Returns the outputs (B, T, outputs) of ONNX Runtime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y, _ = session.run(None, {"X": x.transpose(1, 0, 2)})
    T, D, B, U = y.shape
    return y.transpose(2, 0, 1, 3).reshape(B, T, D * U)


@st.composite
def layers(draw):
    (layer,) = draw(gru_stacks(layers=1))
    kinds = draw(st.sampled_from(ACTIVATIONS)), draw(st.sampled_from(ACTIVATIONS))
    forward, backward = layer.forward, layer.backward
    if backward is None and draw(st.booleans()):
        forward, backward = None, forward
    return GRULayer(forward, backward, *kinds)


@given(layers())
@few
def test_against_onnx_runtime(layer):
    model = to_onnx(layer)
    x = inputs_for(layer)
    assert_close(runtime(model, x), outputs_of(layer, x))
    read = read_onnx(model)
    assert read == {"gru": layer}
    again = to_onnx(read["gru"])
    assert again.SerializeToString() == model.SerializeToString()


def node_of(model):
    return model.graph.node[0]


def replaced(model, **arrays):
    """Returns the model with other initializers, and other attributes in lower case."""
    from onnx import helper, numpy_helper

    node = node_of(model)
    for name, value in arrays.items():
        if name in "WRB":
            for tensor in model.graph.initializer:
                if tensor.name == name:
                    tensor.CopyFrom(numpy_helper.from_array(value, name))
            continue
        for attribute in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(attribute)
        if value is not None:
            node.attribute.append(helper.make_attribute(name, value))
    return model


@given(gru_stacks(layers=1, bias=True))
@few
def test_both_biases_and_layout_1_as_the_reference_runs_them(stack):
    """Foreign weights have recurrent biases for either `linear_before_reset`."""
    from onnx.reference import ReferenceEvaluator

    (layer,) = stack
    B = np.random.default_rng(3).normal(size=(len(layer.directions), 6 * layer.units))
    model = replaced(to_onnx(layer), B=B.astype("float32"))
    x = inputs_for(layer)
    (read,) = read_onnx(model).values()
    assert_close(runtime(model, x), outputs_of(read, x))

    model = replaced(model, layout=1)
    assert read_onnx(model) == {"gru": read}
    y, _ = ReferenceEvaluator(model).run(None, {"X": x})
    y = y.reshape(*x.shape[:2], -1)
    assert_close(y, outputs_of(read, x))
    if layer.reset_after:
        written = to_onnx(read).graph.initializer[2].raw_data
        assert written == B.astype("float32").tobytes()


@given(gru_weights(bias=True))
@few
def test_every_dtype(weights):
    for dtype in ("float16", "float32", "float64"):
        cast = weights.astype(dtype)
        assert read_onnx(to_onnx(cast))["gru"].forward == cast


def test_a_model_from_pytorchs_exporter(tmp_path):
    """PyTorch reorders the gates with nodes of the graph, or folds the nodes."""
    import onnx
    import onnxruntime
    import torch

    torch.manual_seed(0)
    gru = torch.nn.GRU(3, 4, num_layers=2, bidirectional=True)
    path = str(tmp_path / "gru.onnx")
    x = torch.randn(5, 2, 3)
    for folded in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(gru, (x,), path, dynamo=False, do_constant_folding=folded)
        read = tuple(read_onnx(path).values())
        session = onnxruntime.InferenceSession(path)
        feed = {session.get_inputs()[0].name: x.numpy()}
        expected = session.run(None, feed)[0].transpose(1, 0, 2)
        assert_close(outputs_of(read, x.numpy().transpose(1, 0, 2)), expected)
        kinds = {node.op_type for node in onnx.load(path).graph.node}
        assert folded or "Concat" in kinds
    from tf_gru_addon.weights import from_torch

    assert read == from_torch(gru.state_dict())


def test_computed_constants_and_subgraphs():
    from onnx import helper, numpy_helper

    layer = GRULayer(random_weights())
    model = to_onnx(layer)
    graph = model.graph
    W = numpy_helper.to_array(graph.initializer[0])
    del graph.initializer[0]
    halves = [numpy_helper.from_array(half, "") for half in np.split(W[0], 2)]
    axes = numpy_helper.from_array(np.array([0]), "axes")
    nodes = [
        helper.make_node("Constant", [], ["top"], value=halves[0]),
        helper.make_node("Constant", [], ["bottom"], value=halves[1]),
        helper.make_node("Constant", [], ["axes"], value=axes),
        helper.make_node("Concat", ["top", "bottom"], ["both"], axis=0),
        helper.make_node("Unsqueeze", ["both", "axes"], ["W"]),
    ]
    inner = helper.make_graph([graph.node.pop(0)], "inner", [], [])
    graph.node.extend([*nodes, helper.make_node("If", ["X"], ["Z"], then_branch=inner)])
    assert read_onnx(model) == {"gru": layer}


def surplus_input(model):
    del model.graph.initializer[0]
    return model


def computed(model):
    from onnx import helper

    del model.graph.initializer[0]
    model.graph.node.append(helper.make_node("Relu", ["X"], ["W"]))
    return model


def circular(model):
    from onnx import helper

    del model.graph.initializer[0]
    model.graph.node.append(helper.make_node("Identity", ["V"], ["W"]))
    model.graph.node.append(helper.make_node("Identity", ["W"], ["V"]))
    return model


def bomb(model):
    from onnx import helper

    del model.graph.initializer[0]
    names = ["R", *(f"r{i}" for i in range(40)), "W"]
    for name, output in itertools.pairwise(names):
        model.graph.node.append(
            helper.make_node("Concat", [name, name], [output], axis=1)
        )
    return model


def truncated(model):
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    return model


def two_ways(model):
    return replaced(model, direction="bidirectional", activations=None)


def twice(model):
    model.graph.node.append(node_of(model))
    return model


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replaced(m, clip=3.0), "GRU node 'gru': clip=3.0 bounds"),
        (lambda m: replaced(m, direction="up"), "direction must be .* received 'up'"),
        (lambda m: replaced(m, direction=3), "it is not valid ONNX: .*direction"),
        (lambda m: replaced(m, color=1), "it is not valid ONNX: .*color"),
        (lambda m: replaced(m, hidden_size=5), r"hidden_size is 5, but R is \(1, 12"),
        (two_ways, r"R must .*here \(2, 12, 4\); received \(1,"),
        (lambda m: replaced(m, activations=["Tanh"]), "must have 2 names; received T"),
        (lambda m: replaced(m, activations=["Mish", "Tanh"]), "Mish has no count"),
            (lambda m: replaced(m, activation_alpha=[0.1]), "_alpha .* more numbers"),
        (lambda m: replaced(m, W=np.ones((1, 9, 3), "f4")), r"W must .*\(1, 12, \?\)"),
        (lambda m: replaced(m, R=np.ones((1, 8, 4), "f4")), r"R must have the size 3"),
        (lambda m: replaced(m, R=np.ones(12, "f4")), r"R must have the size 3"),
        (lambda m: replaced(m, B=np.ones((1, 12), "f4")), r"B must .*here \(1, 24\)"),
        (lambda m: replaced(m, B=np.full((1, 24), np.inf, "f4")), r"B\[0, 0\] is inf"),
        (lambda m: replaced(m, W=np.ones((1, 12, 3), "i4")), "W must be .* int32"),
        (surplus_input, "the weights 'W' are an input of the model"),
        (computed, "'W' are not constant: Relu computes them"),
        (circular, "'W' depends on itself"),
        (bomb, "what '.*' is made of claims"),
        (truncated, "'W' cannot be read"),
        (twice, "Two GRU nodes have the name 'gru'"),
    ],
)  # fmt: skip
def test_errors_name_the_problem(change, message):
    with pytest.raises(WeightsError, match=message):
        read_onnx(change(to_onnx(random_weights())))


def test_directions_with_different_activations():
    model = to_onnx(random_stack(bidirectional=True))
    names = ["sigmoid", "tanh", "Sigmoid", "Relu"]
    with pytest.raises(WeightsError, match=r"both directions .* sigmoid, tanh, S"):
        read_onnx(replaced(model, activations=names))
    read = read_onnx(replaced(model, activations=[*names[:3], "TANH"]))
    assert read["gru"] == random_stack(bidirectional=True)[0]


def with_candidate(name, alpha, beta):
    """Returns a model whose candidate has this activation."""
    numbers = {"activation_alpha": alpha, "activation_beta": beta}
    model = to_onnx(random_weights())
    return replaced(model, activations=["Sigmoid", name], **numbers)


@pytest.mark.parametrize(
    ("name", "alpha", "beta", "expected"),
    [
        ("Relu", None, None, "relu"),
        ("Softsign", None, None, "softsign"),
        ("Softplus", None, None, "softplus"),
        ("Sigmoid", None, None, "sigmoid"),
        ("HardSigmoid", None, None, "hard_sigmoid"),
        ("HardSigmoid", [0.2], [0.5], "hard_sigmoid"),
        ("HardSigmoid", [1 / 6], None, "keras_hard_sigmoid"),
        ("Elu", None, None, "elu"),
        ("LeakyRelu", [0.2], None, "leaky_relu"),
        ("Affine", [1.0], None, "linear"),
        ("Affine", [1.0], [0.0], "linear"),
        ("ThresholdedRelu", [0.0], None, "relu"),
        ("ScaledTanh", [1.0], [1.0], "tanh"),
    ],
)
def test_activations_equal_onnx_runtimes(name, alpha, beta, expected):
    model = with_candidate(name, alpha, beta)
    layer = read_onnx(model)["gru"]
    assert (layer.activation, layer.recurrent_activation) == (expected, "sigmoid")
    x = inputs_for(layer)
    assert_close(runtime(model, x), outputs_of(layer, x))


@pytest.mark.parametrize(
    ("name", "alpha", "beta", "message"),
    [
        ("Affine", None, None, "Affine needs activation_alpha: ONNX and ONNX Runtime"),
        ("Affine", [2.0], None, r"Affine with alpha=2 and beta=0 has no .*\(linear\)"),
        ("ScaledTanh", None, None, "ScaledTanh needs activation_alpha"),
        ("ScaledTanh", [1.0], None, "ScaledTanh needs activation_beta"),
        ("ThresholdedRelu", None, None, "ThresholdedRelu needs activation_alpha"),
        ("ThresholdedRelu", [1.0], None, "ThresholdedRelu with alpha=1 has no"),
        ("LeakyRelu", None, None, "LeakyRelu with alpha=0.01 has no counterpart"),
        ("Elu", [0.5], None, "Elu with alpha=0.5 has no"),
        ("HardSigmoid", None, [0.3], "HardSigmoid with alpha=0.2 and beta=0.3 has no"),
        ("Tanh", [1.0], None, "more numbers than the activations Sigmoid, Tanh take"),
    ],
)
def test_activations_without_a_counterpart(name, alpha, beta, message):
    with pytest.raises(WeightsError, match=f"GRU node 'gru': .*{message}"):
        read_onnx(with_candidate(name, alpha, beta))


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("HardSigmoid", [0.2], [0.5]),
        ("Elu", [1.0], None),
        ("LeakyRelu", [0.01], None),
        # If the defaults of ONNX Runtime and the operator differ, neither is assumed.
        ("Affine", [0.0], [0.0]),
        ("ScaledTanh", [0.0], [0.0]),
        ("ThresholdedRelu", [0.0], None),
    ],
)
def test_defaults_of_onnx_runtime(name, alpha, beta):
    x = inputs_for(random_weights())
    given, missing = (
        runtime(with_candidate(name, *numbers), x)
        for numbers in ((alpha, beta), (None, None))
    )
    np.testing.assert_array_equal(given, missing)


def test_stacks_that_onnx_cannot_hold():
    with pytest.raises(WeightsError, match="A GRU node is one layer; received 2"):
        to_onnx(random_stack(units=(4, 4)))
    with pytest.raises(WeightsError, match=r"no activation 'gelu'. Known: sigmoid, "):
        to_onnx(GRULayer(random_weights(), activation="gelu"))


def test_files(tmp_path):
    path = tmp_path / "gru.onnx"
    with pytest.raises(FileNotFoundError, match=r"gru.onnx: there is no such file"):
        read_onnx(path)
    model = to_onnx(random_weights())
    path.write_bytes(model.SerializeToString())
    assert read_onnx(path)["gru"].forward == random_weights()
    assert read_onnx(str(path)) == read_onnx(model)
    path.write_bytes(model.SerializeToString()[:-30])
    with pytest.raises(WeightsError, match=r"gru.onnx: not an ONNX model, or one cut"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["missing.bin", "../gru.bin", "/gru.bin"])
def test_external_data_outside_the_folder_is_not_read(tmp_path, location):
    model = to_onnx(random_weights())
    tensor = model.graph.initializer[0]
    (tmp_path / "gru.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "gru.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(WeightsError, match=r"gru.onnx: .*'W' cannot be read|missing"):
        read_onnx(path)
