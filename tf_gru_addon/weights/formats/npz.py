"""This package's own file: an `.npz` in the canonical layout.

    format                   "tf_gru_addon"
    0.forward.kernel         (features, 3 * units); the others as in `GRUWeights`
    0.forward.reset_after    a bool
    0.activation             a name; likewise 0.recurrent_activation

The number is the layer's index. The file holds every stack without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tf_gru_addon.reading.zip_file import open_npz
from tf_gru_addon.weights.arrays import arrays_named
from tf_gru_addon.weights.containers import load_npz
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Stack
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.weights_file import WeightsFile

MARK = "tf_gru_addon"
_ARRAYS = ("kernel", "recurrent_kernel", "bias")


def to_npz_arrays(stack: Stack) -> dict[str, np.ndarray]:
    """Returns the arrays of the file by name."""
    arrays: dict[str, np.ndarray] = {"format": np.array(MARK)}
    for index, layer in enumerate(stack):
        for way in ("forward", "backward"):
            weights = getattr(layer, way)
            if weights is not None:
                scope = f"{index}.{way}."
                arrays[scope + "reset_after"] = np.array(weights.reset_after)
                for name, array in zip(_ARRAYS, weights.arrays(), strict=False):
                    arrays[scope + name] = array
        for name in ("activation", "recurrent_activation"):
            arrays[f"{index}.{name}"] = np.array(getattr(layer, name))
    return arrays


def from_npz_arrays(arrays: Mapping[str, np.ndarray]) -> Stack:
    """Returns the stack that a file's arrays describe.

    Raises:
        WeightsError: An array is missing, surplus or of another shape.
    """
    rest = {name: array for name, array in arrays.items() if name != "format"}
    layers: list[GRULayer] = []
    while any(name.startswith(f"{len(layers)}.") for name in rest):
        prefix = f"{len(layers)}."
        part = {
            name[len(prefix) :]: rest.pop(name)
            for name in list(rest)
            if name.startswith(prefix)
        }
        names = ("activation", "recurrent_activation")
        kinds = [_word(part.pop(name, None), prefix + name) for name in names]
        forward, backward = (
            _direction(part, prefix, w) for w in ("forward", "backward")
        )
        if part:
            raise WeightsError(f"surplus array {prefix}{next(iter(part))}.")
        layers.append(GRULayer(forward, backward, *kinds))
    if rest:
        raise WeightsError(f"surplus array {next(iter(rest))}.")
    return as_stack(layers)


def _direction(part: dict[str, np.ndarray], prefix: str, way: str) -> GRUWeights | None:
    scope = f"{way}."
    mine = {k[len(scope) :]: part.pop(k) for k in list(part) if k.startswith(scope)}
    if not mine:
        return None
    after = mine.pop("reset_after", None)
    if after is None or after.shape != () or after.dtype != bool:
        raise WeightsError(f"{prefix}{scope}reset_after must be a single bool.")
    names = [name for name in _ARRAYS if name != "bias" or "bias" in mine]
    kernel, recurrent_kernel, *bias = arrays_named(mine, names, prefix + way)
    return GRUWeights(kernel, recurrent_kernel, bias[0] if bias else None, bool(after))


def _word(value: np.ndarray | None, name: str) -> str:
    if value is None or value.shape != () or value.dtype.kind != "U" or not str(value):
        raise WeightsError(f"{name} must be a single word.")
    return str(value)


def _why_not(candidate: Candidate) -> str | None:
    names = candidate.zip_names
    if names is None:
        return "not a zip file"
    if names.isdisjoint(("format", "format.npy")):
        return "no array 'format', which this package writes"
    with open_npz(candidate.path) as arrays:
        mark = arrays["format"]
    if mark.shape != () or str(mark) != MARK:
        return f"its array 'format' is not {MARK!r}"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    return WeightsFile("npz", {"gru": from_npz_arrays(load_npz(path))})


def _write(path: Path, stack: Stack) -> None:
    with path.open("wb") as stream:  # given a path, NumPy would append .npz
        np.savez(stream, **to_npz_arrays(stack))  # type: ignore[arg-type]


FORMAT = Format(
    name="npz",
    file="this package's own `.npz`",
    suffixes=(".npz",),
    why_not=_why_not,
    read=_read,
    write=_write,
)
