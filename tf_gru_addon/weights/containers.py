"""Reads files of named arrays: `.npz`, `.safetensors`, and those of `torch.save`.

No code in a file is ever run: pickled objects are refused, and PyTorch's files may hold
only tensors.
"""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_gru_addon.reading import Budget, FileRefusedError, boundary
from tf_gru_addon.reading.zip_file import open_npz, open_zip
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.packages import require_package


def is_npz(path: str | os.PathLike[str]) -> bool:
    """Tells whether a zip file is an `.npz`, and not one that `torch.save` wrote."""
    with open_zip(path) as file:
        return not any(name.endswith("/data.pkl") for name in file.names)


def load_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of an `.npz` file by name.

    Raises:
        WeightsError: It cannot be read, or contains Python objects.
    """
    what = "not an .npz file of plain numbers, or one cut short"
    with boundary(path, WeightsError, what), open_npz(path) as file:
        return dict(file)


def load_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.safetensors` file by name.

    Raises:
        WeightsError: It cannot be read, or has a dtype that NumPy lacks.
        ImportError: safetensors is not installed.
    """
    require_package("safetensors", ".safetensors files")
    from safetensors.numpy import load_file

    what = "not a .safetensors file of float16, float32 or float64, or one cut short"
    with boundary(path, WeightsError, what):
        Budget.of(path)
        return load_file(path)


def load_torch(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the tensors of a file that `torch.save` wrote, by dotted names.

    The file is read with `weights_only=True`: no code in it is run.

    Raises:
        WeightsError: It cannot be read, or contains other objects than tensors.
        ImportError: PyTorch is not installed.
    """
    require_package("torch", "PyTorch's files")
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < (2, 6):
        raise WeightsError(
            f"{path}: PyTorch {torch.__version__} can be made to run code in such a "
            "file, even with weights_only=True (CVE-2025-32434). Upgrade it: pip "
            "install --upgrade torch."
        )
    what = "not a file of tensors that torch.save wrote, or one cut short"
    remedy = "Other objects are never loaded: save model.state_dict()."
    with boundary(path, WeightsError, what, remedy):
        if zipfile.is_zipfile(path):
            with open_zip(path) as file:
                file.check_all()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles, which are refused
            try:
                content = torch.load(path, map_location="cpu", weights_only=True)
            except pickle.UnpicklingError as error:
                # PyTorch's own message is long, and tells how to run the code.
                if found := re.search(r"GLOBAL (\S+)", str(error)):
                    raise WeightsError(
                        f"{path}: not a file of tensors: it contains an object of "
                        f"{found[1]}. {remedy}"
                    ) from error
                raise
        if not isinstance(content, Mapping):
            raise WeightsError(
                f"{path}: expected a state_dict; it holds a {type(content).__name__}. "
                "Save model.state_dict()."
            )
        return _flat(content, Budget.of(path))


def _flat(content: Mapping[Any, Any], budget: Budget) -> dict[str, Any]:
    """Returns the tensors of nested dicts, by their keys joined with dots."""
    flat: dict[str, Any] = {}
    pending = deque([("", content, 0)])
    seen = {id(content)}  # Dicts can be cyclic, or share others many times.
    while pending:
        prefix, mapping, depth = pending.popleft()
        for name, value in mapping.items():
            if isinstance(value, Mapping) and depth < 20:
                if id(value) not in seen:
                    seen.add(id(value))
                    pending.append((f"{prefix}{name}.", value, depth + 1))
            elif hasattr(value, "detach"):
                _check_tensor(value, f"{prefix}{name}", budget)
                flat[f"{prefix}{name}"] = value
    return flat


def _check_tensor(tensor: Any, name: str, budget: Budget) -> None:
    """Refuses a tensor whose shape claims more numbers than the file holds."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return  # It has no storage. If it is one of a GRU, reading it is an error.
    size = tensor.numel() * tensor.element_size()
    stored = tensor.untyped_storage().nbytes()
    if size > stored:
        raise FileRefusedError(
            f"the tensor {name!r} of shape {tuple(tensor.shape)} needs {size} bytes, "
            f"but the file holds {stored}. Save a contiguous copy."
        )
    budget.take(size, f"the tensor {name!r}")
