"""Files of named arrays: `.npz`, `.safetensors`, and what `torch.save` writes.

Nothing in them is ever run: no pickled objects, and of PyTorch's files only tensors.
"""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.packages import require_package

# What a file that is damaged, encrypted or of another kind makes readers raise.
_UNREADABLE = (ValueError, TypeError, LookupError, EOFError, OSError, RuntimeError)
_UNREADABLE += (MemoryError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError)


def load_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file.

    Raises:
        WeightsError: It cannot be read, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except _UNREADABLE as error:
        raise WeightsError(
            f"{path}: not an .npz file of plain numbers, or one cut short ({error}). "
            "Python objects in it are never loaded."
        ) from error


def load_safetensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.safetensors` file.

    Raises:
        WeightsError: It cannot be read, or has a dtype that NumPy lacks.
    """
    require_package("safetensors", ".safetensors files")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (*_UNREADABLE, SafetensorError, AttributeError) as error:
        raise WeightsError(
            f"{path}: not a .safetensors file of float16, float32 or float64, or one "
            f"cut short ({type(error).__name__}: {error})."
        ) from error


def load_torch(path: str | os.PathLike) -> dict[str, Any]:
    """Returns the tensors of a file that `torch.save` wrote, by dotted names.

    The file is read with `weights_only=True`: no code in it is run.

    Raises:
        WeightsError: It cannot be read, or holds something else than tensors.
    """
    require_package("torch", "PyTorch's files")
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < (2, 6):
        raise WeightsError(
            f"{path}: PyTorch {torch.__version__} can be made to run code that such a "
            "file holds, even with weights_only=True (CVE-2025-32434). Upgrade it: pip "
            "install --upgrade torch."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles, which are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no data"
        raise WeightsError(
            f"{path}: not a file of tensors that torch.save wrote, or one cut short "
            f"({reason}). Objects in it are never loaded: save model.state_dict()."
        ) from error
    if not isinstance(content, Mapping):
        raise WeightsError(
            f"{path}: expected a state_dict; it holds a {type(content).__name__}. Save "
            "model.state_dict()."
        )
    return _flat(content)


def _flat(content: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the tensors in dicts within dicts, by their names joined with dots."""
    flat: dict[str, Any] = {}
    pending = [("", content, 0)]
    while pending:
        prefix, mapping, depth = pending.pop(0)
        for name, value in mapping.items():
            if isinstance(value, Mapping) and depth < 20:
                pending.append((f"{prefix}{name}.", value, depth + 1))
            elif hasattr(value, "detach"):
                flat[f"{prefix}{name}"] = value
    return flat
