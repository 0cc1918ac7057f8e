"""TensorFlow 1's cells, against the GRUBlockCell op and a Saver's checkpoints."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    few,
    gru_weights,
    inputs_for,
    outputs_of,
    random_weights,
)

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    from_tf1_variables,
    inspect_weights,
    read_tf1_checkpoint,
    read_weights,
    to_tf1_variables,
    write_tf1_checkpoint,
)


def block_cell(variables, x):
    """Returns the outputs of TensorFlow's fused cell."""
    h = tf.zeros([len(x), variables["candidate/bias"].size])
    outputs = []
    for t in range(x.shape[1]):
        *_, h = tf.raw_ops.GRUBlockCell(
            x=x[:, t],
            h_prev=h,
            w_ru=variables["gates/kernel"],
            w_c=variables["candidate/kernel"],
            b_ru=variables["gates/bias"],
            b_c=variables["candidate/bias"],
        )
        outputs.append(h)
    return tf.stack(outputs, axis=1)


@given(gru_weights(reset_after=False, dtype="float32"))
@few
def test_against_the_block_cell(weights):
    variables = to_tf1_variables(weights)
    x = inputs_for(weights)
    assert_close(block_cell(variables, x), outputs_of(weights, x))
    again = from_tf1_variables(variables)
    assert again == weights.with_bias()
    assert_identical(to_tf1_variables(again), variables)


def cudnn_compatible_cell(variables, x):
    """The equations that CudnnCompatibleGRUCell's documentation gives, in NumPy."""
    h = np.zeros((len(x), variables["candidate/hidden_projection/bias"].size))
    outputs = []
    for t in range(x.shape[1]):
        both = np.concatenate([x[:, t], h], axis=1)
        gates = both @ variables["gates/kernel"] + variables["gates/bias"]
        r, u = np.split(1 / (1 + np.exp(-gates)), 2, axis=1)
        hidden, inputs = (
            operand @ variables[f"candidate/{name}_projection/kernel"]
            + variables[f"candidate/{name}_projection/bias"]
            for name, operand in (("hidden", h), ("input", x[:, t]))
        )
        h = u * h + (1 - u) * np.tanh(inputs + r * hidden)
        outputs.append(h)
    return np.stack(outputs, axis=1)


@given(gru_weights(reset_after=True, dtype="float32"))
@few
def test_the_cudnn_compatible_cell(weights):
    variables = to_tf1_variables(weights)
    x = inputs_for(weights)
    assert_close(cudnn_compatible_cell(variables, x), outputs_of(weights, x))
    again = from_tf1_variables(variables)
    assert again == weights.with_bias().fold_biases()
    assert_identical(to_tf1_variables(again), variables)


@pytest.mark.parametrize("names", ["w_ru b_ru w_c b_c", "weights biases"])
def test_other_names_of_the_same_variables(names):
    weights = random_weights(reset_after=False)
    variables = to_tf1_variables(weights)
    if names.startswith("w_ru"):
        renamed = dict(zip(names.split(), variables.values(), strict=True))
    else:
        renamed = {
            name.replace("kernel", "weights").replace("bias", "biases"): array
            for name, array in variables.items()
        }
    assert from_tf1_variables(renamed) == weights


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gates/bias": None}, "GRU cell lacks gates/bias. Expected gates/kernel, "),
        ({"extra": np.ones(1)}, "has the surplus extra"),
        ({"w_ru": np.ones((7, 8))}, "one array under two names"),
        ({"gates/bias": np.ones(7)}, r"gates/bias must have the size 2 \* units"),
        ({"gates/bias": np.ones(())}, r"gates/bias must have the size 2 \* units"),
        ({"gates/kernel": np.ones((7, 6))}, r"gates/kernel .*here \(\?, 8\)"),
        ({"gates/kernel": np.ones((4, 8))}, r"shows 4 units; received \(4, 8\)"),
        ({"candidate/kernel": np.ones((8, 4))}, r"candidate/kernel .*here \(7, 4\)"),
        ({"candidate/bias": np.ones(3)}, r"bias of candidate .*here \(4,\)"),
        ({"candidate/bias": np.full(4, np.nan)}, r"candidate/bias\[0\] is nan"),
    ],
)
def test_variables_that_are_not_a_tf1_cell(changes, message):
    weights = random_weights(reset_after=False, dtype="float64")
    variables = {**to_tf1_variables(weights), **changes}
    variables = {name: v for name, v in variables.items() if v is not None}
    with pytest.raises(WeightsError, match=message):
        from_tf1_variables(variables)


