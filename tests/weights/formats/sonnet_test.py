"""Sonnet's GRU, against its equations and against Sonnet itself."""

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
    random_stack,
    random_weights,
)

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.formats.sonnet import from_sonnet, to_sonnet

ARRAYS = {"w_i": np.ones((3, 6)), "w_h": np.ones((2, 6)), "b": np.ones(6)}


def sonnet_gru(arrays, x):
    """The equations of `snt.GRU`'s documentation, in NumPy."""
    arrays = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    (w_iz, w_ir, w_ia), (w_hz, w_hr, w_ha), (b_z, b_r, b_a) = (
        np.split(arrays[name], 3, axis=-1) for name in ("w_i", "w_h", "b")
    )
    h = np.zeros((len(x), len(w_hz)))
    outputs = []
    for t in range(x.shape[1]):
        z = 1 / (1 + np.exp(-(x[:, t] @ w_iz + h @ w_hz + b_z)))
        r = 1 / (1 + np.exp(-(x[:, t] @ w_ir + h @ w_hr + b_r)))
        a = np.tanh(x[:, t] @ w_ia + (r * h) @ w_ha + b_a)
        h = (1 - z) * h + z * a
        outputs.append(h)
    return np.stack(outputs, axis=1)


@given(gru_weights(reset_after=False, dtype="float64"))
@few
def test_the_equations(weights):
    x = inputs_for(weights)
    arrays = to_sonnet(GRULayer(weights))
    assert_close(sonnet_gru(arrays, x), outputs_of(weights, x), "float64")
    again = from_sonnet(arrays)
    assert again == weights.with_bias()
    assert_identical(to_sonnet(GRULayer(again)), arrays)


def save(path, **modules):
    """Saves modules with Sonnet's variable names, and one like a Dense layer."""
    objects = {
        name: tf.train.Checkpoint(
            **{key: tf.Variable(array) for key, array in variables.items()}
        )
        for name, variables in modules.items()
    }
    tf.train.Checkpoint(**objects).write(str(path))


def test_a_checkpoint_of_several_modules(tmp_path):
    weights = random_weights(reset_after=False)
    gru = to_sonnet(GRULayer(weights))
    gru = {"_w_i": gru["w_i"], "_w_h": gru["w_h"], "b": gru["b"]}
    lstm = {"_w_i": np.ones((3, 8)), "_w_h": np.ones((2, 8)), "b": np.ones(8)}
    linear = {"w": np.ones((3, 2)), "b": np.ones(2)}
    save(tmp_path / "ckpt", core=gru, lstm=lstm, linear=linear)
    file = inspect_weights(tmp_path / "ckpt")
    assert (file.format, file.unstated) == ("sonnet", {})
    assert file.grus == {"core": (GRULayer(weights),)}
    del gru["b"]
    save(tmp_path / "less", core=gru)
    with pytest.raises(WeightsError, match=r"less: core lacks b\. Expected w_i, w_h"):
        inspect_weights(tmp_path / "less")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b": np.ones(5)}, r"b must have the shape \(3 \* units,\), here \(6,\)"),
        ({"w_i": np.ones((3, 7))}, r"w_i must .*here \(\?, 6\); received \(3, 7\)"),
        ({"w_h": np.ones((3, 6))}, r"w_h must .*here \(2, 6\)"),
        ({"w_h": np.ones((2, 7))}, r"w_h must have .*3 \* units in axis"),
        ({"w_i": np.full((3, 6), np.nan)}, r"w_i\[0, 0\] is nan"),
        ({"c": np.ones(6)}, "Sonnet's GRU has the surplus c"),
    ],
)
def test_files_without_a_gru(changes, message):
    with pytest.raises(WeightsError, match=message):
        from_sonnet({**ARRAYS, **changes})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (GRULayer(random_weights()), "Sonnet's GRU applies the reset gate before"),
        (
            GRULayer(random_weights(reset_after=False), activation="relu"),
            "has the activation tanh, but this layer has relu",
        ),
        (
            GRULayer(random_weights(reset_after=False), None, "tanh", "hard_sigmoid"),
            "has the recurrent activation sigmoid",
        ),
        (random_stack(bidirectional=True, reset_after=False)[0], "is bidirectional"),
        (GRULayer(None, random_weights(reset_after=False)), "is reverse"),
    ],
)
def test_weights_that_sonnet_cannot_hold(tmp_path, layer, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "ckpt", layer, "sonnet")
    assert not list(tmp_path.iterdir())


def test_a_stack_is_written_layer_by_layer(tmp_path):
    stack = random_stack(units=(4, 2), reset_after=False, dtype="float64")
    write_weights(tmp_path / "ckpt", stack, "sonnet")
    assert list(inspect_weights(tmp_path / "ckpt").grus) == [
        "module/_layers/0",
        "module/_layers/1",
    ]
    assert read_weights(tmp_path / "ckpt", "*") == stack


@pytest.mark.peer
@pytest.mark.parametrize("units", [(4,), (4, 2)])
def test_against_sonnet(tmp_path, units):
    snt = pytest.importorskip("sonnet")
    cores = [snt.GRU(size, b_init=tf.random_normal_initializer()) for size in units]
    core = snt.DeepRNN(cores) if len(cores) > 1 else cores[0]
    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    y, _ = snt.static_unroll(core, x.transpose(1, 0, 2), core.initial_state(2))
    tf.train.Checkpoint(module=core).write(str(tmp_path / "ckpt"))
    stack = read_weights(tmp_path / "ckpt", "*")
    assert_close(outputs_of(stack, x), np.transpose(y, (1, 0, 2)))

    write_weights(tmp_path / "again", stack, "sonnet")
    for variable in core.variables:
        variable.assign(tf.zeros_like(variable))
    tf.train.Checkpoint(module=core).read(str(tmp_path / "again")).assert_consumed()
    again, _ = snt.static_unroll(core, x.transpose(1, 0, 2), core.initial_state(2))
    np.testing.assert_array_equal(again, y)

    tf.saved_model.save(core, str(tmp_path / "saved"))
    variables = tmp_path / "saved" / "variables" / "variables"
    assert read_weights(variables, "*") == stack
