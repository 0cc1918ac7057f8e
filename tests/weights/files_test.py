"""Files of weights: recognised by content, and written completely or not at all."""

import os

import pytest
from support.harness import run_python
from support.random_weights import (
    random_stack,
    random_weights,
)

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)

BEFORE = random_weights(reset_after=False)
AFTER = random_weights()
LAYER = GRULayer(AFTER)


@pytest.mark.parametrize(
    ("format", "name"), [("npz", "gru"), ("npz", "gru.onnx"), ("torch", "gru.npz")]
)
def test_content_decides_the_format_and_not_the_name(tmp_path, format, name):
    write_weights(tmp_path / name, AFTER, format)
    assert read_weights(tmp_path / name) == (LAYER,)
    assert inspect_weights(str(tmp_path / name)).format == format


def test_a_file_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "gru.npz"
    exists = type(path).exists
    path.write_bytes(b"mine")
    # As if another process had just written the file.
    monkeypatch.setattr(type(path), "exists", lambda p: p != path and exists(p))
    with pytest.raises(FileExistsError, match="exists already"):
        write_weights(path, AFTER, "npz")
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["gru.npz"]


@pytest.mark.parametrize(
    ("format", "stack", "message"),
    [
        ("pt", AFTER, "format must be one of cudnn_gru, haiku, .*received: 'pt'"),
        ("torch", BEFORE, "PyTorch's GRU applies the reset gate after"),
        ("cudnn_gru", BEFORE, "CuDNNGRU applies the reset gate after"),
        (
            "cudnn_gru",
            GRULayer(AFTER, activation="relu"),
            "CuDNNGRU has the activation",
        ),
        (
            "tf1",
            GRULayer(BEFORE, recurrent_activation="relu"),
            "TensorFlow 1 cell has ",
        ),
        ("tf1", random_stack(units=(4, 4)), "one GRU that runs forward; received 2"),
        ("keras2", GRULayer(None, AFTER), r"received 1 layer\(s\), reverse"),
    ],
)
def test_stacks_that_a_format_cannot_hold(tmp_path, format, stack, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "gru", stack, format)
    assert not os.listdir(tmp_path)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: there is no such folder"):
        write_weights(tmp_path / "none" / "gru.npz", AFTER, "npz")


def test_activations_that_contradict_the_file(tmp_path):
    write_weights(tmp_path / "gru.npz", AFTER, "npz")
    assert read_weights(tmp_path / "gru.npz", activation="tanh") == (LAYER,)
    with pytest.raises(WeightsError, match="recurrent_activation is sigmoid in the fi"):
        read_weights(tmp_path / "gru.npz", recurrent_activation="hard_sigmoid")


def test_paths_that_are_not_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: there is no such file"):
        read_weights(tmp_path / "none")
    for folder in (tmp_path, ".", "/"):
        with pytest.raises(WeightsError, match="it is a folder"):
            read_weights(folder)


def test_importing_loads_only_numpy():
    run_python(
        "import sys, tf_gru_addon; before = set(sys.modules)\n"
        "import tf_gru_addon.weights\n"
        "ours = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert ours <= {'tf_gru_addon', *sys.stdlib_module_names}, ours"
    )
