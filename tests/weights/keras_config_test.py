"""Whole-model files of Keras: the activations and conventions that they state."""

import io
import json
import pathlib
import re
import time
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

import tf_gru_addon
from tf_gru_addon import activations
from tf_gru_addon.weights import WeightsError, inspect_weights, read_weights
from tf_gru_addon.weights.keras_config import match, stated_grus

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
GRU = keras.layers.GRU
OURS = tf_gru_addon.GRU

#: By name: a GRU, and the activations that its file states.
GRUS = {
    "defaults": (lambda: GRU(2), ("tanh", "sigmoid")),
    "relu": (lambda: GRU(2, activation="relu"), ("relu", "sigmoid")),
    "linear": (lambda: GRU(2, activation=None), ("linear", "sigmoid")),
    "of_keras_3": (
        lambda: GRU(2, recurrent_activation="hard_sigmoid"),
        ("tanh", "keras_hard_sigmoid"),
    ),
    "of_r2_0": (
        lambda: GRU(2, recurrent_activation=activations.hard_sigmoid),
        ("tanh", "hard_sigmoid"),
    ),
    "ours": (
        lambda: OURS(2, recurrent_activation="hard_sigmoid"),
        ("tanh", "hard_sigmoid"),
    ),
    "ours_of_keras_3": (
        lambda: OURS(2, recurrent_activation=keras.activations.hard_sigmoid),
        ("tanh", "keras_hard_sigmoid"),
    ),
    "our_cell": (
        lambda: keras.layers.RNN(tf_gru_addon.GRUCell(2)),
        ("tanh", "hard_sigmoid"),
    ),
}


@pytest.fixture(params=[".keras", ".h5"])
def save(request, tmp_path):
    """Saves a whole model of Keras 3 or tf_keras; returns the path."""

    def run(model):
        path = tmp_path / f"model{request.param}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns that .h5 is legacy
            model.save(path)
        return path

    return run


@pytest.mark.parametrize("name", GRUS)
def test_activations(save, name):
    make, expected = GRUS[name]
    path = save(keras.Sequential([keras.Input((None, 3)), make()]))
    (layer,) = read_weights(path)
    assert (layer.activation, layer.recurrent_activation) == expected
    file = inspect_weights(path)
    assert file.activations_known
    assert file.describe().endswith(", ".join(expected))
    assert read_weights(path, recurrent_activation=expected[1]) == (layer,)
    with pytest.raises(WeightsError, match=f"activation is {expected[0]} in the file"):
        read_weights(path, activation="elu")


def test_activations_of_keras_2(tf_keras, save):
    """In Keras 2, hard_sigmoid was another function."""
    cell = tf_keras.layers.GRUCell(4, recurrent_activation="hard_sigmoid")
    layers = [
        tf_keras.layers.GRU(3, recurrent_activation="hard_sigmoid", name="x"),
        tf_keras.layers.RNN(cell, go_backwards=True, name="y"),
    ]
    inputs = tf_keras.Input((None, 2))
    model = tf_keras.Model(inputs, [layer(inputs) for layer in layers])
    layer, backward = [stack[0] for stack in inspect_weights(save(model)).grus.values()]
    assert layer.recurrent_activation == backward.recurrent_activation == "hard_sigmoid"
    assert [layer.direction, backward.direction] == ["forward", "reverse"]
    assert np.array_equal(backward.backward.kernel, layers[1].get_weights()[0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("keras1_gru", "hard_sigmoid"),
        ("keras1_functional", "hard_sigmoid"),
        ("keras2_gru", "hard_sigmoid"),
        ("keras2_bidirectional", "hard_sigmoid"),
        ("tf1_cudnn_gru", "sigmoid"),
    ],
)
def test_files_that_older_versions_wrote(name, expected):
    file = inspect_weights(FIXTURES / f"{name}.h5")
    ((layer,),) = file.grus.values()
    assert file.activations_known
    assert (layer.activation, layer.recurrent_activation) == ("tanh", expected)


