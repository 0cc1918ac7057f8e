"""Files are recognised by their content; errors say what other files are."""

import os
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from support.random_weights import random_weights

from tf_gru_addon.weights import (
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.format import Candidate
from tf_gru_addon.weights.formats import FORMATS

AFTER = random_weights()


@pytest.fixture
def no_onnx(monkeypatch):
    """As if onnx were not installed."""
    monkeypatch.setitem(sys.modules, "onnx", None)


def graph_of_a_gru():
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.GRU(2, unroll=True)])
    function = tf.function(
        lambda x: model(x), input_signature=[tf.TensorSpec([1, 4, 3])]
    )
    return model, function


def test_a_litert_model(tmp_path, no_onnx):
    _, function = graph_of_a_gru()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()]
    )
    (tmp_path / "model.tflite").write_bytes(converter.convert())
    with pytest.raises(WeightsError, match=r"model.tflite: a LiteRT .*no weights can"):
        inspect_weights(tmp_path / "model.tflite")


def test_a_saved_model(tmp_path, no_onnx):
    model, function = graph_of_a_gru()
    tf.saved_model.save(model, str(tmp_path / "m"), signatures=function)
    for path in (tmp_path / "m", tmp_path / "m" / "saved_model.pb"):
        with pytest.raises(WeightsError, match=r"It is a SavedModel.*convert FOLDER"):
            inspect_weights(path)


def test_the_folder_and_the_parts_of_a_checkpoint(tmp_path):
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.GRU(2)])
    path = tf.train.Checkpoint(model).save(str(tmp_path / "model.ckpt"))
    why_not = FORMATS["tf1"].why_not(Candidate(Path(path)))
    assert why_not == "an object-based checkpoint of TensorFlow 2"
    with pytest.raises(WeightsError, match=rf"Give a checkpoint in it: {path}\."):
        inspect_weights(tmp_path)
    for ending in (".index", ".data-00000-of-00001"):
        with pytest.raises(WeightsError, match="a part of a TensorFlow checkpoint"):
            inspect_weights(path + ending)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.onnx", b"", "the file is empty"),
        ("empty", b"", "the file is empty"),
        ("a.bin", b"\x00", "no format recognises this file. .*keras: .*onnx: .*torch:"),
        ("a.txt", b"some text\n" * 9, "no format recognises this file"),
        ("a.npy", b"\x93NUMPY\x01\x00", "no format recognises this file"),
        ("a.pkl", b"\x80\x04\x95", "damaged, cut short"),
        ("model.json", b'{"class_name": "Model"}', "a JSON file"),
        ("model.textproto", b"ir_version: 8", "no format recognises this file"),
    ],
)
def test_other_files_are_refused(tmp_path, no_onnx, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{name}: .*{message}"):
        inspect_weights(tmp_path / name)


def test_the_current_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", "..", os.curdir + os.sep):
        with pytest.raises(WeightsError, match="it is a folder"):
            inspect_weights(path)


def test_a_zip_file_with_a_member_that_is_not_an_array(tmp_path):
    path = tmp_path / "gru.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("format", "tf_gru_addon")
    with pytest.raises(WeightsError, match=r"gru.npz: .*'format' is not in NumPy's"):
        inspect_weights(path)


@pytest.mark.peer
@pytest.mark.parametrize(
    "name", ["gru.onnx", "gru", "gru.json", "gru.textproto", "gru.onnxtxt", "gru.pt"]
)
def test_an_onnx_model_with_any_name(tmp_path, name):
    write_weights(tmp_path / name, AFTER, "onnx")
    assert read_weights(tmp_path / name)[0].forward == AFTER


@pytest.mark.peer
@pytest.mark.parametrize("content", [b"\x08\x08\x12\x03abc", b"{}", b"graph {}"])
def test_the_name_alone_does_not_make_an_onnx_model(tmp_path, content):
    (tmp_path / "gru.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match=r"gru.onnx: (not an ONNX model|a JSON)"):
        inspect_weights(tmp_path / "gru.onnx")


def test_names_with_control_characters(tmp_path):
    from tf_gru_addon.weights import torch_arrays

    arrays = {f"\x1b[31ma\x07b.{key}": a for key, a in torch_arrays(AFTER).items()}
    path = tmp_path / "gru.npz"
    np.savez(path, **arrays)
    file = inspect_weights(path)
    assert file.describe().startswith("a\\x07b, layer 0, forward: 3 features")
    with pytest.raises(WeightsError) as error:
        read_weights(path, "x\x1b[2Jy\x07")
    assert str(error.value).isprintable()


@pytest.mark.peer
def test_a_pickled_module_is_refused_in_plain_text(tmp_path):
    import torch

    torch.save(torch.nn.GRU(3, 4), tmp_path / "gru.pt")
    with pytest.raises(WeightsError, match=r"an object of torch.nn.*GRU\. Ot") as error:
        inspect_weights(tmp_path / "gru.pt")
    assert str(error.value).isprintable()
