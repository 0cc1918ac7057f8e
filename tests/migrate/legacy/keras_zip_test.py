"""Files named .keras that are damaged, or not what they seem, get a clear error."""

import shutil
import struct
import zipfile

import h5py
import numpy as np
import pytest
from support import legacy_cases
from support.legacy_files import refuses

from tf_gru_addon import load_legacy_model


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
def test_a_spoilt_zip(keras_zip, tmp_path, member, content, words):
    path = tmp_path / "model.keras"
    _rewrite(keras_zip, path, lambda name, old: content if name == member else old)
    refuses(path, *words)


@pytest.mark.parametrize("part", [0.0, 0.3, 0.99])
def test_a_zip_cut_short(keras_zip, tmp_path, part):
    content = keras_zip.read_bytes()
    path = tmp_path / "model.keras"
    path.write_bytes(content[: int(len(content) * part)])
    refuses(path, "cut short", "get it again")


def test_a_zip_writes_nothing_anywhere(keras_zip, tmp_path):
    """Members with paths that lead elsewhere are not looked at."""
    path = tmp_path / "in" / "model.keras"
    path.parent.mkdir()
    shutil.copy(keras_zip, path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("../../escaped", "x")
        file.writestr("/escaped", "x")
    before = sorted(tmp_path.rglob("*"))
    load_legacy_model(path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_that_unfolds_without_end(keras_zip, tmp_path):
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
    while at >= 0:  # The flag of each member in the list at the end.
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

    def spoil(file):
        file["layers/gru/cell/vars/1"][:] = np.nan

    refuses(_with_weights(keras_zip, tmp_path, spoil), "(GRUCell)", "not a number")


def test_a_layer_in_two_models_of_one_zip(tf_keras, tmp_path):
    model, _ = legacy_cases.WHOLE["two_deep"](tf_keras)
    model.save(tmp_path / "model.keras")
    refuses(tmp_path / "model.keras", "shared by two models", "HDF5 instead")