def save_like_tensorflow_1(path, cells):
    """Saves variables by name, and an optimizer's slots, with a Saver."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for scope, weights in cells.items():
            for name, array in to_tf1_variables(weights).items():
                for slot in ("", "/Adam", "/Adam_1"):
                    tf.compat.v1.get_variable(
                        f"{scope}/{name}{slot}", initializer=array, use_resource=False
                    )
        tf.compat.v1.get_variable("dense/kernel", [2, 2])
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, path)


def test_a_checkpoint_of_a_saver(tmp_path):
    cells = {
        "rnn/multi_rnn_cell/cell_0/gru_cell": random_weights(reset_after=False),
        "rnn/multi_rnn_cell/cell_1/gru_cell": random_weights(4, 2, reset_after=False),
        "bw/cudnn_compatible_gru_cell": random_weights().fold_biases(),
    }
    save_like_tensorflow_1(str(tmp_path / "model.ckpt-7"), cells)
    assert read_tf1_checkpoint(tmp_path / "model.ckpt-7") == cells


def test_a_saver_restores_a_written_checkpoint(tmp_path):
    weights = random_weights(reset_after=False)
    path = str(tmp_path / "model.ckpt")
    write_tf1_checkpoint(path, {"rnn/gru_cell": weights, "": weights})
    expected = to_tf1_variables(weights)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {
            name: tf.compat.v1.get_variable(f"rnn/gru_cell/{name}", array.shape)
            for name, array in expected.items()
        }
        tf.compat.v1.train.Saver().restore(session, path)
        assert_identical(session.run(variables), expected)
    assert read_tf1_checkpoint(path) == {"rnn/gru_cell": weights, "": weights}
    with pytest.raises(WeightsError, match=r"model.ckpt.index exists already"):
        write_tf1_checkpoint(path, {"rnn/gru_cell": weights})
    with pytest.raises(WeightsError, match="at least one cell"):
        write_tf1_checkpoint(tmp_path / "none", {})


def test_a_checkpoint_that_cannot_be_read(tmp_path):
    path = tmp_path / "model.ckpt"
    with pytest.raises(WeightsError, match="not a TensorFlow checkpoint"):
        read_tf1_checkpoint(path)
    write_tf1_checkpoint(path, {"cell": random_weights(reset_after=False)})
    for part in (".data-00000-of-00001", ".index"):
        file = tmp_path / f"model.ckpt{part}"
        file.write_bytes(file.read_bytes()[:-20])
        with pytest.raises(WeightsError, match=r"model.ckpt: not a .*checkpoint, or"):
            read_tf1_checkpoint(path)


def test_a_cell_that_lacks_a_variable_is_named(tmp_path):
    path = str(tmp_path / "model.ckpt")
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=["rnn/gru_cell/gates/kernel"],
        shape_and_slices=[""],
        tensors=[tf.ones([5, 4])],
    )
    with pytest.raises(WeightsError, match=r"ckpt: rnn/gru_cell: .*lacks gates/bias"):
        read_tf1_checkpoint(path)


def test_both_directions_of_a_checkpoint(tmp_path):
    before = random_weights(reset_after=False)
    other = random_weights(reset_after=False, seed=1)
    cells = {"rnn/fw/gru_cell": before, "rnn/bw/gru_cell": other, "x/gru_cell": before}
    write_tf1_checkpoint(tmp_path / "a", cells)
    both = {"rnn": (GRULayer(before, other),), "x/gru_cell": (GRULayer(before),)}
    assert inspect_weights(tmp_path / "a").grus == both
    write_tf1_checkpoint(tmp_path / "b", {"rnn/bw/gru_cell": other})
    assert read_weights(tmp_path / "b") == (GRULayer(None, other),)
    cells = {f"rnn/{way}/cell_{i}": other for way in ("fw", "bw") for i in range(2)}
    write_tf1_checkpoint(tmp_path / "c", cells)
    grus = inspect_weights(tmp_path / "c").grus
    assert grus["rnn/fw/cell_1"] == (GRULayer(other),)
    assert grus["rnn/bw/cell_0"] == (GRULayer(None, other),)
    assert len(grus) == 4
    smaller = random_weights(3, 2, reset_after=False)
    write_tf1_checkpoint(tmp_path / "d", {"rnn/fw/a": other, "rnn/bw/a": smaller})
    grus = {"rnn/fw/a": (GRULayer(other),), "rnn/bw/a": (GRULayer(None, smaller),)}
    assert inspect_weights(tmp_path / "d").grus == grus
