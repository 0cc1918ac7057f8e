"""Files that tf_keras writes give the same numbers in both packages."""

import hashlib
import json

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import legacy_cases
from support.harness import assert_close
from support.legacy_cases import B, F, T, numbers, randomized, sequences
from support.legacy_files import (
    ALLOW_WARNINGS,
    KERAS_3_3,
    assert_loads_the_same,
    edit_config,
    outputs,
)

import tf_gru_addon
from tf_gru_addon import activations, load_legacy_model

pytestmark = ALLOW_WARNINGS


#: The formats other than HDF5 in which a case is tested.
FORMATS = {case: ["model.keras"] for case in legacy_cases.WHOLE} | {
    # Writing a SavedModel takes seconds per GRU.
    "mixed_training": ["model.keras", "model"],
    "wrappers": ["model.keras", "model"],
    # Keras 2 itself cannot load its .keras file if a layer is in two models.
    "two_deep": ["model"],
}


@pytest.mark.parametrize("case", legacy_cases.WHOLE)
def test_whole_models(tf_keras, case, tmp_path):
    model, x = legacy_cases.WHOLE[case](tf_keras)
    paths = [tmp_path / name for name in ("model.h5", *FORMATS[case])]
    if case in ("attention", "nested_in_time") and KERAS_3_3:
        for path in paths:
            model.save(path)
            with pytest.raises(ValueError, match="cannot be built"):
                load_legacy_model(path, {"Probe": legacy_cases.probe(keras)})
        return
    loaded = assert_loads_the_same(randomized(model), x, *paths)
    assert loaded.name == model.name
    names = [layer.name for layer in loaded.layers]
    theirs = [layer.name for layer in model.layers]
    assert [name for name in names if name in theirs] == theirs
    # Keras 3.3 cannot load a layer that is called on a result of its own output.
    if not (KERAS_3_3 and case == "everything"):
        _assert_survives_saving(loaded, x, tmp_path / "again.keras")


def _assert_survives_saving(loaded, x, path):
    loaded.save(path)
    probe = legacy_cases.probe(keras)
    again = keras.saving.load_model(path, custom_objects={"Probe": probe})
    for one, two in zip(outputs(loaded, x), outputs(again, x), strict=True):
        np.testing.assert_array_equal(one, two)


@settings(max_examples=12, deadline=None)
@given(
    options=st.fixed_dictionaries(
        {
            "units": st.integers(1, 5),
            "mask": st.booleans(),
            "activation": st.sampled_from(["tanh", "relu", None, "hard_sigmoid"]),
            "recurrent_activation": st.sampled_from(["sigmoid", "hard_sigmoid"]),
            "use_bias": st.booleans(),
            "reset_after": st.booleans(),
            "implementation": st.sampled_from([1, 2]),
            "go_backwards": st.booleans(),
            "return_sequences": st.booleans(),
            "unroll": st.booleans(),
            "dropout": st.sampled_from([0.0, 0.5]),
            "kernel_regularizer": st.sampled_from([None, "l2"]),
            "kernel_initializer": st.sampled_from(["he_normal", "zeros"]),
            "recurrent_constraint": st.sampled_from([None, "max_norm"]),
        }
    ),
    name=st.sampled_from(["model.h5", "model.keras"]),
)
def test_every_option_of_a_gru(tf_keras, tmp_path_factory, options, name):
    model, x = legacy_cases.gru(tf_keras, **options)
    path = tmp_path_factory.mktemp("gru") / name
    loaded = assert_loads_the_same(randomized(model), x, path)
    layer = loaded.layers[-1]
    assert type(layer) is tf_gru_addon.GRU
    theirs, ours = model.layers[-1].get_config(), layer.get_config()
    same = set(options) - {"mask", "activation", "kernel_regularizer"}
    for option in same - {"kernel_initializer", "recurrent_constraint"}:
        assert ours[option] == theirs[option], option


@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_bidirectional(tf_keras, merge_mode, return_sequences, tmp_path):
    k = tf_keras
    one = k.layers.GRU(3, return_sequences=return_sequences, reset_after=False)
    two = k.layers.GRU(
        3, return_sequences=return_sequences, go_backwards=True, activation="relu"
    )
    layers = [
        k.layers.Bidirectional(one, merge_mode=merge_mode),
        k.layers.Bidirectional(one, merge_mode=merge_mode, backward_layer=two),
    ]
    x = k.Input((T, F))
    y = [layer(k.layers.Masking()(x)) for layer in layers]
    model = randomized(k.Model(x, tf.nest.flatten(y)))
    loaded = assert_loads_the_same(model, sequences(), tmp_path / "model.h5")
    kinds = [type(layer.forward_layer) for layer in loaded.layers[-2:]]
    assert kinds == [tf_gru_addon.GRU] * 2


