"""Wrong arguments raise errors that name them; configs written by Keras load."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon import GRU, GRUCell, use_engine

B, T, F, U = 2, 3, 4, 2
X = np.ones((B, T, F), "float32")
STATE = np.zeros((B, U), "float32")
MASK = np.ones((B, T), bool)

BROKEN_CONFIG = {"class_name": "L2", "config": {"x": 1}}
#: Invalid values, by argument of both constructors.
ARGUMENTS = {
    "units": [True, "3", 0],
    "activation": ["tahn", 3],
    "recurrent_activation": ["sigmiod"],
    "use_bias": ["False", 1, None],
    "kernel_initializer": ["glorot", 3],
    "recurrent_initializer": ["orthogonl"],
    "bias_initializer": [3.0],
    "kernel_regularizer": ["l3", BROKEN_CONFIG],
    "recurrent_regularizer": [3],
    "bias_regularizer": ["x"],
    "kernel_constraint": ["x"],
    "recurrent_constraint": [3],
    "bias_constraint": ["y"],
    "dropout": ["0.5", True],
    "recurrent_dropout": [-1],
    "seed": [-1, True, 1.5, "3"],
    "implementation": [True, 0, 3, 1.5, "1"],
    "reset_after": ["x", 1],
    "trainable": ["no", 1],
    "dtype": ["int32", "uint8"],
}
#: The same for arguments that only the layer has.
ARGUMENTS_OF_THE_LAYER = {
    "return_sequences": ["no", 1],
    "return_state": [2],
    "go_backwards": ["x"],
    "stateful": [2],
    "unroll": [None],
    "zero_output_for_mask": ["no"],
    "use_cudnn": [1, "True", None],
    "activity_regularizer": ["x"],
    "engine": [3, "gpu"],
}


@pytest.mark.parametrize(
    ("cls", "argument"),
    [
        *((cls, argument) for cls in (GRUCell, GRU) for argument in ARGUMENTS),
        *((GRU, argument) for argument in ARGUMENTS_OF_THE_LAYER),
    ],
)
def test_arguments_of_the_constructor(cls, argument):
    for value in {**ARGUMENTS, **ARGUMENTS_OF_THE_LAYER}[argument]:
        message = f"^{argument} must be .*; received: {re.escape(repr(value))}"
        with pytest.raises(ValueError, match=message):
            cls(**{"units": U, argument: value})


def test_a_config_of_an_unregistered_class_is_refused():
    config = {"class_name": "Mine", "config": {}, "registered_name": "Mine"}
    with pytest.raises(ValueError, match=r"^kernel_constraint must be .*Could not"):
        GRU(U, kernel_constraint=config)


def test_the_mixin_checks_the_seed_of_a_users_cell():
    class Cell(tf_gru_addon.DropoutRNNCellMixin, keras.layers.Layer):
        pass

    with pytest.raises(ValueError, match=r"^seed must be .*; received: -1\."):
        Cell(seed=-1)


LAYER, CELL = GRU(U), GRUCell(U, dropout=0.5, recurrent_dropout=0.5)
TRAINING = "training must be True, False, None, or a scalar tensor of booleans"


@pytest.mark.parametrize(
    "value", ["yes", 2, 1.0, [True], tf.constant("x"), np.float32(0.5)]
)
def test_training(value):
    for call in (
        lambda: LAYER(X, training=value),
        lambda: CELL(X[:, 0], STATE, training=value),
        lambda: LAYER.explain(training=value),
    ):
        with pytest.raises(ValueError, match=TRAINING):
            call()


def test_training_of_several_booleans():
    with pytest.raises(ValueError, match=r"one boolean .* the shape \(2,\)"):
        LAYER(X, training=tf.constant([True, False]))


@pytest.mark.parametrize(
    "value", [1, np.bool_(True), np.array(True), tf.constant(1), tf.constant(True)]
)
def test_true_values_of_training_are_accepted(value):
    assert LAYER.explain(training=value) == LAYER.explain(training=True)
    LAYER(X, training=value)


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda x: LAYER(x(X)), "sequences of gru"),
        (lambda x: LAYER(X, initial_state=x(STATE)), "initial_state of gru"),
        (lambda x: CELL(x(X[:, 0]), STATE), "inputs of gru_cell"),
        (lambda x: CELL(X[:, 0], x(STATE)), "states of gru_cell"),
    ],
)
def test_complex_numbers_are_refused(call, what):
    for dtype in ("complex64", "str"):
        # The first versions of Keras 3 refuse complex numbers themselves.
        message = f"{what}.* must hold real numbers|^Invalid dtype: complex64"
        with pytest.raises(ValueError, match=message):
            call(lambda array, dtype=dtype: tf.constant(array.astype(dtype)))
    for dtype in ("int32", "bool", "uint8"):
        np.testing.assert_array_equal(
            call(lambda array, dtype=dtype: array.astype(dtype))[0],
            call(lambda array: array)[0],
        )


def test_inputs_must_be_dense_tensors():
    with pytest.raises(ValueError, match=r"sequences of .* must be a dense tensor"):
        LAYER(tf.sparse.from_dense(X))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (0.5 * MASK, "must hold booleans.*dtype float32.*mask > 0.5"),
        (tf.strings.as_string(MASK), "must hold booleans.*dtype string"),
        ([], "must be one tensor.*received a list of 0"),
        ([MASK, MASK], "must be one tensor.*received a list of 2"),
        ([True, False], "must be one tensor.*received a list of 2"),
        (3, r"must have the shape .*received \(\)"),
        (MASK[:, :2], r"must have the shape .*received \(2, 2\)"),
    ],
)
def test_masks(mask, message):
    with pytest.raises(ValueError, match=f"mask of .*{message}"):
        LAYER(X, mask=mask)


def test_equivalent_masks_give_the_same_numbers():
    mask = MASK.copy()
    mask[0, 1:] = False
    expected = LAYER(X, mask=mask)
    for same in (
        [mask],
        mask.tolist(),
        mask.astype("int32"),
        mask.astype("float32"),
    ):
        np.testing.assert_array_equal(LAYER(X, mask=same), expected)


def test_a_mask_of_fractions_in_a_graph():
    """The mask's values are unknown while tracing."""
    function = tf.function(lambda mask: LAYER(X, mask=mask), autograph=False)
    with pytest.raises(ValueError, match=r"mask of .*dtype float32"):
        function(tf.constant(MASK, "float32"))


