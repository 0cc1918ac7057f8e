"""TensorFlow 2's object-based checkpoints, against Keras 2 and Keras 3."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close
from support.random_weights import (
    assert_identical,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon import GRU, GRUCell
from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    from_cudnn_gru,
    from_keras_arrays,
    inspect_weights,
    read_weights,
    to_cudnn_gru,
    write_weights,
)
from tf_gru_addon.weights.write_files import write_and_read_back


def checkpoint(path, **objects):
    tf.train.Checkpoint(**objects).write(str(path))
    return path


def variables(arrays):
    names = ("kernel", "recurrent_kernel", "bias")
    held = dict(zip(names, map(tf.Variable, arrays), strict=False))
    return tf.train.Checkpoint(**held)


def trained(keras, optimizer):
    """Returns a model after a step of training, which creates the optimizer's slots."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            layers.GRU(4, return_sequences=True),
            layers.Bidirectional(layers.GRU(2, return_sequences=True)),
            layers.LSTM(2, return_sequences=True),
            layers.GRU(2, reset_after=False, return_sequences=True),
        ]
    )
    model.compile(optimizer, "mse", run_eagerly=True)
    model.train_on_batch(np.ones((1, 1, 3)), np.ones((1, 1, 2)))
    return model


def expected(model):
    """Returns the layers of the GRUs in a trained model."""
    one, *_, other = model.layers
    pair = next(layer for layer in model.layers if hasattr(layer, "forward_layer"))
    ways = (pair.forward_layer, pair.backward_layer)
    return [
        (GRULayer(from_keras_arrays(one.get_weights())),),
        (GRULayer(*(from_keras_arrays(way.get_weights()) for way in ways)),),
        (GRULayer(from_keras_arrays(other.get_weights())),),
    ]


@pytest.mark.parametrize("optimizer", ["adam", "legacy"])
def test_checkpoints_of_keras_2(tmp_path, tf_keras, optimizer):
    legacy = optimizer == "legacy"
    model = trained(tf_keras, tf_keras.optimizers.legacy.Adam() if legacy else "adam")
    model.save_weights(str(tmp_path / "ckpt"))
    file = inspect_weights(tmp_path / "ckpt")
    names = [f"layer_with_weights-{index}" for index in (0, 1, 3)]
    assert (file.format, list(file.grus)) == ("tf2", names)
    assert list(file.grus.values()) == expected(model)
    assert set(file.unstated) == set(names)
    with pytest.raises(WeightsError, match="does not state the activations"):
        read_weights(tmp_path / "ckpt", names[0])
    layers = read_weights(tmp_path / "ckpt", names[0], recurrent_activation="sigmoid")
    x = inputs_for(layers)
    assert_close(outputs_of(layers, x), model.layers[0](x))

    checkpoint(tmp_path / "within", model=model, step=tf.Variable(1))
    file = inspect_weights(tmp_path / "within")
    assert list(file.grus) == [f"model/{name}" for name in names]


def test_checkpoints_of_keras_3(tmp_path):
    model = trained(keras, "adam")
    file = inspect_weights(checkpoint(tmp_path / "ckpt", model=model))
    assert list(file.grus.values()) == expected(model)
    assert all(name.startswith("model/") for name in file.grus)


def test_the_layer_and_the_cell_of_this_package(tmp_path):
    layer, cell = GRU(4), GRUCell(4)
    layer.build((None, None, 3))
    cell.build((None, 3))
    file = inspect_weights(checkpoint(tmp_path / "ckpt", gru=layer, cell=cell))
    assert {name: stack[0].forward for name, stack in file.grus.items()} == {
        "gru": from_keras_arrays(layer.get_weights()),
        "cell": from_keras_arrays(cell.get_weights()),
    }
    write_weights(tmp_path / "again", random_weights(), "tf2")
    root = tf.train.Checkpoint(**{"layer_with_weights-0": layer})
    root.read(str(tmp_path / "again")).assert_existing_objects_matched()
    assert from_keras_arrays(layer.get_weights()) == random_weights()