def test_a_stateful_model_keeps_its_state_between_batches(tf_keras, tmp_path):
    k = tf_keras
    model = k.Sequential([k.layers.GRU(3, stateful=True, batch_input_shape=(B, T, F))])
    randomized(model)
    model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    x = numbers(B, T, F)
    expected = [outputs(model, x)[0] for _ in range(3)]
    assert np.abs(expected[0] - expected[2]).max() > 1e-2
    for name in ("model.h5", "model.keras"):
        loaded = load_legacy_model(tmp_path / name)
        assert loaded.input_shape == (B, T, F)
        for number in expected:
            assert_close(outputs(loaded, x)[0], number)


def test_mixed_precision(tf_keras, tmp_path):
    k = tf_keras
    layer = k.layers.GRU(3, dtype=k.mixed_precision.Policy("mixed_bfloat16"))
    model = k.Sequential([k.Input((T, F)), layer, k.layers.Dense(2, dtype="float64")])
    model.save(tmp_path / "model.h5")
    loaded = load_legacy_model(tmp_path / "model.h5")
    assert loaded.layers[0].dtype_policy.name == "mixed_bfloat16"
    assert loaded.layers[0].cell.compute_dtype == "bfloat16"
    assert loaded.layers[1].dtype_policy.name == "float64"
    for one, two in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_cudnn_layers(tf_keras, kind, tmp_path):
    """A CuDNN layer only runs on GPUs; tf_keras loads its file into a plain layer."""
    from tf_keras.api._v1.keras import layers as v1

    k = tf_keras
    cudnn = getattr(v1, f"CuDNN{kind}")
    model = k.Sequential([k.Input((T, F))])
    model.add(k.layers.Bidirectional(cudnn(3, return_sequences=True)))
    model.add(cudnn(2, go_backwards=True))
    randomized(model).save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")
    plain = getattr(k.layers, kind)
    options = {"reset_after": True} if kind == "GRU" else {}
    there = k.Sequential([k.Input((T, F))])
    there.add(k.layers.Bidirectional(plain(3, return_sequences=True, **options)))
    there.add(plain(2, go_backwards=True, **options))
    there.load_weights(tmp_path / "model.h5")
    x = numbers(B, T, F)
    expected = outputs(there, x)[0]
    for name in ("model.h5", "model.keras"):
        loaded = load_legacy_model(tmp_path / name)
        assert_close(outputs(loaded, x)[0], expected)


def test_hard_sigmoid_is_keras_2s_in_every_layer(tf_keras, tmp_path):
    k = tf_keras
    model = k.Sequential(
        [
            k.Input((T, F)),
            k.layers.GRU(3, recurrent_activation="hard_sigmoid", return_sequences=True),
            k.layers.Dense(3, activation="hard_sigmoid"),
            k.layers.Activation("hard_sigmoid"),
        ]
    )
    loaded = assert_loads_the_same(model, numbers(B, T, F), tmp_path / "model.h5")
    gru, dense, activation = loaded.layers
    assert gru.recurrent_activation is activations.hard_sigmoid
    assert dense.activation is activations.hard_sigmoid
    assert activation.activation is activations.hard_sigmoid


def test_the_file_is_only_read_and_the_optimizer_is_ignored(tf_keras, tmp_path):
    model, x = legacy_cases.gru(tf_keras)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    expected = outputs(model, x)[0]
    for name in ("model.h5", "model.keras"):
        path = tmp_path / name
        model.save(path)
        before = hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns
        path.chmod(0o444)
        loaded = load_legacy_model(str(path))
        after = hashlib.sha256(path.read_bytes()).digest(), path.stat().st_mtime_ns
        assert after == before
        assert not loaded.compiled
        assert_close(outputs(loaded, x)[0], expected)


def test_a_loaded_model_can_be_trained(tf_keras, tmp_path):
    model, x = legacy_cases.gru(tf_keras, kernel_regularizer="l2", dropout=0.1)
    model.save(tmp_path / "model.h5")
    loaded = load_legacy_model(tmp_path / "model.h5")
    before = loaded.get_weights()
    loaded.compile("sgd", "mse")
    loaded.fit(x, numbers(B, 3), verbose=0)
    assert all(
        np.abs(one - two).max() > 0
        for one, two in zip(before, loaded.get_weights(), strict=True)
    )
    # The saved config has the file's initializers.
    layer = loaded.layers[-1]
    initializer = layer.get_config()["recurrent_initializer"]
    assert initializer["class_name"].startswith("Orthogonal")
    assert layer.cell.kernel_initializer(layer.cell.kernel.shape).numpy().any()


