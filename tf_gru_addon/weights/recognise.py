"""Which format a file has, or what it is if it holds no weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tf_gru_addon.reading import require_regular
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Reader

_SAVED_MODEL = (
    "It is a SavedModel, not a file of weights. If Keras saved it, load the model with "
    "tf_gru_addon.load_legacy_model or `tf-gru-addon convert FOLDER OUT.keras`, and "
    "convert the weights from there."
)


def recognised(path: Path, formats: Iterable[Format]) -> tuple[Format, Reader]:
    """Returns the first format that recognises a file, and its `read`.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: No format does. The message says what the file is, if that is
            known; otherwise why each format refused it.
    """
    candidate = Candidate(path)
    if candidate.variables is None:
        if path.is_dir():
            raise WeightsError(f"{path}: it is a folder. {_in_folder(path)}")
        if not require_regular(path):
            raise WeightsError(f"{path}: the file is empty.")
    reasons = []
    for format in formats:
        if format.why_not is not None and format.read is not None:
            reason = format.why_not(candidate)
            if reason is None:
                return format, format.read
            reasons.append(f"{format.name}: {reason}")
    if what := not_weights(path, candidate.start):
        raise WeightsError(f"{path}: {what}")
    raise WeightsError(
        f"{path}: no format recognises this file. {'; '.join(reasons)}. If a GRU's "
        "weights are in it, write them with numpy.savez under the names of PyTorch's "
        "state_dict."
    )


def _in_folder(path: Path) -> str:
    if (path / "saved_model.pb").exists():
        return _SAVED_MODEL
    checkpoints = [file.with_suffix("").name for file in sorted(path.glob("*.index"))]
    if checkpoints:
        return f"Give a checkpoint in it: {path / checkpoints[-1]}."
    return "Give a file, or a checkpoint's name."


def not_weights(path: Path, start: bytes) -> str | None:
    """Returns what to say about a file of a known kind that holds no weights.

    Args:
        path: The file.
        start: Its first 64 bytes.
    """
    if start[4:8] == b"TFL3":
        return (
            "a LiteRT (TensorFlow Lite) model. Its GRUs are spread over many "
            "operations and often quantized, so no weights can be taken from it. "
            "Convert the model that it was made from."
        )
    # A SavedModel: its version, then a MetaGraphDef, which begins with a message.
    if start.startswith(b"\x08\x01\x12") and b"\x0a" in start[4:9]:
        return _SAVED_MODEL
    if path.name.endswith(".index") or ".data-" in path.name:
        return (
            "a part of a TensorFlow checkpoint. Give the name without .index or "
            ".data-00000-of-00001, and keep all parts in one folder."
        )
    if start.lstrip().startswith(b"{"):
        return (
            "a JSON file, such as a model's architecture, which holds no weights. Give "
            "the file of the weights."
        )
    return None
