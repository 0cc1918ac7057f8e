"""HDF5 and .keras files that are damaged or misleading get a clear error."""

import shutil
import struct
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
from support import legacy_cases
from support.legacy_files import edit_gru, refuses

from tf_gru_addon import load_legacy_model


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_legacy_model(tmp_path / "model.h5")


@pytest.mark.parametrize(
    "content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 90]
)
def test_a_file_that_is_not_hdf5(tmp_path, content):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    refuses(path, "cannot be read", "get it again")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_cut_short(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refuses(path, "cannot be read", "cut short")


def test_another_hdf5_file(tmp_path):
    h5py.File(tmp_path / "data.h5", "w").close()
    refuses(tmp_path / "data.h5", "no Keras model", "model_config")


def test_keras_3(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    refuses(tmp_path / "model.keras", "Keras 3", "keras.saving.load_model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "model.h5")
    refuses(tmp_path / "model.h5", "Keras 3", "keras.saving.load_model")


@pytest.mark.parametrize("version", ["0.3", "2.x", "4.0.0", "two"])
def test_an_unknown_version(path, version):
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    refuses(path, version, "supported are the versions 1 and 2")


GRU = "model_weights/cu_dnngru"


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def test_a_missing_array(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/bias:0"]
    refuses(path, "'cu_dnngru/bias:0' is missing")


def test_a_file_with_the_arrays_of_another_layer(path):
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        weights.copy("cu_dnngru", "other")
        names = weights.attrs["layer_names"].tolist()
        weights.attrs["layer_names"] = [*map(_text, names), "other"]
    refuses(path, "arrays for 'other'", "no such layer")


def test_a_missing_group(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]
    refuses(path, "group of the layer 'cu_dnngru' is missing")


def test_links_are_not_followed(path, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["kernel"] = np.ones((3, 15), "float32")
    for link in (
        h5py.ExternalLink(str(tmp_path / "secret.h5"), "kernel"),
        h5py.SoftLink("/model_weights/dense/dense/kernel:0"),
    ):
        with h5py.File(path, "r+") as file:
            del file[GRU]["cu_dnngru/kernel:0"]
            file[GRU]["cu_dnngru/kernel:0"] = link
        refuses(path, "is a soft or external link", "not followed")


def test_numbers_in_another_file_are_not_read(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 180)
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/kernel:0"]
        file[GRU].create_dataset(
            "cu_dnngru/kernel:0",
            (3, 15),
            "float32",
            external=[(str(secret), 0, 180)],
        )
    refuses(path, "lie in another file", "not read")


def test_an_array_without_its_data(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/kernel:0"]
        file[GRU].create_dataset("cu_dnngru/kernel:0", (10**7, 10**5), "float32")
    refuses(path, "claims 4000000000000 bytes")


@pytest.mark.parametrize("units", [10**9, 10**30])
def test_a_layer_that_is_larger_than_the_file(path, units):
    edit_gru(path, units=units)
    refuses(path, "'cu_dnngru'")


def _rewrite(source, target, edit):
    """Writes a zip again with some members changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            content = edit(info.filename, old.read(info))
            if content is not None:
                new.writestr(info.filename, content)


@pytest.mark.parametrize(
    ("member", "content", "words"),
    [
        ("config.json", None, ["without config.json"]),
        ("metadata.json", None, ["without metadata.json"]),
        ("model.weights.h5", None, ["without model.weights.h5"]),
        ("model.weights.h5", b"nothing", ["cannot be read"]),
        ("config.json", b"{", ["not JSON"]),
        ("metadata.json", b'{"keras_version": "3.1.0"}', ["keras.saving.load_model"]),
    ],
)
def test_a_damaged_zip(keras_zip, tmp_path, member, content, words):
    path = tmp_path / "model.keras"
    _rewrite(keras_zip, path, lambda name, old: content if name == member else old)
    refuses(path, *words)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_zip_cut_short(keras_zip, tmp_path, part):
    content = keras_zip.read_bytes()
    path = tmp_path / "model.keras"
    path.write_bytes(content[: int(len(content) * part)])
    refuses(path, "cut short", "get it again")


def test_a_zip_member_with_a_path_is_not_extracted(keras_zip, tmp_path):
    """Members whose paths lead out of the archive are ignored."""
    path = tmp_path / "in" / "model.keras"
    path.parent.mkdir()
    shutil.copy(keras_zip, path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../../escaped", "x")
        file.writestr("/escaped", "x")
    before = sorted(tmp_path.rglob("*"))
    load_legacy_model(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_bomb(keras_zip, tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        new.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        new.writestr("config.json", b" " * (1 << 27))
        with zipfile.ZipFile(keras_zip) as old:
            new.writestr("model.weights.h5", old.read("model.weights.h5"))
    refuses(path, "'config.json' claims", "not what it seems")


def test_an_encrypted_zip(keras_zip, tmp_path):
    content = bytearray(keras_zip.read_bytes())
    at = content.find(b"PK\x01\x02")
    while at >= 0:  # The flag of each member in the central directory.
        (flags,) = struct.unpack_from("<H", content, at + 8)
        struct.pack_into("<H", content, at + 8, flags | 1)
        at = content.find(b"PK\x01\x02", at + 1)
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    refuses(path, "cannot be read", "encrypted")


def _with_weights(keras_zip, tmp_path, edit):
    path = tmp_path / "model.keras"
    weights = tmp_path / "weights.h5"
    with zipfile.ZipFile(keras_zip) as file:
        weights.write_bytes(file.read("model.weights.h5"))
    with h5py.File(weights, "r+") as file:
        edit(file)
    content = weights.read_bytes()
    _rewrite(
        keras_zip,
        path,
        lambda name, old: content if name == "model.weights.h5" else old,
    )
    return path


def test_arrays_of_a_zip(keras_zip, tmp_path):
    def drop(file):
        del file["layers/gru/cell/vars/2"]

    refuses(
        _with_weights(keras_zip, tmp_path, drop), "(GRUCell)", "3 arrays", "holds 2"
    )

    def add(file):
        file["layers/dense/vars/0"] = np.ones(3)

    refuses(_with_weights(keras_zip, tmp_path, add), "'layers/dense'", "no such layer")

    def damage(file):
        file["layers/gru/cell/vars/1"][:] = np.nan

    refuses(_with_weights(keras_zip, tmp_path, damage), "(GRUCell)", "not a number")


def test_a_layer_in_two_models_of_one_zip(tf_keras, tmp_path):
    model, _ = legacy_cases.WHOLE["two_deep"](tf_keras)
    model.save(tmp_path / "model.keras")
    refuses(tmp_path / "model.keras", "shared by two models", "HDF5 instead")
