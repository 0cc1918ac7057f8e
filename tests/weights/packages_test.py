"""The errors for a format whose package is missing."""

import sys

import pytest
from support.random_weights import random_weights

from tf_gru_addon.weights import (
    inspect_weights,
    read_onnx,
    to_onnx,
    to_torch,
    write_weights,
)


@pytest.mark.parametrize(
    ("package", "call"),
    [
        ("onnx", lambda path: to_onnx(random_weights())),
        ("onnx", lambda path: read_onnx(path)),
        ("onnx", lambda path: inspect_weights(path)),
        ("torch", lambda path: to_torch(random_weights())),
        ("torch", lambda path: write_weights(path + ".pt", random_weights(), "torch")),
        (
            "safetensors",
            lambda path: write_weights(
                path + ".safetensors", random_weights(), "torch"
            ),
        ),
    ],
)
def test_the_error_says_what_to_install(monkeypatch, tmp_path, package, call):
    monkeypatch.setitem(sys.modules, package, None)
    path = tmp_path / "gru"
    path.write_bytes(b"\x08\x08\x12\x03abc")  # the first bytes of an ONNX model
    with pytest.raises(ImportError, match=rf"need the package {package}.*pip install"):
        call(str(path))
    assert [file.name for file in tmp_path.iterdir()] == ["gru"]


@pytest.mark.parametrize(
    ("package", "content"),
    [
        ("torch", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."),
        ("safetensors", b"\x09" + b"\0" * 7 + b"{      }"),
    ],
)
def test_a_file_of_the_format(monkeypatch, tmp_path, package, content):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "gru").write_bytes(content)
    with pytest.raises(ImportError, match=f"need the package {package}"):
        inspect_weights(tmp_path / "gru")
