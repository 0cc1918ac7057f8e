"""Small files that claim much memory, and paths that are not regular files."""

import io
import itertools
import os
import shutil
import socket
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from support import fuzzing
from support.legacy_files import FIXTURES
from support.random_weights import random_weights

from tf_gru_addon import load_config, load_legacy_model
from tf_gru_addon.config import ConfigError, parse_config
from tf_gru_addon.datasets import DataError, Sequences, load_csv, load_npz
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.migrate.legacy import LegacyModelError
from tf_gru_addon.reading import Budget, FileRefusedError
from tf_gru_addon.reading.budget import FACTOR, FLOOR
from tf_gru_addon.weights import (
    WeightsError,
    inspect_weights,
    read_onnx,
    read_tf1_checkpoint,
    write_weights,
)
from tf_gru_addon.weights.formats.onnx_constants import Tensors

READERS = {
    inspect_weights: WeightsError,
    load_legacy_model: LegacyModelError,
    load_npz: DataError,
    load_csv: DataError,
    load_config: ConfigError,
}
EVERY_READER = pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
PEER = pytest.mark.peer


def refused(read, path, message, error=None):
    """Fails unless a file is refused quickly, in little memory, with its name."""
    with (
        fuzzing.bounded(),
        pytest.raises(error or READERS[read], match=message) as caught,
    ):
        read(path)
    assert str(path) in str(caught.value)


def test_a_budget():
    budget = Budget(1000)
    assert budget.limit == 1000 * FACTOR + FLOOR
    budget.take(budget.limit, "its array")
    with pytest.raises(
        FileRefusedError, match=r"its array claims 1 bytes, .* of 1000 b"
    ):
        budget.take(1, "its array")
    budget.grow(1)
    budget.take(FACTOR, "its array")


# Paths that are not regular files.


