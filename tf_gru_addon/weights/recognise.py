"""Telling what a file is by its content."""

from __future__ import annotations

from pathlib import Path

from tf_gru_addon.reading import require_regular
from tf_gru_addon.weights.errors import WeightsError

_KNOWN = (
    ".npz, PyTorch (.pt, .pth, .safetensors), ONNX (.onnx), HDF5 and .keras files of "
    "Keras, and TensorFlow 1 checkpoints (by the name without .index)"
)
#: The suffixes of ONNX models, also of those whose suffix chooses another encoding.
_ONNX_SUFFIXES = (".onnx", ".onnxtxt")


def kind_of(path: Path) -> str:
    """Returns what kind of file there is.

    Returns:
        "tf1", "hdf5", "zip", "torch", "safetensors" or "onnx".

    Raises:
        FileNotFoundError: There is nothing.
        WeightsError: It is none of these; the message says what it is, or what there
            could be.
    """
    if path.name and path.with_name(f"{path.name}.index").exists():
        return "tf1"
    if path.is_dir():
        raise WeightsError(f"{path}: it is a folder. {_in_folder(path)}")
    if not require_regular(path):
        raise WeightsError(f"{path}: the file is empty.")
    with path.open("rb") as stream:
        start = stream.read(64)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "hdf5"
    if start.startswith(b"PK"):
        return "zip"
    if start.startswith(b"\x80"):
        return "torch"
    if start[8:9] == b"{":
        return "safetensors"
    if reason := _other(path, start):
        raise WeightsError(f"{path}: {reason}")
    if path.suffix.lower() in _ONNX_SUFFIXES or _is_onnx(start):
        return "onnx"
    raise WeightsError(f"{path}: a file of no known format. Known: {_KNOWN}.")


def _in_folder(path: Path) -> str:
    if (path / "saved_model.pb").exists():
        return _SAVED_MODEL
    checkpoints = [file.with_suffix("").name for file in sorted(path.glob("*.index"))]
    if checkpoints:
        return f"Give a checkpoint in it: {path / checkpoints[-1]}."
    return "Give a file, or a checkpoint's name."


_SAVED_MODEL = (
    "It is a SavedModel, which is no file of weights. If Keras saved it, "
    "tf_gru_addon.load_legacy_model, or `tf-gru-addon convert FOLDER OUT.keras`, loads "
    "the model; convert the weights from there."
)


def _other(path: Path, start: bytes) -> str | None:
    """Returns what to say of a file that is known, and is no file of weights."""
    if start[4:8] == b"TFL3":
        return (
            "a LiteRT (TensorFlow Lite) model. Its GRUs are spread over many "
            "operations and often quantized, so no weights can be taken from it. "
            "Convert them from the model that it was made of."
        )
    # A version, and then a MetaGraphDef, which begins with a message.
    if start.startswith(b"\x08\x01\x12") and b"\x0a" in start[4:9]:
        return _SAVED_MODEL
    if path.name.endswith(".index") or ".data-" in path.name:
        return (
            "a part of a TensorFlow checkpoint. Give the name without .index or "
            ".data-00000-of-00001, with all parts beside each other."
        )
    if start.lstrip().startswith(b"{"):
        return (
            "a JSON file, such as a model's architecture, which holds no weights. Give "
            "the file of the weights."
        )
    return None


def _is_onnx(start: bytes) -> bool:
    """Whether the first fields are a ModelProto's: the version, then one of the next.

    Those are the producer, its version, a domain, ..., the graph, the operators.
    """
    fields = b"\x12\x1a\x22\x28\x32\x3a\x42"
    return len(start) > 2 and start[0] == 8 and 0 < start[1] < 64 and start[2] in fields
