"""Files in the layouts of Keras 1, Keras 2.2 and tf.keras 1.13, against the oracle.

tests/fixtures/README.md describes the files.
"""

import importlib.util
import pathlib

import h5py
import keras
import numpy as np
import pytest
from support.harness import assert_close
from support.oracles import ACTIVATIONS, gru

import tf_gru_addon
from tf_gru_addon import activations, load_legacy_model

FOLDER = pathlib.Path(__file__).parents[1] / "fixtures"


def _script():
    path = FOLDER / "make_legacy_models.py"
    spec = importlib.util.spec_from_file_location("make_legacy_models", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _script()


@pytest.fixture
def made(tmp_path):
    """Runs the script in another folder; returns the arrays of a model."""
    return lambda name: make.MODELS[name](tmp_path)


def run(weights, reset_after=False, sigma="hard_sigmoid", **options):
    x = make.inputs()
    h0 = np.zeros((len(x), make.UNITS))
    options = {"reset_after": reset_after, "recurrent_activation": sigma, **options}
    return gru(x, h0, *weights, **options)


def dense(x, weights):
    return ACTIVATIONS["hard_sigmoid"](x @ weights[0] + weights[1])


def call(name):
    return np.asarray(load_legacy_model(FOLDER / f"{name}.h5")(make.inputs()))


@pytest.mark.parametrize("name", make.MODELS)
def test_the_script_reproduces_the_files(name, made, tmp_path):
    made(name)
    with (
        h5py.File(tmp_path / f"{name}.h5") as new,
        h5py.File(FOLDER / f"{name}.h5") as old,
    ):
        assert dict(new.attrs) == dict(old.attrs)
        contents = [[], []]
        for file, content in zip((new, old), contents, strict=True):
            file.visititems(
                lambda name, item, content=content: content.append(
                    (
                        name,
                        {k: np.array(v).tolist() for k, v in item.attrs.items()},
                        item[()].tolist() if isinstance(item, h5py.Dataset) else None,
                    )
                )
            )
        assert contents[0] == contents[1]


def test_nine_arrays_of_keras_1(made):
    weights = made("keras1_gru")
    mask = (make.inputs() != 0).any(axis=-1)
    assert not mask.all()
    _, last, _ = run(weights["gru"], mask=mask)
    assert_close(call("keras1_gru"), dense(last, weights["dense"]))


def test_a_config_of_keras_1_is_translated():
    model = load_legacy_model(FOLDER / "keras1_gru.h5")
    masking, layer, dropout, last = model.layers
    assert [part.name for part in model.layers] == [
        *("masking_1", "gru_1", "dropout_1", "dense_1")
    ]
    assert type(layer) is tf_gru_addon.GRU
    assert layer.recurrent_activation is activations.hard_sigmoid
    assert layer.reset_after is False
    assert (layer.dropout, layer.recurrent_dropout, dropout.rate) == (0.25, 0.5, 0.5)
    assert layer.implementation == 1
    assert float(layer.kernel_regularizer.l2) == 0.01
    assert layer.get_config()["kernel_initializer"]["class_name"] == "GlorotUniform"
    assert masking.mask_value == 0
    assert last.kernel_constraint.max_value == 2
    assert model.input_shape == (None, None, make.FEATURES)


def test_three_arrays_of_keras_1_shared_and_merged(made):
    weights = made("keras1_functional")
    model = load_legacy_model(FOLDER / "keras1_functional.h5")
    _, last, _ = run(weights["gru"])
    x = make.inputs()
    assert_close(model([x, x]), 2 * last)
    _, zero, _ = gru(
        0 * x,
        np.zeros((len(x), make.UNITS)),
        *weights["gru"],
        reset_after=False,
        recurrent_activation="hard_sigmoid",
    )
    assert_close(model([0 * x, x]), zero + last)
    assert model.get_layer("gru").implementation == 2


def test_a_gru_older_than_reset_after(made):
    weights = made("keras2_gru")
    _, last, _ = run(weights["gru"])
    assert_close(call("keras2_gru"), last)
    (layer,) = load_legacy_model(FOLDER / "keras2_gru.h5").layers
    assert layer.implementation == 1


def test_bidirectional_of_keras_2_repeats_the_output_where_masked(made, tmp_path):
    weights = made("keras2_bidirectional")
    mask = (make.inputs() != 0).any(axis=-1)
    forward, _, _ = run(weights["forward"], mask=mask)
    backward, _, _ = run(weights["backward"], mask=mask, go_backwards=True)
    expected = np.concatenate([forward, backward[:, ::-1]], axis=-1)
    assert np.abs(expected[1, 2:]).min() == 0  # the backward direction starts there
    assert np.abs(forward[1, 2:]).min() > 0
    assert_close(call("keras2_bidirectional"), expected)
    load_legacy_model(FOLDER / "keras2_bidirectional.h5").save(tmp_path / "again.keras")
    again = keras.saving.load_model(tmp_path / "again.keras")
    assert_close(again(make.inputs()), expected)


def test_a_cudnn_gru_of_tensorflow_1(made):
    weights = made("tf1_cudnn_gru")
    sequence, _, _ = run(weights["gru"], reset_after=True, sigma="sigmoid")
    assert_close(call("tf1_cudnn_gru"), dense(sequence, weights["dense"]))
    layer = load_legacy_model(FOLDER / "tf1_cudnn_gru.h5").get_layer("cu_dnngru")
    assert type(layer) is tf_gru_addon.GRU
    assert layer.reset_after is True