@pytest.mark.parametrize("value", [-1, "3", True, 1.5])
def test_batch_size(value):
    for call in (
        lambda: LAYER.get_initial_state(value),
        lambda: CELL.get_initial_state(batch_size=value),
    ):
        with pytest.raises(ValueError, match=r"^batch_size must be an integer of at"):
            call()


@pytest.mark.parametrize("count", [0, -1, "1", True])
def test_count_of_masks(count):
    for get in (
        CELL.get_dropout_mask_for_cell,
        CELL.get_recurrent_dropout_mask_for_cell,
        GRUCell(U).get_dropout_mask_for_cell,
    ):
        with pytest.raises(
            ValueError, match=r"^count must be an integer of at least 1"
        ):
            get(STATE, True, count)


@pytest.mark.parametrize("value", ["x", 3, X[0], [1]])
def test_explain(value):
    with pytest.raises(ValueError, match=r"sequences of .* must have the shape"):
        LAYER.explain(value)


def test_use_engine_without_a_with_block():
    with pytest.raises(ValueError, match=r"engine must be .*received: 3"):
        use_engine(3)


@pytest.mark.parametrize("cls", [GRUCell, GRU])
def test_numpy_numbers_and_booleans_are_accepted(cls):
    options = {"units": 2, "use_bias": False, "reset_after": True, "seed": 3}
    given = {"units": np.int64(2), "use_bias": np.bool_(False), "seed": np.int64(3)}
    layer = cls(**{**options, **given, "reset_after": np.bool_(True)})
    assert layer.get_config() == cls(**options, name=layer.name).get_config()


@pytest.mark.parametrize("seed", [-3, 3])
def test_configs_written_by_keras_are_accepted(seed):
    """Keras' layers accept 1 for True and any integer as a seed, and save them."""
    written = keras.layers.GRU(
        U, use_bias=0, return_sequences=1, unroll=1, seed=seed
    ).get_config()
    layer = GRU.from_config(written)
    assert (layer.use_bias, layer.return_sequences, layer.unroll) == (False, True, True)
    assert layer.seed == 3
    written = keras.layers.GRUCell(U, reset_after=0, seed=seed).get_config()
    cell = GRUCell.from_config(written)
    assert (cell.reset_after, cell.seed) == (False, 3)


@pytest.mark.parametrize("recurrent_dropout", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["GRU", "GRUCell"])
def test_implementation_0_means_what_it_means_in_keras_2(
    tf_keras, kind, recurrent_dropout
):
    config = {"units": U, "dropout": 0.5, "recurrent_dropout": recurrent_dropout}
    config["implementation"] = 0
    reference = getattr(tf_keras.layers, kind).from_config(dict(config))
    layer = getattr(tf_gru_addon, kind).from_config(config)
    assert config["implementation"] == 0
    reference = getattr(reference, "cell", reference)
    # Keras 2's cell only tests for 1.
    assert layer.implementation == (1 if reference.implementation == 1 else 2)
