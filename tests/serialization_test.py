"""Every way of running, copying and saving a model gives the same numbers."""

import copy
import inspect
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import cases
from support.harness import assert_close, run_python

import tf_gru_addon
from tf_gru_addon import activations

EVERY_CASE = pytest.mark.parametrize("case", cases.CASES)
EVERY_CLASS = pytest.mark.parametrize("cls", [tf_gru_addon.GRUCell, tf_gru_addon.GRU])


def assert_same_outputs(actual, case):
    expected = cases.expected(case)
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected, strict=True):
        assert a.dtype == b.dtype
        assert_close(a, b, str(b.dtype), case)


def assert_same_config(copied, case):
    # As JSON: tuples become lists.
    configs = [m.get_config() for m in (copied, cases.model(case))]
    actual, expected = (json.loads(json.dumps(config)) for config in configs)
    assert actual == expected


# Each function takes a model and returns one that must give the same numbers.


def _from_config(model, case, path):
    copied = type(model).from_config(model.get_config())
    copied.set_weights(model.get_weights())
    return copied


def _clone(model, case, path):
    copied = keras.models.clone_model(model)
    copied.set_weights(model.get_weights())
    return copied


def _deepcopy(model, case, path):
    return copy.deepcopy(model)


def _json(model, case, path):
    copied = keras.models.model_from_json(model.to_json())
    copied.set_weights(model.get_weights())
    return copied


def _keras_file(model, case, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


def _weights_file(model, case, path):
    model.save_weights(path / "model.weights.h5")
    copied = cases.CASES[case]()
    copied.load_weights(path / "model.weights.h5")
    return copied


def _checkpoint(model, case, path):
    written = tf.train.Checkpoint(**_tracked(model)).write(str(path / "checkpoint"))
    copied = cases.CASES[case]()
    tf.train.Checkpoint(**_tracked(copied)).read(written).assert_consumed()
    return copied


def _tracked(model):
    # TensorFlow does not track a list of layers inside a Keras layer: without
    # attributes of their own, stacked cells would be missing from the checkpoint.
    cells = [getattr(layer, "cell", None) for layer in model.layers]
    stacks = [list(cell.cells) for cell in cells if hasattr(cell, "cells")]
    return {"model": model, "stacks": stacks}


@pytest.mark.parametrize("jit_compile", [False, True], ids=["function", "xla"])
@EVERY_CASE
def test_running_it_compiled_gives_the_same_numbers(case, jit_compile):
    model = cases.model(case)
    call = tf.function(lambda x: model(x), jit_compile=jit_compile)
    assert_same_outputs(cases.outputs(model, cases.example(), call), case)


@pytest.mark.parametrize(
    "way",
    [_from_config, _clone, _deepcopy, _json, _keras_file, _weights_file, _checkpoint],
)
@EVERY_CASE
def test_a_copy_gives_the_same_numbers(case, way, tmp_path):
    copied = way(cases.model(case), case, tmp_path)
    assert_same_outputs(cases.outputs(copied, cases.example()), case)
    if way not in (_weights_file, _checkpoint):
        assert_same_config(copied, case)


LOAD_KERAS_FILES = """
import pathlib, sys
import tf_gru_addon
import keras, numpy, tensorflow
folder = pathlib.Path(sys.argv[1])
x = numpy.load(folder / "x.npy")
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    outputs = tensorflow.nest.flatten([model(x), model(x)])
    outputs = [tensorflow.cast(y, "float32").numpy() for y in outputs]
    numpy.savez(path.with_suffix(".npz"), *outputs)
"""


def test_a_keras_file_loads_where_only_the_package_was_imported(tmp_path):
    np.save(tmp_path / "x.npy", cases.example())
    for case in cases.CASES:
        model = cases.model(case)
        cases.reset_states(model)
        model.save(tmp_path / f"{case}.keras")
    run_python(LOAD_KERAS_FILES, tmp_path)
    for case in cases.CASES:
        with np.load(tmp_path / f"{case}.npz") as results:
            for actual, expected in zip(
                results.values(), cases.expected(case), strict=True
            ):
                assert_close(actual, expected, str(expected.dtype), case)


NOT_THE_DEFAULTS = {
    "activation": "relu",
    "recurrent_activation": "tanh",
    "use_bias": False,
    "activity_regularizer": keras.regularizers.L1(0.5),
    "dropout": 0.25,
    "recurrent_dropout": 0.5,
    "implementation": {tf_gru_addon.GRUCell: 2, tf_gru_addon.GRU: 1},
    "reset_after": {tf_gru_addon.GRUCell: True, tf_gru_addon.GRU: False},
    "seed": 7,
    "return_sequences": True,
    "return_state": True,
    "go_backwards": True,
    "stateful": True,
    "unroll": True,
    "use_cudnn": False,
    "engine": "portable",
    **cases.EVERY_PART,
}


def _parameters(cls):
    parameters = inspect.signature(cls.__init__).parameters
    return [name for name in parameters if name not in ("self", "kwargs")]


@EVERY_CLASS
def test_the_config_holds_every_argument_in_signature_order(cls):
    config = cls(2).get_config()
    assert [name for name in config if name in _parameters(cls)] == _parameters(cls)


@pytest.mark.parametrize(
    ("cls", "argument"),
    [
        (cls, argument)
        for cls in (tf_gru_addon.GRUCell, tf_gru_addon.GRU)
        for argument in _parameters(cls)[1:]
    ],
)
def test_the_config_keeps_every_argument(cls, argument):
    value = NOT_THE_DEFAULTS[argument]
    value = value[cls] if isinstance(value, dict) else value
    config = cls(2, name="same", **{argument: value}).get_config()
    assert config[argument] != cls(2, name="same").get_config()[argument]
    assert cls.from_config(config).get_config() == config
    assert json.loads(json.dumps(config)) == config


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("zero_output_for_mask", True),
        ("trainable", False),
        ("dtype", "float64"),
        ("dtype", "mixed_bfloat16"),
    ],
)
def test_the_config_holds_the_arguments_of_every_layer(argument, value):
    layer = tf_gru_addon.GRU(2, **{argument: value})
    copied = tf_gru_addon.GRU.from_config(layer.get_config())
    assert copied.get_config() == layer.get_config()
    for name in ("zero_output_for_mask", "trainable"):
        assert getattr(copied, name) == getattr(layer, name)
    for name in ("compute_dtype", "variable_dtype", "trainable"):
        assert getattr(copied.cell, name) == getattr(layer.cell, name)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (tf_gru_addon.GRUCell, "GRUCell"),
        (tf_gru_addon.GRU, "GRU"),
        (activations.hard_sigmoid, "hard_sigmoid"),
    ],
)
def test_registered_under_the_package(thing, name):
    assert keras.saving.get_registered_name(thing) == f"tf_gru_addon>{name}"