def nested(keras, gru):
    """Eight GRUs of different kinds, each with its own features and units."""
    L = keras.layers
    inner = keras.Sequential(name="inner")
    inner.add(keras.Input((5, 2)))
    inner.add(gru(3, activation="relu", return_sequences=True, name="same"))
    inner.add(gru(3, activation="elu", return_sequences=True))
    inputs = keras.Input((None, 5, 2))
    y = L.TimeDistributed(inner)(inputs)
    y = L.TimeDistributed(L.Flatten())(y)
    y = L.Bidirectional(
        gru(4, recurrent_activation="hard_sigmoid", return_sequences=True), name="both"
    )(y)
    y = L.Bidirectional(
        gru(5, activation="softsign", return_sequences=True),
        backward_layer=gru(
            5, activation="selu", return_sequences=True, go_backwards=True
        ),
        name="different",
    )(y)
    cells = [L.GRUCell(6, activation="relu"), L.GRUCell(6, activation="elu")]
    y = L.RNN(L.StackedRNNCells(cells), return_sequences=True)(y)
    y = gru(7, use_bias=False, reset_after=False, trainable=False)(y)
    return keras.Model(inputs, y)


@pytest.mark.parametrize("package", ["keras", "ours", "tf_keras"])
def test_wrapped_nested_and_stacked(package, save, request):
    if package == "tf_keras":
        keras_of = request.getfixturevalue("tf_keras")
        gru, hard = keras_of.layers.GRU, "hard_sigmoid"
    else:
        keras_of = keras
        gru = GRU if package == "keras" else OURS
        hard = "hard_sigmoid" if package == "ours" else "keras_hard_sigmoid"
    file = inspect_weights(save(nested(keras_of, gru)))
    found = {
        (layer.features, layer.units, layer.direction): (
            layer.activation,
            layer.recurrent_activation,
        )
        for (layer,) in file.grus.values()
    }
    assert file.activations_known
    assert found == {
        (2, 3, "forward"): ("relu", "sigmoid"),
        (3, 3, "forward"): ("elu", "sigmoid"),
        (15, 4, "bidirectional"): ("tanh", hard),
        (8, 5, "forward"): ("softsign", "sigmoid"),
        (8, 5, "reverse"): ("selu", "sigmoid"),
        (10, 6, "forward"): ("relu", "sigmoid"),
        (6, 6, "forward"): ("elu", "sigmoid"),
        (6, 7, "forward"): ("tanh", "sigmoid"),
    }


def test_a_convention_that_the_file_states(save):
    gru = GRU(2, use_bias=False, reset_after=False)
    path = save(keras.Sequential([keras.Input((None, 3)), gru]))
    assert not read_weights(path)[0].reset_after
    with pytest.raises(WeightsError, match="reset_after is False in the file"):
        read_weights(path, reset_after=True)


