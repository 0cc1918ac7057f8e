"""Models with invalid inputs or calls get a clear error."""

import json

import h5py
import pytest
from support.legacy_files import edit_config, refuses


def test_ragged_inputs(path):
    def edit(config):
        config["config"]["layers"][0]["config"]["ragged"] = True

    edit_config(path, edit)
    refuses(path, "'input_1' (InputLayer)", "ragged", "mask the padding")


def test_a_sequential_that_was_never_built(tf_keras, tmp_path):
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
def test_invalid_connections(path, node, word):
    def edit(config):
        config["config"]["layers"][-1]["inbound_nodes"] = [node]

    edit_config(path, edit)
    refuses(path, "'dense' (Dense)", word)
