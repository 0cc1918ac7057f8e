"""TensorFlow operations in functional models of Keras 2, such as slices and sums."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.harness import assert_close
from support.legacy_cases import B, F, T, numbers, randomized, sequences
from support.legacy_files import ALLOW_WARNINGS, edit_config, refuses

from tf_gru_addon import load_legacy_model
from tf_gru_addon.layers.keras2_ops import OPERATIONS, TensorFlowOperation

X, Y = sequences(), numbers(B, T, F, seed=8)


pytestmark = ALLOW_WARNINGS


def slices(k, x, y):
    last = x[:, -1]
    return [
        *(last, x[:, ::2, 1:3], x[:, tf.newaxis, 0], x[:, 0 : tf.shape(x)[1] - 1]),
        *(tf.concat([x, y], -1), tf.stack([last, last], 1), tf.expand_dims(last, 1)),
        *(*tf.unstack(last, axis=-1), *tf.split(x, 2, -1), tf.transpose(x, [0, 2, 1])),
        *(tf.reshape(x, (tf.shape(x)[0], -1)), tf.squeeze(x[:, :1], 1)),
        *(tf.gather(y, [0, 2], axis=1), tf.reverse(x, [1]), tf.tile(x, [1, 2, 1])),
        *(tf.pad(y, [[0, 0], [1, 0], [0, 0]]), tf.repeat(last, 2, axis=0)),
        k.backend.repeat(last, 3),
    ]


def arithmetic(k, x, y):
    return [
        *(x + 1.0, 2.0 - x, 3 - x, x * y, x / 2, x**2, -x, abs(x), tf.add_n([x, y])),
        *(x * tf.constant([1.0, 2.0, 3.0, 4.0]), x * np.array([1.0, 2.0, 3.0, 4.0])),
        *(tf.reduce_mean(x, axis=1), tf.reduce_sum(x, -1, keepdims=True)),
        *(tf.reduce_max(x, [1, 2]), tf.cumsum(x, 1), tf.matmul(x, y, transpose_b=True)),
        *(tf.cast(x > 0, "float32"), tf.cast(tf.not_equal(x, 0.0), tf.float32)),
        *(tf.where(x > 0.0, x, y), tf.maximum(x, 0.1), tf.clip_by_value(x, -0.1, 0.2)),
        *(tf.zeros_like(x), tf.ones_like(x), tf.one_hot(tf.argmax(x, -1), 5)),
        *(tf.nn.softmax(x), tf.nn.relu(x), tf.tanh(x), tf.sigmoid(x)),
        *(k.activations.gelu(x), k.backend.l2_normalize(x, -1), k.backend.mean(x, 1)),
        k.backend.batch_dot(y, y, axes=[2, 2]),
    ]


def attention_by_hand(k, x, y):
    of = k.layers
    hidden = of.GRU(3, return_sequences=True)(of.Masking()(x))
    scores = tf.nn.softmax(tf.matmul(hidden, hidden, transpose_b=True))
    state = tf.zeros([tf.shape(x)[0], 3]) + hidden[:, -1]
    taken = of.GRU(3)(tf.matmul(scores, hidden), initial_state=state)
    # An operation drops the mask.
    return [of.Dense(2)(taken), of.GRU(3)(tf.identity(hidden))]


@pytest.mark.parametrize("make", [slices, arithmetic, attention_by_hand])
def test_operations(tf_keras, make, tmp_path):
    x, y = tf_keras.Input((None, F)), tf_keras.Input((T, F))
    model = randomized(tf_keras.Model([x, y], make(tf_keras, x, y)))
    models = []
    for name in ("model.h5", "model.keras"):
        model.save(tmp_path / name)
        models.append(load_legacy_model(tmp_path / name))
    models[0].save(tmp_path / "again.keras")
    models.append(keras.saving.load_model(tmp_path / "again.keras"))
    for expected, *received in zip(*(m([X, Y]) for m in (model, *models)), strict=True):
        for output in received:
            assert output.dtype == expected.dtype
            assert_close(output, expected)


def test_an_ellipsis_and_a_model_within_a_model(tf_keras, tmp_path):
    """Each call of the inner model calls its operations again."""
    x = tf_keras.Input((T, F))
    inner = tf_keras.Model(x, x[..., tf.newaxis, 0] * 2.0)
    y = tf_keras.Input((T, F))
    model = tf_keras.Model(y, [inner(y), inner(y + 1.0), tf_keras.layers.GRU(2)(y)])
    model.save(tmp_path / "model.h5")
    loaded = load_legacy_model(tmp_path / "model.h5")
    for one, two in zip(loaded(X), model(X), strict=True):
        assert_close(one, two)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("io.write_file", ("'io.write_file'", "math.add", "nn.softmax")),
        ("py_function", ("'py_function'", "not supported")),
        (7, ("function must be text",)),
        ("math.reduce_sum", ("math.reduce_sum cannot be built", "'y'")),
    ],
)
def test_unknown_operations_are_refused(tf_keras, function, words, tmp_path):
    x = tf_keras.Input((T, F))
    tf_keras.Model(x, x + 1.0).save(tmp_path / "model.h5")

    def edit(config):
        config["config"]["layers"][-1]["config"]["function"] = function

    edit_config(tmp_path / "model.h5", edit)
    refuses(tmp_path / "model.h5", "(TFOpLambda)", *words)


def test_a_lambda_is_not_an_operation(tf_keras, tmp_path):
    x = tf_keras.Input((T, F))
    tf_keras.Model(x, x[:, -1]).save(tmp_path / "model.h5")

    def edit(config):
        node = config["config"]["layers"][-1]["inbound_nodes"][0]
        node[3]["slice_spec"] = {"class_name": "__lambda__", "config": {"value": "4w"}}

    edit_config(tmp_path / "model.h5", edit)
    refuses(tmp_path / "model.h5", "(SlicingOpLambda)", "not a plain value")


def test_the_layer_of_an_operation():
    with pytest.raises(ValueError, match=r"function must be one of .*'io\.read_file'"):
        TensorFlowOperation("io.read_file", {"input": 0}, {})
    assert not [name for name in OPERATIONS if name.startswith(("io.", "py_", "raw_"))]