@keras.saving.register_keras_serializable("keras_config_test")
class Hidden(keras.layers.Layer):
    """A layer with a GRU that its config does not show."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.gru = GRU(2, activation="relu", return_sequences=True)

    def build(self, shape):
        self.gru.build(shape)

    def call(self, x):
        return self.gru(x)


@keras.saving.register_keras_serializable("keras_config_test")
def unknown(x):
    return x


def test_activations_that_a_file_does_not_state(save):
    layers = [
        Hidden(),
        GRU(2, return_sequences=True, recurrent_activation=unknown),
        GRU(2),
    ]
    path = save(keras.Sequential([keras.Input((None, 3)), *layers]))
    file = inspect_weights(path)
    hidden, custom, plain = sorted(
        file.grus, key=lambda name: ("hidden" not in name, name)
    )
    assert file.unstated[hidden] == ("activation", "recurrent_activation")
    assert plain not in file.unstated
    with pytest.raises(WeightsError, match="Give recurrent_activation="):
        read_weights(path, hidden)
    (layer,) = read_weights(path, hidden, activation="relu", recurrent_activation="elu")
    assert (layer.activation, layer.recurrent_activation) == ("relu", "elu")
    assert custom not in file.unstated or file.unstated[custom] == (
        "recurrent_activation",
    )


def test_an_optimizers_arrays_are_not_grus(tf_keras, tmp_path):
    for package in (keras, tf_keras):
        model = package.Sequential(
            [package.Input((4, 3)), package.layers.GRU(2, activation="relu")]
        )
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)  # as fit does
        for ending in (".h5", ".keras", ".weights.h5"):
            path = tmp_path / f"{package.__name__}{ending}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if "weights" in ending:
                    model.save_weights(path)
                else:
                    model.save(path)
            (stack,) = inspect_weights(path).grus.values()
            assert np.array_equal(stack[0].forward.kernel, model.get_weights()[0])


def windows_path(name):
    """Returns a path as Keras 2 wrote it on Windows."""
    head, _, tail = name.partition("/vars")
    return head.replace("/", "\\") + "/vars" + tail


def keras_2_13_path(name):
    """Returns a path as Keras 2.13 wrote it: it counted layers with weights twice."""
    name = re.sub(r"_(\d+)/", lambda found: f"_{2 * int(found[1])}/", name)
    return name.replace("layers/", "_layer_checkpoint_dependencies/")


@pytest.mark.parametrize("rename", [windows_path, keras_2_13_path])
def test_other_names_of_groups(tf_keras, tmp_path, rename):
    layers = [
        tf_keras.layers.Bidirectional(
            tf_keras.layers.GRU(2, activation="relu", return_sequences=True)
        ),
        tf_keras.layers.GRU(3, return_sequences=True),
        tf_keras.layers.GRU(3, recurrent_activation="hard_sigmoid"),
    ]
    model = tf_keras.Sequential([tf_keras.Input((4, 3)), *layers])
    path = tmp_path / "model.keras"
    model.save(path)
    renamed = with_names(path, rename)
    assert inspect_weights(renamed) == inspect_weights(path)
    names = ["layers/bidirectional", "layers/gru", "layers/gru_1"]
    assert list(inspect_weights(renamed).grus) == names
    assert inspect_weights(renamed).activations_known
    x = np.ones((2, 4, 3), "float32")
    loaded = tf_gru_addon.load_legacy_model(renamed)
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-5, atol=1e-6)


def with_names(path, rename):
    """Writes a `.keras` file again with its arrays at other paths."""
    target, other = path.with_name("renamed.keras"), path.with_name("weights.h5")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in ("config.json", "metadata.json"):
            new.writestr(name, old.read(name))
        weights = io.BytesIO(old.read("model.weights.h5"))
        with h5py.File(weights) as file, h5py.File(other, "w") as to:

            def copy(name, item):
                if isinstance(item, h5py.Dataset):
                    to[rename(name)] = item[()]

            file.visititems(copy)
        new.write(other, "model.weights.h5")
    return target


@pytest.mark.parametrize(
    ("config", "message"),
    [(b"{", "config is not JSON"), (b"[1]", "config must be a JSON object")],
)
def test_a_config_that_is_damaged(tmp_path, config, message):
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = config
        group = file.create_group("model_weights/gru/gru")
        group["kernel:0"], group["recurrent_kernel:0"] = (
            np.ones((3, 6)),
            np.ones((2, 6)),
        )
    with pytest.raises(WeightsError, match=rf"model.h5: the model's {message}"):
        inspect_weights(tmp_path / "model.h5", reset_after=True)


def test_a_deeply_nested_config(tmp_path):
    entry = {"class_name": "GRU", "config": {"units": 2, "activation": "relu"}}
    for index in range(300):
        config = {"name": f"t{index}", "layer": entry}
        entry = {"class_name": "TimeDistributed", "config": config}
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [entry]}}
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(model)
        group = file.create_group("model_weights/t299/gru")
        group["kernel:0"], group["recurrent_kernel:0"] = (
            np.ones((3, 6)),
            np.ones((2, 6)),
        )
    (stack,) = inspect_weights(tmp_path / "model.h5").grus.values()
    assert (stack[0].activation, stack[0].reset_after) == ("relu", False)


def test_a_config_with_very_many_layers():
    """The time must not grow with the product of layers and arrays."""
    layers = [
        {"class_name": "GRU", "config": {"name": f"g{i}", "units": 2}}
        for i in range(5_000)
    ]
    model = {"class_name": "Sequential", "config": {"name": "inner", "layers": layers}}
    both = {"class_name": "Sequential", "config": {"layers": [*layers, model]}}
    units = {f"model_weights/g{i}/g{i}": 2 for i in range(5_000)}
    start = time.process_time()
    stated = stated_grus(json.dumps(both), "2.3.1")
    assert len(match(units, stated)) == 5_000
    many = {f"model_weights/inner/g{i}": 2 for i in range(5_000)}
    assert not match(many, stated)
    assert time.process_time() - start < 10
