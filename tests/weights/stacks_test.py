"""The choice and order of a file's GRUs, and the arguments that it needs."""

import numpy as np
import pytest
import tensorflow as tf
from support.random_weights import random_stack, random_weights

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    to_tf1_variables,
    torch_arrays,
    write_tf1_checkpoint,
    write_weights,
)
from tf_gru_addon.weights.errors import arguments_as_flags

#: Twelve cells, each with one unit more than the one below it.
SIZES = range(2, 14)
CELLS = [
    random_weights(features, features + 1, reset_after=False) for features in SIZES
]
NAMES = [f"rnn/multi_rnn_cell/cell_{i}/gru_cell" for i in range(len(CELLS))]
STACK = tuple(map(GRULayer, CELLS))


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "model.ckpt"
    write_tf1_checkpoint(path, dict(zip(NAMES, CELLS, strict=True)))
    return path


def test_numbers_in_names_sort_as_numbers(checkpoint):
    assert list(inspect_weights(checkpoint).grus) == NAMES


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (NAMES, STACK),
        (tuple(NAMES[3:5]), STACK[3:5]),
        ("*", STACK),
        ("rnn/*/cell_*", STACK),
        ([NAMES[9], "*cell_10/*", NAMES[11]], STACK[9:]),
        ("*cell_11/*", STACK[11:]),
    ],
)
def test_several_names_are_one_stack(checkpoint, name, expected):
    assert read_weights(checkpoint, name) == expected


def test_layers_whose_sizes_do_not_match(checkpoint):
    message = "'.*cell_0/gru_cell', '.*cell_10/.*Layer 1 takes 12 features, but"
    with pytest.raises(WeightsError, match=message):
        read_weights(checkpoint, [NAMES[0], NAMES[10]])


@pytest.mark.peer
def test_the_layers_of_an_onnx_file(tmp_path):
    import onnx
    from onnx import compose

    from tf_gru_addon.weights import to_onnx

    below, above = random_stack(units=(4, 5))
    models = [to_onnx(layer, name=f"n{i}") for i, layer in enumerate((below, above))]
    models = [
        compose.add_prefix(m, f"m{i}_", rename_nodes=False)
        for i, m in enumerate(models)
    ]
    nodes = [node for model in models for node in model.graph.node]
    graph = onnx.helper.make_graph(
        nodes,
        "both",
        [value for model in models for value in model.graph.input],
        [value for model in models for value in model.graph.output],
        [value for model in models for value in model.graph.initializer],
    )
    path = tmp_path / "both.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    assert read_weights(path, ["n0", "n1"]) == (below, above)
    assert read_weights(path, "*") == (below, above)


def test_an_unclear_choice_is_refused(checkpoint):
    message = r"there are 12 GRUs. Choose with name=; several names .*'rnn/multi"
    with pytest.raises(WeightsError, match=message):
        read_weights(checkpoint)
    with arguments_as_flags(), pytest.raises(WeightsError, match="Choose with --name;"):
        read_weights(checkpoint)
    for name in ("rnn", [NAMES[0], "x*"], ""):
        with pytest.raises(WeightsError, match="there is no GRU of the name"):
            read_weights(checkpoint, name)


def test_a_checkpoint_states_only_the_gates_activation(tmp_path):
    weights = random_weights(reset_after=False)
    path = tmp_path / "model.ckpt"
    write_weights(path, GRULayer(weights, activation="relu"), "tf1")
    assert inspect_weights(path).unstated == {"rnn/gru_cell": ("activation",)}
    assert inspect_weights(path).describe().endswith("?, sigmoid")
    assert read_weights(path) == (GRULayer(weights),)
    assert read_weights(path, activation="relu")[0].activation == "relu"
    assert read_weights(path, recurrent_activation="sigmoid") == (GRULayer(weights),)
    with pytest.raises(WeightsError, match="recurrent_activation is sigmoid in the fi"):
        read_weights(path, recurrent_activation="hard_sigmoid")


def test_cells_with_a_fixed_activation(tmp_path):
    after = random_weights().fold_biases()
    write_tf1_checkpoint(tmp_path / "after", {"cell": after})
    arrays = to_tf1_variables(CELLS[0]).values()
    block = dict(zip(("w_ru", "b_ru", "w_c", "b_c"), arrays, strict=True))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "block"),
        tensor_names=[f"gru_block_cell/{name}" for name in block],
        shape_and_slices=[""] * 4,
        tensors=list(block.values()),
    )
    for name in ("after", "block"):
        assert inspect_weights(tmp_path / name).activations_known
        with pytest.raises(WeightsError, match="activation is tanh in the file"):
            read_weights(tmp_path / name, activation="relu")
    with pytest.raises(WeightsError, match="cell has the activation tanh"):
        write_weights(tmp_path / "x", GRULayer(after, activation="relu"), "tf1")


def test_slots_and_averages_are_not_cells(tmp_path):
    path = str(tmp_path / "model.ckpt")
    variables = {
        name.format(key): array
        for key, array in to_tf1_variables(CELLS[0]).items()
        for name in (
            "rnn/gru_cell/{}",
            "rnn/gru_cell/{}/ExponentialMovingAverage",
            "rnn/gru_cell/{}/Adam_1",
            "Adam/m/rnn/gru_cell/{}",
            "training/RMSprop_2/velocity/rnn/gru_cell/{}",
        )
    }
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=list(variables.values()),
    )
    assert list(inspect_weights(path).grus) == ["rnn/gru_cell"]


@pytest.mark.peer
def test_a_training_checkpoint_of_pytorch(tmp_path):
    import torch

    model = torch.nn.ModuleDict({"a": torch.nn.GRU(3, 4), "b": torch.nn.GRU(4, 2)})
    moments = {
        index: {"step": torch.ones(()), "exp_avg": p.detach(), "exp_avg_sq": p.detach()}
        for index, p in enumerate(model.parameters())
    }
    optimizer = {"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
    content = {"model": model.state_dict(), "optimizer": optimizer}
    torch.save({"nested": {"state_dict": content}}, tmp_path / "last.pt")
    prefix = "nested.state_dict.model."
    assert list(inspect_weights(tmp_path / "last.pt").grus) == [
        f"{prefix}a",
        f"{prefix}b",
    ]
    stack = read_weights(tmp_path / "last.pt", "*")
    assert [layer.units for layer in stack] == [4, 2]


@pytest.mark.parametrize("value", ["evil", "Sigmoid", "sigmiod"])
def test_names_of_activations(tmp_path, value):
    write_weights(tmp_path / "gru.h5", random_weights(), "keras2")
    for key in ("activation", "recurrent_activation"):
        given = {"recurrent_activation": "sigmoid", key: value}
        message = f"{key} must be the name of an activation; received: '{value}'. "
        message += "Did you mean 'sigmoid'" if value != "evil" else ".*Known: "
        with pytest.raises(WeightsError, match=message):
            read_weights(tmp_path / "gru.h5", **given)
        with pytest.raises(WeightsError, match=message):
            GRULayer(random_weights(), **{key: value})
    arrays = torch_arrays(random_weights())
    np.savez(tmp_path / "gru.npz", **arrays)
    with pytest.raises(WeightsError, match="must be the name of an activation"):
        read_weights(tmp_path / "gru.npz", activation=value)
