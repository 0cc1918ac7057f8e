"""Loading of model files of Keras 2, intact and damaged."""

import json
import pathlib

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from support import legacy_cases
from support.harness import assert_close

from tf_gru_addon import load_legacy_model
from tf_gru_addon.migrate.legacy import LegacyModelError

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
KERAS_3_3 = keras.__version__.startswith("3.3.")
#: A `pytestmark` that allows Keras 2's warnings about old formats, and Keras 3's about
#: masks.
ALLOW_WARNINGS = [
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5"),
    pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask"),
]


def outputs(model, x):
    """Returns the outputs of a model as a list of arrays."""
    return [np.asarray(y) for y in tf.nest.flatten(model(x))]


def assert_loads_the_same(model, x, *paths):
    """Saves a Keras 2 model in every format, loads each file and compares.

    Returns:
        The model loaded from the first file.
    """
    expected, loaded = outputs(model, x), []
    for path in paths:
        model.save(path)
        loaded.append(load_legacy_model(path, {"Probe": legacy_cases.probe(keras)}))
        for actual, number in zip(outputs(loaded[-1], x), expected, strict=True):
            assert_close(actual, number)
    return loaded[0]


def refuses(path, *words, **options):
    """Fails unless loading raises an error with the path and all of the words."""
    with pytest.raises(LegacyModelError) as caught:
        load_legacy_model(path, **options)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message, message


def edit_config(path, edit):
    """Changes the config in an HDF5 file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config = edit(config) or config
        file.attrs["model_config"] = json.dumps(config)


def gru_config(config):
    return config["config"]["layers"][1]["config"]


def edit_gru(path, **changes):
    edit_config(path, lambda config: gru_config(config).update(changes))


def edit_layer(path, class_name, **changes):
    """Changes the class, and more, of the last layer in a file."""

    def edit(config):
        layer = config["config"]["layers"][-1]
        layer["class_name"] = class_name
        layer |= changes

    edit_config(path, edit)
