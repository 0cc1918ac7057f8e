"""Haiku's `hk.GRU`: parameters by module in an `.npz` file.

    gru/w_i  (features, 3 * units)   z, r, a side by side
    gru/w_h  (units, 3 * units)
    gru/b    (3 * units,)

The arrays are those of `sonnet`, with the same equations. Haiku's parameters are a dict
of dicts; a file has the name of the module and that of the parameter joined with "/":

    arrays = {f"{module}/{name}": array for module, name, array in hk.data_structures
              .traverse(params)}
    np.savez("gru.npz", **arrays)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tf_gru_addon.weights.containers import load_npz
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.formats.sonnet import (
    CANNOT_HOLD,
    NAMES,
    from_sonnet,
    to_sonnet,
)
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.weights_file import WeightsFile


def _why_not(candidate: Candidate) -> str | None:
    if candidate.zip_names is None:
        return "not an .npz file"
    names = {f"/{name.removesuffix('.npy')}" for name in candidate.zip_names}
    if not any(name.endswith("/w_h") for name in names):
        return "an .npz file without an array gru/w_h"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    modules: dict[str, dict[str, np.ndarray]] = {}
    for name, array in load_npz(path).items():
        module, _, parameter = name.rpartition("/")
        if parameter in NAMES:
            modules.setdefault(module or "gru", {})[parameter] = array
    grus: dict[str, Stack] = {}
    for name, arrays in modules.items():
        shape = np.shape(arrays.get("w_h", 0))
        if len(shape) == 2 and shape[1] == 3 * shape[0]:
            grus[name] = (GRULayer(from_sonnet(arrays, name)),)
    return WeightsFile("haiku", grus)


def _write(path: Path, stack: Stack) -> None:
    arrays = {}
    for index, layer in enumerate(stack):
        module = f"gru_{index}" if index else "gru"  # as Haiku names them
        for name, array in to_sonnet(layer, "Haiku's GRU").items():
            arrays[f"{module}/{name}"] = array
    with path.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import haiku

    def unroll(y: np.ndarray) -> np.ndarray:
        for layer in stack:
            core = haiku.GRU(layer.units)
            y, _ = haiku.dynamic_unroll(core, y, core.initial_state(len(x)))
        return y

    params: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as file:
        for name in file.files:
            module, _, parameter = name.rpartition("/")
            params.setdefault(module, {})[parameter] = file[name].astype(np.float32)
    inputs = x.transpose(1, 0, 2).astype(np.float32)
    y = haiku.transform(unroll).apply(params, None, inputs)
    return np.asarray(y, np.float64).transpose(1, 0, 2)


FORMAT = Format(
    name="haiku",
    file="Haiku's parameters of an `hk.GRU` in an `.npz` file: `gru/w_i`, `gru/w_h`, "
    "`gru/b`",
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold=CANNOT_HOLD,
    gate_order="z r a",
    activations="fixed",
    peer=Peer("Haiku", "haiku", _run),
)