def test_a_saved_model(tmp_path):
    module = tf.Module()
    module.rnn = variables(random_weights().arrays())
    tf.saved_model.save(module, str(tmp_path / "saved"))
    file = inspect_weights(tmp_path / "saved" / "variables" / "variables")
    assert file.grus == {"rnn": (GRULayer(random_weights()),)}


def test_a_cudnn_gru(tmp_path, tf_keras):
    from tf_keras.src.layers.rnn.cudnn_gru import CuDNNGRU

    layer = CuDNNGRU(4)
    layer.build((None, None, 3))
    layer.set_weights(to_cudnn_gru(random_weights()))
    file = inspect_weights(checkpoint(tmp_path / "ckpt", model=layer))
    assert from_cudnn_gru(layer.get_weights()) == random_weights()
    assert file.grus == {"model": (GRULayer(random_weights()),)}
    assert file.unstated == {}


def test_keras_2_loads_a_written_checkpoint(tmp_path, tf_keras):
    one, pair = random_stack(units=(4,)) + random_stack(4, (2,), bidirectional=True)
    read = write_and_read_back(tmp_path / "ckpt", (one, pair), "tf2")
    assert read.startswith("tf_keras ")  # its outputs are compared above
    stack = read_weights(tmp_path / "ckpt", "*", recurrent_activation="sigmoid")
    assert stack == (one, pair)
    gru = tf_keras.layers.GRU(4)
    gru.build((None, None, 3))
    root = tf.train.Checkpoint(**{"layer_with_weights-0": gru})
    root.read(str(tmp_path / "ckpt")).assert_existing_objects_matched()
    assert_identical(gru.get_weights(), one.forward.arrays())


def test_stacks_that_a_checkpoint_cannot_hold(tmp_path):
    with pytest.raises(WeightsError, match="does not say that a GRU runs backward"):
        write_weights(tmp_path / "ckpt", GRULayer(None, random_weights()), "tf2")


def test_without_a_bias_the_convention_must_be_given(tmp_path):
    weights = random_weights(bias=False, reset_after=False)
    path = checkpoint(tmp_path / "ckpt", cell=variables(weights.arrays()))
    with pytest.raises(WeightsError, match=r"ckpt: cell: .*Give reset_after="):
        inspect_weights(path)
    file = inspect_weights(path, reset_after=False)
    assert file.grus["cell"][0].forward == weights


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.ones((3, 5)), np.ones((2, 6))], r"m: kernel must have the shape"),
        (
            [np.ones((3, 6)), np.ones((2, 6), "f4"), np.ones(6)],
            "m: recurrent_kernel",
        ),
        ([np.ones((3, 6)), np.ones((2, 6)), np.ones(5)], "m: bias must be None or"),
        ([np.ones((3, 6), "i4"), np.ones((2, 6), "i4")], "m: kernel must be float16"),
    ],
)
def test_errors_name_variables_that_are_not_a_gru(tmp_path, arrays, message):
    path = checkpoint(tmp_path / "ckpt", m=variables(arrays))
    with pytest.raises(WeightsError, match=message):
        inspect_weights(path, reset_after=True)


def test_one_variable_shared_by_a_thousand_cells(tmp_path):
    shared = [tf.Variable(np.zeros((240, 720), "f4"))] * 2
    names = ("kernel", "recurrent_kernel")
    cells = {
        f"c{index}": tf.train.Checkpoint(**dict(zip(names, shared, strict=True)))
        for index in range(150)
    }
    path = checkpoint(tmp_path / "ckpt", **cells)
    data = tmp_path / "ckpt.data-00000-of-00001"
    assert data.stat().st_size < 7e5
    with pytest.raises(WeightsError, match="claims 691200 bytes"):
        inspect_weights(path, reset_after=True)