@EVERY_CLASS
def test_hard_sigmoid_in_a_config_always_means_tf_2_0s(cls):
    argument = {"recurrent_activation": "hard_sigmoid"}
    assert cls(2, **argument).get_config()["recurrent_activation"] == "hard_sigmoid"
    argument = {"recurrent_activation": activations.hard_sigmoid}
    assert cls(2, **argument).get_config()["recurrent_activation"] == "hard_sigmoid"
    argument = {"recurrent_activation": keras.activations.hard_sigmoid}
    config = cls(2, **argument).get_config()["recurrent_activation"]
    assert isinstance(config, dict)
    assert activations.get(config) is keras.activations.hard_sigmoid


@pytest.mark.parametrize("kind", ["cell", "layer"])
def test_the_two_hard_sigmoids_give_different_numbers(kind):
    model, other = (
        cases.CASES[f"{kind}_{name}"]()
        for name in ("hard_sigmoid", "keras_hard_sigmoid")
    )
    other.set_weights(model.get_weights())
    x = cases.example()
    assert np.abs(model(x) - other(x)).max() > 1e-3


def _sequential_of(gru):
    return keras.Sequential(
        [keras.Input((None, 3)), gru(4, return_sequences=True), gru(2)]
    )


def _functional_of(gru):
    inputs = keras.Input((None, 3))
    x, state = gru(4, return_sequences=True, return_state=True)(inputs)
    y = gru(4, reset_after=False)(x, initial_state=state)
    return keras.Model(inputs, keras.layers.Dense(2)(y))


def _bidirectional_of(gru):
    return keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.Masking(),
            keras.layers.Bidirectional(gru(4, return_sequences=True)),
            keras.layers.Bidirectional(gru(3, use_bias=False), backward_layer=None),
        ]
    )


EVERY_SHAPE_OF_MODEL = pytest.mark.parametrize(
    "model_of", [_sequential_of, _functional_of, _bidirectional_of]
)
BOTH_WAYS = pytest.mark.parametrize(
    ("source", "target"),
    [
        (keras.layers.GRU, tf_gru_addon.GRU),
        (tf_gru_addon.GRU, keras.layers.GRU),
    ],
    ids=["from_keras", "to_keras"],
)


@pytest.mark.parametrize("through", ["set_weights", "weights_file"])
@BOTH_WAYS
@EVERY_SHAPE_OF_MODEL
def test_weights_move_between_keras_layer_and_this_layer(
    model_of, source, target, through, tmp_path
):
    model, other = model_of(source), model_of(target)
    if through == "set_weights":
        other.set_weights(model.get_weights())
    else:
        model.save_weights(tmp_path / "model.weights.h5")
        other.load_weights(tmp_path / "model.weights.h5")
    x = cases.example()
    assert_close(other(x), model(x))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True, "go_backwards": True, "reset_after": False},
        {"recurrent_activation": "tanh", "activation": None, "use_bias": False},
        {"kernel_regularizer": "l2", "bias_initializer": "ones", "seed": 3},
        {"dropout": 0.1, "recurrent_dropout": 0.2, "use_cudnn": False},
        {"dtype": "float64", "name": "mine", "trainable": False},
    ],
)
def test_a_config_of_keras_layer_works_here(options):
    original = keras.layers.GRU(4, **options)
    layer = tf_gru_addon.GRU.from_config(original.get_config())
    x = cases.example()
    expected = original(x)
    layer.build(x.shape)
    layer.set_weights(original.get_weights())
    assert_close(layer(x), expected)
    assert original.get_config().items() <= layer.get_config().items()


def test_training_resumes_from_a_keras_file_as_if_never_saved(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.RNN(tf_gru_addon.GRUCell(3), return_sequences=True),
            tf_gru_addon.GRU(2),
        ]
    )
    model.compile(keras.optimizers.Adam(0.1), "mse")
    x, y = cases.example(batch=4), np.ones((4, 2), "float32")
    model.fit(x, y, epochs=2, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    copied = keras.saving.load_model(tmp_path / "model.keras")
    before = model.get_weights()
    for either in (model, copied):
        either.fit(x, y, epochs=2, verbose=0, shuffle=False)
    for was, expected, actual in zip(
        before, model.get_weights(), copied.get_weights(), strict=True
    ):
        assert np.abs(expected - was).max() > 1e-3
        assert_close(actual, expected)
