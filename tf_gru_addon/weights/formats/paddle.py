"""PaddlePaddle's `nn.GRU` and `nn.GRUCell`: state dicts in `.pdparams` files.

    weight_ih_l0  (3 * units, features)   r, z, c, one below the other
    weight_hh_l0  (3 * units, units)
    bias_ih_l0    (3 * units,)
    bias_hh_l0    (3 * units,)

So on for `_l1`, ...; with `_reverse` at the end for the backward direction. These are
the names and the arrays of PyTorch. A state dict has each array twice, also under the
name of its cell: `0.cell.weight_ih`, or in two directions `0.cell_fw.weight_ih` and
`0.cell_bw.weight_ih`. A `GRUCell` alone has `weight_ih`, within `nn.RNN`
`cell.weight_ih`, within `nn.BiRNN` `cell_fw.weight_ih` and `cell_bw.weight_ih`.

    h' = z * h + (1 - z) * c

The reset gate is applied after the recurrent product. A `.pdparams` file is a pickle of
NumPy arrays; `plain_pickle` reads it without running it.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading import Budget
from tf_gru_addon.reading.plain_pickle import read_pickle
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Stack
from tf_gru_addon.weights.formats.torch import LEGACY_MAGIC
from tf_gru_addon.weights.layouts import LayoutArray
from tf_gru_addon.weights.peer_process import peer_in_process
from tf_gru_addon.weights.r_z_n import (
    CANNOT_HOLD,
    KINDS,
    Part,
    require_r_z_n,
    stacks_of,
    to_r_z_n,
)
from tf_gru_addon.weights.weights_file import WeightsFile

_WORDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
_LAYER = re.compile(
    rf"(?P<gru>(?:.*\.)?)(?P<word>{'|'.join(_WORDS)})_l(?P<layer>\d{{1,6}})"
    r"(?P<way>_reverse)?",
    re.DOTALL,
)
_CELL = re.compile(
    rf"(?P<gru>(?:.*?\.)??)(?:(?P<copy>\d+)\.)?(?:cell(?P<way>_fw|_bw)?\.)?"
    rf"(?P<word>{'|'.join(_WORDS)})",
    re.DOTALL,
)
#: What `paddle.save` adds: the names that parameters have in a program.
_TABLE = "StructuredToParameterName@@"
_DEEPEST = 20


def from_paddle(state_dict: Mapping[str, Any]) -> dict[str, Stack]:
    """Returns the GRUs of a state dict by their names; "gru" for no name.

    Args:
        state_dict: The arrays of a GRU, a cell, or a model that holds some, by name.

    Raises:
        WeightsError: An array of a GRU is missing, or has another shape or dtype.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights.formats.paddle import from_paddle
        >>> grus = from_paddle({
        ...     "encoder.weight_ih_l0": np.ones((6, 3)),
        ...     "encoder.weight_hh_l0": np.ones((6, 2)),
        ...     "encoder.bias_ih_l0": np.zeros(6),
        ...     "encoder.bias_hh_l0": np.zeros(6),
        ... })
        >>> [(name, stack[0].features) for name, stack in grus.items()]
        [('encoder', 3)]
    """
    arrays = {k: v for k, v in state_dict.items() if isinstance(k, str)}
    parts, cells = {}, {}
    for name in arrays:
        if match := _LAYER.fullmatch(name):
            backward = match["way"] is not None
            kind = KINDS[_WORDS.index(match["word"])]
            gru = _name(match["gru"])
            parts[name] = Part(gru, int(match["layer"]), backward, kind)
        elif match := _CELL.fullmatch(name):
            cells[name] = match
    layered = {part.gru for part in parts.values()}
    for name, match in cells.items():
        if match["copy"] is None or _name(match["gru"]) not in layered:
            gru = _name(match["gru"] + (match["copy"] or ""))
            kind = KINDS[_WORDS.index(match["word"])]
            parts[name] = Part(gru, 0, match["way"] == "_bw", kind)
    _complete(parts, arrays)
    return stacks_of(parts, arrays)


def _name(prefix: str) -> str:
    return prefix.rstrip(".") or "gru"


def _complete(parts: dict[str, Part], arrays: dict[str, Any]) -> None:
    """Adds zeros where only one bias of two is missing: `bias_ih_attr=False`."""
    places = {part: name for name, part in parts.items()}
    for part, name in places.items():
        if part.kind in KINDS[2:]:
            other = part._replace(kind=KINDS[5 - KINDS.index(part.kind)])
            if other not in places:
                zeros = f"zeros for the {other.kind} beside {name}"
                parts[zeros] = other
                arrays[zeros] = np.zeros_like(arrays[name])


def to_paddle(stack: Stack) -> dict[str, np.ndarray]:
    """Returns the state dict of an `nn.GRU`, each array under both of its names.

    Args:
        stack: The layers. A missing bias becomes zeros, as `nn.GRU` has one by default.

    Raises:
        WeightsError: PaddlePaddle has no such GRU: the reset gate before the recurrent
            product, other activations, layers of different sizes, ...
    """
    who = "PaddlePaddle's GRU"
    require_r_z_n(stack, who)
    flat, cells = {}, {}
    for index, layer in enumerate(stack):
        both = layer.backward is not None
        for weights, way in zip(layer.directions, ("", "_reverse"), strict=False):
            cell = ("cell_bw" if way else "cell_fw") if both else "cell"
            arrays = to_r_z_n(weights.with_bias())
            for word, array in zip(_WORDS, arrays, strict=True):
                flat[f"{word}_l{index}{way}"] = array
                cells[f"{index}.{cell}.{word}"] = array
    return flat | cells


def read_pdparams(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.pdparams` file; dicts within dicts, joined with dots.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is no pickle of plain arrays.
        WeightsError: It holds something else than a dict.
    """
    content = read_pickle(path)
    if not isinstance(content, dict):
        raise WeightsError(
            f"expected a dict of arrays; it holds a {type(content).__name__}. Save "
            "layer.state_dict() with paddle.save."
        )
    budget, arrays = Budget.of(path), {}
    for name, value in _flat(content):
        # Within other objects, paddle.save has a tensor as its name and its numbers.
        if isinstance(value, tuple) and len(value) == 2:
            value = value[1]
        if isinstance(value, np.ndarray):
            budget.take(value.nbytes, f"the array {name!r}")
            arrays[name] = value
    return arrays


