"""Configs that ask for what is not known, or must not be, get a clear error."""

import json
import os
import pathlib
import warnings

import h5py
import pytest
from support import legacy_cases
from support.legacy_files import edit_config, edit_gru, edit_layer, refuses

from tf_gru_addon import load_legacy_model


def test_code_is_never_run(tf_keras, tmp_path):
    """A Lambda that writes a file when it is called, and when it is loaded."""
    trace = str(tmp_path / "trace")

    def attack(x, trace=trace):
        pathlib.Path(trace).touch()
        return x

    model = tf_keras.Sequential(
        [tf_keras.layers.Lambda(attack, input_shape=(2,), name="innocent")]
    )
    os.unlink(trace)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in ("model.h5", "model.keras"):
            model.save(tmp_path / name)
            pathlib.Path(trace).unlink(missing_ok=True)
            refuses(tmp_path / name, "'innocent' (Lambda)", "code", "never run")
            assert not os.path.exists(trace)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_name": "system", "module": "os", "registered_name": "os>system"},
        {"class_name": "Popen", "module": "subprocess", "registered_name": None},
        {"class_name": "os.system"},
        {"class_name": "Dense", "module": "evil", "registered_name": "Dense"},
        {"class_name": "Dense", "module": "keras", "registered_name": "evil>Dense"},
        {"class_name": "__lambda__", "config": {"name": "x", "value": "4wEAAAA="}},
        {"class_name": "TensorFlowOpLayer"},
        {"class_name": "TFOpLambda", "module": "evil"},
    ],
)
def test_no_class_is_imported_by_its_name(path, changes):
    edit_layer(path, **changes)
    refuses(path, changes["class_name"], "custom_objects")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("recurrent_initializer", {"class_name": "Constant", "config": {"value": {}}}),
        ("bias_initializer", 7),
        ("units", {"class_name": "__numpy__", "config": {}}),
        ("dtype", "object"),
        ("dtype", {"class_name": "Policy", "config": {"name": "int8"}}),
        ("time_major", True),
        ("units", -1),
        ("swing", 3),
    ],
)
def test_arguments_that_are_not_known(path, argument, value):
    edit_gru(path, **{argument: value})
    refuses(path, "'cu_dnngru' (CuDNNGRU)", argument)


@pytest.mark.parametrize(
    ("argument", "value", "name"),
    [
        ("kernel_initializer", {"module": "os", "class_name": "system"}, "system"),
        ("kernel_regularizer", {"class_name": "function", "config": "exit"}, "exit"),
        ("bias_constraint", "os.system", "os.system"),
        ("recurrent_regularizer", {"class_name": "My>L3", "config": {"l": 1}}, "My>L3"),
    ],
)
def test_what_only_training_needs_is_left_out(path, argument, value, name):
    edit_gru(path, **{argument: value})
    with pytest.warns(UserWarning, match="loaded without") as caught:
        load_legacy_model(path)
    (warning,) = caught
    message = str(warning.message)
    for word in (str(path), f"{name!r} of layer 'cu_dnngru'", "custom_objects"):
        assert word in message, message
    assert warning.filename == __file__


@pytest.mark.parametrize(
    "activation",
    [
        "os.system",
        "keras_hard_sigmoid",
        {"module": "os", "class_name": "function", "config": "system"},
        {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
        7,
    ],
)
def test_activations_that_are_not_known(path, activation):
    def edit(config):
        config["config"]["layers"][-1]["config"]["activation"] = activation

    edit_config(path, edit)
    refuses(path, "'dense' (Dense)", "activation", "never run")


def test_time_major_says_what_to_do(tf_keras, tmp_path):
    model, _ = legacy_cases.gru(tf_keras, mask=False, time_major=True, name="major")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "model.h5")
    refuses(tmp_path / "model.h5", "'major' (GRU)", "time_major=True", "transpose")


def test_ragged_inputs(path):
    def edit(config):
        config["config"]["layers"][0]["config"]["ragged"] = True

    edit_config(path, edit)
    refuses(path, "'input_1' (InputLayer)", "ragged", "mask the padding")


def test_a_gru_whose_gates_are_not_named(path):
    def edit(config):
        config["config"]["layers"][1]["class_name"] = "GRU"

    edit_config(path, edit)
    refuses(path, "'cu_dnngru' (GRU)", "lacks recurrent_activation")


def test_a_class_of_the_users_own(path):
    edit_layer(path, "MyModel")
    refuses(path, "'dense' (MyModel)", "custom_objects", "Dense")
    edit_config(path, lambda config: {**config, "class_name": "MyModel"})
    refuses(path, "'model' (MyModel)", "rebuild the model")


def test_a_sequential_that_never_was_built(tf_keras, tmp_path):
    path = tmp_path / "model.h5"
    config = {"name": "s", "layers": [{"class_name": "Flatten", "config": {}}]}
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.2.4"
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": config}
        )
        file.create_group("model_weights").attrs["layer_names"] = []
    refuses(path, "does not say the shape of its inputs")


@pytest.mark.parametrize(
    ("node", "word"),
    [
        ([["nobody", 0, 0, {}]], "'nobody'"),
        ([["dense", 0, 0, {}]], "'dense'"),
        ([["cu_dnngru", 3, 0, {}]], "call 3"),
        ([["cu_dnngru", 0, 0, {"weird": 1}]], "weird=1"),
        ([["cu_dnngru", 0, 0, []]], "arguments must be"),
        ([7], "refers to no layer"),
    ],
)
def test_a_graph_that_does_not_close(path, node, word):
    def edit(config):
        config["config"]["layers"][-1]["inbound_nodes"] = [node]

    edit_config(path, edit)
    refuses(path, "'dense' (Dense)", word)


def write_config(path, text):
    """Writes a file with nothing but a config, which may be of any length."""
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["keras_version"] = "2.2.4"
        file.attrs["model_config"] = text
        file.create_group("model_weights").attrs["layer_names"] = []


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "not JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 200_000, "not JSON"),
        ("{}", "class_name"),
        ('{"class_name": "Sequential", "config": {"layers": []}}', "no layers"),
        ('{"class_name": "Sequential", "config": {"layers": 3}}', "layers"),
        ('{"class_name": "GRU", "config": {"name": "one"}}', "'one' (GRU) is no"),
    ],
)
def test_a_config_that_is_none(tmp_path, text, word):
    write_config(tmp_path / "model.h5", text)
    refuses(tmp_path / "model.h5", word)


@pytest.mark.parametrize("depth", [20, 200, 900])
def test_a_config_that_is_nested_deeply(tmp_path, depth):
    begin = '{"class_name": "TimeDistributed", "config": {"layer": '
    layer = begin * depth + '{"class_name": "Lambda", "config": {}}' + "}}" * depth
    text = f'{{"class_name": "Sequential", "config": [{layer}]}}'
    write_config(tmp_path / "model.h5", text)
    refuses(tmp_path / "model.h5")
