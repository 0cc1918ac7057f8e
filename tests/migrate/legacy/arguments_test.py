"""Unsupported arguments get a clear error, or are left out with a warning."""

import warnings

import pytest
from support import legacy_cases
from support.legacy_files import edit_config, edit_gru, refuses

from tf_gru_addon import load_legacy_model


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
def test_unknown_arguments(path, argument, value):
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
def test_arguments_that_only_training_needs_are_left_out(path, argument, value, name):
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
def test_unknown_activations(path, activation):
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


def test_a_gru_without_a_recurrent_activation(path):
    def edit(config):
        config["config"]["layers"][1]["class_name"] = "GRU"

    edit_config(path, edit)
    refuses(path, "'cu_dnngru' (GRU)", "lacks recurrent_activation")