def _flat(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    pending = [("", content, 0)]
    seen = {id(content)}  # a dict can hold itself, and each of many the next one twice
    for prefix, mapping, depth in pending:
        for name, value in mapping.items():
            if not isinstance(value, dict):
                yield f"{prefix}{name}", value
            elif name != _TABLE and id(value) not in seen and depth < _DEEPEST:
                seen.add(id(value))
                pending.append((f"{prefix}{name}.", value, depth + 1))


def write_pdparams(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.pdparams` file, which `paddle.load` reads."""
    content = {**arrays, _TABLE: {}}
    path.write_bytes(pickle.dumps(content, protocol=4))


def _why_not(candidate: Candidate) -> str | None:
    if not candidate.start.startswith(b"\x80"):
        return "not a pickle"
    if LEGACY_MAGIC in candidate.start:
        return "torch.save wrote it"
    return None


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    arrays = read_pdparams(path)
    grus = from_paddle(arrays)
    if not grus:
        received = ", ".join(list(arrays)[:6]) or "no array"
        raise WeightsError(
            "Expected the arrays of an nn.GRU (weight_ih_l0, weight_hh_l0, ...); "
            f"received {received}{', ...' if len(arrays) > 6 else ''}."
        )
    return WeightsFile("paddle", grus)


def _write(path: Path, stack: Stack) -> None:
    write_pdparams(path, to_paddle(stack))


_SCRIPT = """
import sys
import numpy as np
import paddle

path, inputs, outputs, *sizes = sys.argv[1:]
features, units, layers, directions = map(int, sizes)
direction = "bidirect" if directions == 2 else "forward"
gru = paddle.nn.GRU(features, units, num_layers=layers, direction=direction)
arrays = paddle.load(path, return_numpy=True)
arrays = {name: array.astype("float32") for name, array in arrays.items()}
missing, surplus = gru.set_state_dict(arrays)
if missing or surplus:
    raise ValueError(f"missing {missing}, surplus {surplus}")
y, _ = gru(paddle.to_tensor(np.load(inputs)))
np.save(outputs, y.numpy())
"""
FORMAT = Format(
    name="paddle",
    file="PaddlePaddle's state dict of an `nn.GRU`: `.pdparams`",
    suffixes=(".pdparams",),
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold=CANNOT_HOLD,
    gate_order="r z c",
    activations="fixed",
    peer=peer_in_process("PaddlePaddle", "paddle", _SCRIPT),
    layouts={
        "PaddlePaddle (reset after)": (
            LayoutArray("weight_ih_l0", "(3 units, features)", ("Wrt", "Wzt", "Wht")),
            LayoutArray("weight_hh_l0", "(3 units, units)", ("Urt", "Uzt", "Uht")),
            LayoutArray("bias_ih_l0", "(3 units,)", ("bir biz bih",)),
            LayoutArray("bias_hh_l0", "(3 units,)", ("bor boz boh",)),
        )
    },
)