def test_causal_attention_of_tf_2_0(tf_keras, tmp_path):
    """Later versions moved the layer's argument to its call."""
    x = tf_keras.Input((T, F))
    model = tf_keras.Model(x, tf_keras.layers.Attention()([x, x], use_causal_mask=True))
    model.save(tmp_path / "model.h5")

    def edit(config):
        layer = config["config"]["layers"][-1]
        layer["config"]["causal"] = True
        for inbound in layer["inbound_nodes"][0]:
            inbound[3].clear()

    edit_config(tmp_path / "model.h5", edit)
    loaded = load_legacy_model(tmp_path / "model.h5")
    assert_close(loaded(numbers(B, T, F)), model(numbers(B, T, F)))


def test_custom_objects(tf_keras, tmp_path):
    class Twice(tf_keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    def wave(x):
        return tf.sin(2 * x)

    class OurTwice(keras.layers.Layer):
        def call(self, inputs):
            return 2 * inputs

    k = tf_keras
    model = k.Sequential([k.Input((T, F)), Twice(), k.layers.GRU(2, activation=wave)])
    model.save(tmp_path / "model.h5")
    loaded = load_legacy_model(
        tmp_path / "model.h5", custom_objects={"Twice": OurTwice, "wave": wave}
    )
    x = numbers(B, T, F)
    assert_close(outputs(loaded, x)[0], outputs(model, x)[0])


def _loss(expected, received):
    return tf.reduce_mean(expected - received)


def _clip(k):
    """Returns a custom constraint and a custom regularizer, for Keras 2 or 3."""

    class Clip(k.constraints.Constraint):
        def __init__(self, limit=1.0):
            self.limit = limit

        def __call__(self, weight):
            return tf.clip_by_value(weight, -self.limit, self.limit)

        def get_config(self):
            return {"limit": self.limit}

    class Third(k.regularizers.Regularizer):
        def __call__(self, weight):
            return tf.reduce_sum(weight**3)

        def get_config(self):
            return {}

    return {"Clip": Clip, "Third": Third}


def test_custom_constraints_are_kept_or_left_out(tf_keras, tmp_path):
    k, theirs = tf_keras, _clip(tf_keras)
    clip = theirs["Clip"](0.4)
    gru = k.layers.GRU(3, return_sequences=True, recurrent_constraint=clip)
    dense = k.layers.Dense(
        2, kernel_regularizer=theirs["Third"](), bias_constraint=clip
    )
    with k.utils.custom_object_scope(theirs):
        layers = [k.layers.Bidirectional(gru), dense]
    model = randomized(k.Sequential([k.Input((T, F)), *layers]))
    x = numbers(B, T, F)
    model.compile("adam", _loss)
    for name in ("model.h5", "model.keras"):
        model.save(tmp_path / name)
        _assert_kept_or_left_out(tmp_path / name, x, outputs(model, x)[0])


def _assert_kept_or_left_out(path, x, expected):
    with pytest.warns(UserWarning, match="loaded without") as caught:
        loaded = load_legacy_model(path)
    (warning,) = caught
    message = str(warning.message)
    for word in (str(path), "constraint 'Clip' of", "regularizer 'Third' of", "'dense"):
        assert word in message, message
    assert_close(outputs(loaded, x)[0], expected)
    loaded.save(path.with_name("again.keras"))
    again = keras.models.load_model(path.with_name("again.keras"))
    assert_close(outputs(again, x)[0], expected)

    ours = _clip(keras)
    kept = load_legacy_model(path, custom_objects=ours)
    assert_close(outputs(kept, x)[0], expected)
    assert kept.layers[-1].bias_constraint.limit == 0.4
    assert isinstance(kept.layers[-1].kernel_regularizer, ours["Third"])
    cell = kept.layers[0].backward_layer.cell
    assert isinstance(cell.recurrent_constraint, ours["Clip"])


def test_a_layer_whose_config_lacks_its_name(tf_keras, tmp_path):
    """Keras 2 took the name from the entry."""
    layer = legacy_cases.probe(tf_keras)(name="given")
    x = tf_keras.Input((T, F))
    model = tf_keras.Model(x, layer(tf_keras.layers.Masking()(x)))
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][-1]["config"] = {}
        file.attrs["model_config"] = json.dumps(config)
    custom = {"Probe": legacy_cases.probe(keras)}
    loaded = load_legacy_model(tmp_path / "model.h5", custom)
    assert loaded.layers[-1].name == "given"
