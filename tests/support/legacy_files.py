"""Spoiling model files, and what is to come of it."""

import json
import pathlib

import h5py
import pytest

from tf_gru_addon import load_legacy_model
from tf_gru_addon.migrate.legacy import LegacyModelError

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"


def refuses(path, *words, **options):
    """Fails unless loading says which file it is and every one of the words."""
    with pytest.raises(LegacyModelError) as caught:
        load_legacy_model(path, **options)
    message = str(caught.value)
    for word in (str(path), *words):
        assert word in message, message


def edit_config(path, edit):
    """Changes the config of an HDF5 file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config = edit(config) or config
        file.attrs["model_config"] = json.dumps(config)


def gru_config(config):
    return config["config"]["layers"][1]["config"]


def edit_gru(path, **changes):
    edit_config(path, lambda config: gru_config(config).update(changes))


def edit_layer(path, class_name, **changes):
    """Gives the last layer of a file another class."""

    def edit(config):
        layer = config["config"]["layers"][-1]
        layer["class_name"] = class_name
        layer |= changes

    edit_config(path, edit)