@pytest.fixture
def special(tmp_path):
    """Returns special files by kind."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    (tmp_path / "circle").symlink_to("circle")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        yield {
            "this is a named pipe": tmp_path / "pipe",
            "this is a device": tmp_path / "link",
            "this is a socket": tmp_path / "socket",
            "it cannot be opened": tmp_path / "circle",
        }


@EVERY_READER
def test_special_files(special, read):
    for message, path in special.items():
        refused(read, path, message)


def test_special_files_as_parts(special, tmp_path):
    pipe = special["this is a named pipe"]
    write_weights(tmp_path / "model", random_weights(reset_after=False), "tf1")
    (data,) = tmp_path.glob("model.data-*")
    data.unlink()
    data.symlink_to(pipe)
    refused(inspect_weights, tmp_path / "model", "this is a named pipe")
    refused(read_tf1_checkpoint, tmp_path / "model", "named pipe", WeightsError)


def test_special_files_on_the_command_line(call, special, tmp_path):
    pipe = special["this is a named pipe"]
    keras = pipe.with_name("pipe.keras")
    pipe.rename(keras)
    for arguments in [
        ("inspect", keras),
        ("convert", keras, tmp_path / "new.keras"),
        ("convert", keras, tmp_path / "new.npz"),
        ("export", "--model", keras, "--output", tmp_path / "new"),
        ("train", "--config", keras, "--workdir", tmp_path / "new"),
    ]:
        with fuzzing.bounded():
            code, _, err = call(*arguments)
        assert code == 2
        assert "this is a named pipe" in err


# Zip files.


def zip_of(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


#: The name of an array by which PyTorch's format recognises an `.npz` file.
HH = "weight_hh_l0.npy"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({HH: npy(np.zeros(2 * 10**8, "u1"))}, rf"'{HH}' claims 200000128 bytes"),
        (
            {f"x{i}.{HH}": npy(np.zeros(10**6, "u1")) for i in range(99)},
            r"'x\d+.weight_hh_l0' claims 3000000 bytes",
        ),
        ({"model.weights.h5": bytes(2 * 10**8)}, "'model.weights.h5' claims 200000000"),
        ({HH: npy(np.zeros(9))[:-8]}, r"_hh_l0' claims the shape \(9,\) of float64"),
        ({HH: b"text"}, "'weight_hh_l0' is not in NumPy's format"),
        ({"format": b"text"}, "'format' is not in NumPy's format"),
        ({HH: b"\x93NUMPY\x09\0" + bytes(99)}, "version"),
    ],
)
def test_npz_files(tmp_path, members, message):
    path = zip_of(tmp_path / "x.npz", members)
    assert path.stat().st_size < 10**6
    refused(inspect_weights, path, message)


def test_an_array_that_claims_terabytes(tmp_path):
    content = npy(np.zeros(3))
    header = content[:128].replace(b"'shape': (3,)", b"'shape': (12345678901234,)")
    header = header[:127].rstrip().ljust(127)[:127] + b"\n"
    path = zip_of(tmp_path / "x.npz", {"frames.npy": header + content[128:]})
    refused(load_npz, path, r"'frames' claims the shape \(12345678901234,\)")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(tmp_path, method):
    """Python decompresses these without a limit."""
    for name in (HH, "model.weights.h5"):
        path = zip_of(tmp_path / "x.keras", {name: b"x" * 99}, method)
        refused(inspect_weights, path, "only stored and deflated members are read")
    path = zip_of(tmp_path / "x.npz", {"frames.npy": npy(np.ones(9))}, method)
    refused(load_npz, path, "only stored and deflated members are read")
    path = zip_of(tmp_path / "y.keras", {"model.weights.h5": b"x" * 99}, method)
    refused(load_legacy_model, path, "only stored and deflated members are read")


@pytest.mark.parametrize("name", ["model.weights.h5", "config.json"])
def test_keras_files(call, tmp_path, name):
    path = zip_of(tmp_path / "x.keras", {name: bytes(2 * 10**8)})
    with fuzzing.bounded():
        code, _, err = call("export", "--model", path, "--output", tmp_path / "new")
    assert code == 2
    assert f"'{name}' claims 200000000 bytes" in err
    assert str(path) in err


@pytest.fixture
def edited(tmp_path):
    """Returns a `.keras` file with an edited config."""

    def edit(old, new):
        path = tmp_path / "model.keras"
        layers = [keras.layers.Dense(4, activation="relu"), GRU(4)]
        keras.Sequential([keras.Input((None, 3)), *layers]).save(path)
        with zipfile.ZipFile(path) as file:
            members = {name: file.read(name) for name in file.namelist()}
        config = members["config.json"]
        assert old in config
        return zip_of(path, members | {"config.json": config.replace(old, new)})

    return edit


def test_a_config_of_a_large_model(call, edited, tmp_path):
    path = edited(b'"units": 4', b'"units": 50000')
    with fuzzing.bounded():
        code, _, err = call("export", "--model", path, "--output", tmp_path / "new")
    assert code == 2
    assert f"{path}: the model that config.json describes claims " in err


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"module": "keras.layers", "class_name": "Dense"', b"os system"),
        (b'"module": "keras.layers", "class_name": "Dense"', b"keras.utils get_file"),
        (b'"module": "keras.layers", "class_name": "Dense"', b"builtins exec"),
    ],
)
def test_a_config_that_names_other_classes_than_layers(
    call, edited, tmp_path, old, new
):
    module, name = new.decode().split()
    path = edited(old, f'"module": "{module}", "class_name": "{name}"'.encode())
    code, _, err = call("export", "--model", path, "--output", tmp_path / "new")
    assert code == 2
    assert f"{path}: its config names {name!r} of the module {module!r}" in err


# HDF5 files that the HDF5 checks accept.


def test_an_array_listed_often(tmp_path):
    path = tmp_path / "model.h5"
    shutil.copy(FIXTURES / "keras2_gru.h5", path)
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        group = next(g for g in weights.values() if len(g.attrs["weight_names"]))
        names = list(group.attrs["weight_names"])
        group.attrs["weight_names"] = [names[0]] * 150
    refused(load_legacy_model, path, "lists an array twice")


# Data sets.


def test_very_unequal_lengths(tmp_path):
    lengths = np.ones(45_000, int)
    lengths[7] = 45_000
    arrays = {
        "frames": np.zeros((lengths.sum(), 1), "f4"),
        "lengths": lengths,
        "labels": np.zeros(45_000, int),
    }
    path = tmp_path / "data.npz"
    np.savez_compressed(path, **arrays)
    refused(load_npz, path, "padded to the longest, which has 45000 frames")
    lengths = [10**6, *[1] * 10**4]
    frames, labels = np.ones((sum(lengths), 1), "f4"), [0] * len(lengths)
    with fuzzing.bounded(), pytest.raises(DataError, match="Truncate or remove"):
        Sequences.from_packed(frames, lengths, labels)


def test_unequal_lengths():
    lengths = [2000, *[50] * 500]
    frames = np.ones((sum(lengths), 2))
    data = Sequences.from_packed(frames, lengths, [0] * len(lengths))
    assert data.frames.shape == (501, 2000, 2)


# Configs.


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: " + "1:" * 40_000 + "1", r"line 1: .* a YAML int of 80001 characters"),
        ("a: " + "1:" * 40_000 + "1.5", "a YAML float of 80003 characters"),
        ("a: 0x" + "f" * 1000, "a YAML int of 1002 characters"),
        ("a: " + "1" * 10**6, "a config has at most 131072 characters"),
        ("a: &x [1]\nb: [*x, *x]", "aliases .* are not supported"),
        ("[" * 10**5, "nested too deeply"),
        (
            "a:\n" + "".join(f"{' ' * i}a:\n" for i in range(1, 400)),
            "nested too deeply",
        ),
        (f"a: {'[' * 60}{']' * 60}", "nested more than 50 deep"),
        (
            "a: !!python/object/apply:os.system [ls]",
            "could not determine a constructor",
        ),
    ],
)
def test_configs(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    refused(load_config, path, message)


def test_a_config_of_thousands_of_layers():
    layers = [{"Dense": {"units": 1}}] * 3000
    content = {"model": {"features": 1, "layers": layers}, "training": {"epochs": 1}}
    with fuzzing.bounded(), pytest.raises(ConfigError, match="at most 200 entries"):
        parse_config(content | {"data": {"dataset": "japanese_vowels"}})


TINY = Path(__file__).parents[2] / "configs" / "tiny.yaml"


def test_an_override_with_a_long_index():
    override = f"model.layers[{'1' * 5000}]=1"
    with pytest.raises(ConfigError, match=r"index of an entry, 0\.\.\d; got '111"):
        load_config(TINY, [override])
    override = f"{'a.' * 5000}a=1"
    with pytest.raises(ConfigError, match="nested more than 50 deep"):
        load_config(TINY, [override])


# Files that only a framework can write.


@PEER
@pytest.mark.parametrize("legacy", [False, True])
def test_dicts_that_contain_themselves(tmp_path, legacy):
    import torch

    path = tmp_path / "gru.pt"
    itself = {}
    itself |= {"a": itself, "b": itself, "c": itself}
    shared = {"x": torch.ones(1)}
    for _ in range(25):
        shared = {"a": shared, "b": shared}
    for content in (itself, shared):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert path.stat().st_size < 10_000
        refused(inspect_weights, path, "Expected the arrays of an nn.GRU")


@PEER
def test_tensors_that_repeat_their_numbers(tmp_path):
    import torch

    path = tmp_path / "gru.pt"
    torch.save({"weight_hh_l0": torch.ones(1).expand(60000, 20000)}, path)
    assert path.stat().st_size < 10_000
    refused(
        inspect_weights, path, r"\(60000, 20000\) needs 4800000000 bytes.* holds 4\."
    )
    one = torch.ones(4096, 64)
    torch.save({f"x{index}": one for index in range(400)}, path)
    refused(inspect_weights, path, r"the tensor 'x\d+' claims 1048576 bytes")


@PEER
def test_a_long_chain_of_onnx_nodes(tmp_path):
    from onnx import helper

    from tf_gru_addon.weights import to_onnx

    for kind, count in [("Identity", 20_000), ("Squeeze", 10_001)]:
        model = to_onnx(random_weights())
        del model.graph.initializer[0]
        names = ["V", *(f"v{i}" for i in range(count)), "W"]
        shape = (1, 12, 3)
        tensor = helper.make_tensor("V", 1, shape, np.ones(shape, "f4").ravel())
        model.graph.initializer.append(tensor)
        for name, output in itertools.pairwise(names):
            model.graph.node.append(helper.make_node(kind, [name], [output]))
        start = time.monotonic()
        if kind == "Identity":
            assert (read_onnx(model)["gru"].forward.kernel == 1).all()
        else:
            with pytest.raises(WeightsError, match="more than 10000 nodes compute"):
                read_onnx(model)
        assert time.monotonic() - start < 15


@PEER
def test_external_data_that_is_not_a_file(tmp_path):
    from onnx import TensorProto

    from tf_gru_addon.weights import to_onnx

    model = to_onnx(random_weights())
    tensor = model.graph.initializer[0]
    tensor.data_location = 1
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "data"
    path = tmp_path / "gru.onnx"
    path.write_bytes(model.SerializeToString())
    os.mkfifo(tmp_path / "data")
    refused(read_onnx, path, "this is a named pipe", WeightsError)
    # Many arrays may share the same bytes of one file: each counts.
    (tmp_path / "data").unlink()
    (tmp_path / "data").write_bytes(bytes(10**6))
    tensors = Tensors(path.stat().st_size, str(tmp_path))
    tensor.ClearField("raw_data")
    tensor.dims[:] = [250_000]
    content = tensor.SerializeToString()

    def read(times):
        for _ in range(times):
            tensors.array(TensorProto.FromString(content))

    read(100)
    with pytest.raises(FileRefusedError, match="external data of 'W' claims 1000000 b"):
        read(100)


@PEER
@pytest.mark.parametrize("name", ["gru.json", "gru.textproto", "gru.onnxtxt"])
def test_names_do_not_choose_the_parser(tmp_path, name):
    from tf_gru_addon.weights import to_onnx

    model = to_onnx(random_weights())
    (tmp_path / name).write_bytes(model.SerializeToString())
    assert inspect_weights(tmp_path / name).format == "onnx"
    (tmp_path / name).write_text('{"a": 1}')
    refused(inspect_weights, tmp_path / name, "a JSON file, such as a model's")
