"""The `state_dict` of PyTorch's `nn.GRU` and `nn.GRUCell`.

    weight_ih_l0  (3 * units, features)   r, z, n, one below the other
    weight_hh_l0  (3 * units, units)
    bias_ih_l0    (3 * units,)            the biases of the input product
    bias_hh_l0    (3 * units,)            those of the recurrent product

Further layers end with `_l1`, ...; the backward direction appends `_reverse`; with
`bias=False` the biases are absent. The names of a GRUCell lack `_l0`. The reset gate
comes after the recurrent product; the activations are tanh and sigmoid. Files are `.pt`
(`torch.save`), `.safetensors` and `.npz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.weights import containers
from tf_gru_addon.weights.arrays import (
    arrays_named,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Candidate, Format, Peer, Stack
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.layouts import LayoutArray
from tf_gru_addon.weights.packages import require_package
from tf_gru_addon.weights.r_z_n import CANNOT_HOLD, from_r_z_n, require_r_z_n, to_r_z_n
from tf_gru_addon.weights.weights_file import WeightsFile

if TYPE_CHECKING:
    import torch

#: `torch.save` without a zip file begins with a pickle of this number.
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C.to_bytes(10, "little")
_NAME = re.compile(
    r"(?P<prefix>(?:.*\.)?)(?:weight|bias)_(?:ih|hh|hr)(?:_l(?P<layer>\d{1,9})(?:_reverse)?)?"
)


def from_torch(state_dict: Mapping[str, Any], prefix: str | None = None) -> Stack:
    """Returns the layers of a GRU in a `state_dict`.

    Args:
        state_dict: The `state_dict` of an `nn.GRU`, an `nn.GRUCell`, or a model that
            contains one. Its values are tensors or NumPy arrays.
        prefix: The prefix of the names of the GRU's arrays: "encoder.rnn."; None for
            the only GRU.

    Raises:
        WeightsError: There is no GRU, or several and no prefix; an array is missing,
            surplus, or has the wrong shape or dtype.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import from_torch
        >>> state_dict = {
        ...     "rnn.weight_ih_l0": np.ones((6, 3)), "rnn.weight_hh_l0": np.ones((6, 2))
        ... }
        >>> (layer,) = from_torch(state_dict)
        >>> layer.forward.describe()
        '3 features, 2 units, reset after, no bias, float64, 30 parameters'
    """
    arguments.mapping("state_dict", state_dict, "a dict of tensors or arrays")
    if prefix is not None and not isinstance(prefix, str):
        raise WeightsError(f"prefix must be text or None; received: {prefix!r}.")
    groups = _groups(state_dict)
    if prefix is not None:
        prefix = prefix if not prefix or prefix.endswith(".") else prefix + "."
        if prefix not in groups:
            raise WeightsError(
                f"prefix {prefix!r} is not that of a recurrent layer. There are: "
                f"{_listed(groups)}."
            )
        return _stack(groups[prefix], prefix)
    grus = [name for name, group in groups.items() if _gates(group) == 3]
    if not grus:
        kinds: dict[int | None, str] = {4: "an LSTM", 1: "a simple RNN"}
        others = [
            f"{name!r} is {kinds.get(_gates(group), 'no GRU')}"
            for name, group in groups.items()
        ]
        raise WeightsError(
            "Expected the arrays of an nn.GRU or nn.GRUCell (weight_ih_l0, "
            f"weight_hh_l0, ...); {', '.join(others) or _found(state_dict)}."
        )
    if len(grus) > 1:
        raise WeightsError(
            f"There are several GRUs: choose one with prefix=. There are: "
            f"{_listed(grus)}."
        )
    return _stack(groups[grus[0]], grus[0])


def torch_prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """Returns the prefixes of the GRUs in a `state_dict`."""
    arguments.mapping("state_dict", state_dict, "a dict of tensors or arrays")
    groups = _groups(state_dict)
    return [prefix for prefix, group in groups.items() if _gates(group) == 3]


def _groups(state_dict: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the arrays of all recurrent layers, by prefix and name."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in state_dict.items():
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match:
            prefix = match["prefix"]
            groups.setdefault(prefix, {})[name[len(prefix) :]] = value
    return groups


def _gates(group: Mapping[str, Any]) -> int | None:
    """The number of a layer's gates, by its recurrent weights; None if unclear."""
    hh = group.get("weight_hh_l0", group.get("weight_hh"))
    shape: tuple[int, ...] = tuple(getattr(hh, "shape", ()))
    if len(shape) != 2 or not shape[1] or shape[0] % shape[1]:
        return None
    return shape[0] // shape[1]


def _listed(prefixes: Iterable[str]) -> str:
    return ", ".join(map(repr, prefixes)) or "none"


def _found(state_dict: Mapping[str, Any]) -> str:
    names = list(map(str, state_dict))
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return f"received {', '.join(names[:6]) or 'nothing'}{more}"


def _stack(group: Mapping[str, Any], prefix: str) -> Stack:
    matches = filter(None, map(_NAME.fullmatch, group))
    count = 1 + max(int(match["layer"] or 0) for match in matches)
    cell = not any("_l" in name for name in group)
    if count > len(group):
        raise WeightsError(f"{prefix}weight_ih_l0 and the like: layers are missing.")
    ways = ("", "_reverse") if any("_reverse" in name for name in group) else ("",)
    kinds = ["weight_ih", "weight_hh"]
    if any(name.startswith("bias") for name in group):
        kinds += ["bias_ih", "bias_hh"]
    ends = [[f"_l{k}{way}" for way in ways] for k in range(count)]
    ends = [[""]] if cell else ends
    names = [kind + end for layer in ends for end in layer for kind in kinds]
    what = f"The GRU {prefix!r}" if prefix else "The GRU"
    arrays = dict(
        zip(
            names,
            arrays_named({k: _numpy(v, k) for k, v in group.items()}, names, what),
            strict=True,
        )
    )
    layers = []
    for layer in ends:
        forward, *backward = (
            from_r_z_n(arrays, [kind + end for kind in kinds]) for end in layer
        )
        layers.append(GRULayer(forward, backward[0] if backward else None))
    return as_stack(layers)


def _numpy(value: Any, name: str) -> Any:
    """Returns a tensor as an array; anything else unchanged."""
    if not hasattr(value, "detach"):
        return value
    try:
        return value.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:
        raise WeightsError(
            f"{name} must be a dense tensor of float16, float32 or float64; received "
            f"{value.dtype} ({error}). Cast it first (bfloat16 to float32 is exact)."
        ) from error


def to_torch(
    stack: GRUWeights | GRULayer | Iterable[GRULayer], *, cell: bool = False
) -> dict[str, torch.Tensor]:
    """Returns the `state_dict` of an `nn.GRU` or an `nn.GRUCell`.

    Args:
        stack: The layers, a layer, or one GRU's weights.
        cell: Whether to name the arrays as an `nn.GRUCell` does.

    Raises:
        WeightsError: PyTorch has no such GRU: `reset_after=False`, activations other
            than tanh and sigmoid, layers of different sizes, ...
        ImportError: PyTorch is not installed.

    Example:
        `torch.nn.GRU(3, 2).load_state_dict(to_torch(weights))`; without PyTorch:

        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, torch_arrays
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> {name: array.shape for name, array in torch_arrays(weights).items()}
        {'weight_ih_l0': (6, 3), 'weight_hh_l0': (6, 2)}
    """
    require_package("torch", "PyTorch's tensors")
    import torch

    arrays = torch_arrays(stack, cell=cell)
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def torch_arrays(
    stack: GRUWeights | GRULayer | Iterable[GRULayer], *, cell: bool = False
) -> dict[str, np.ndarray]:
    """Returns the `state_dict` of an `nn.GRU` or an `nn.GRUCell` as NumPy arrays.

    It does not need PyTorch.

    Args:
        stack: The layers, a layer, or one GRU's weights.
        cell: Whether to name the arrays as an `nn.GRUCell` does.

    Raises:
        WeightsError: PyTorch has no such GRU.
    """
    arguments.boolean("cell", cell)
    stack = as_stack(stack)
    who = "PyTorch's GRUCell" if cell else "PyTorch's GRU"
    require_r_z_n(stack, who)
    if cell and (len(stack) > 1 or stack[0].backward is not None):
        raise WeightsError(f"{who} is one layer in one direction. Use cell=False.")
    arrays = {}
    for index, layer in enumerate(stack):
        for weights, way in zip(layer.directions, ("", "_reverse"), strict=False):
            end = "" if cell else f"_l{index}{way}"
            kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for kind, array in zip(kinds, to_r_z_n(weights), strict=False):
                arrays[kind + end] = array
    return arrays


def _why_not(candidate: Candidate) -> str | None:
    start, names = candidate.start, candidate.zip_names
    if candidate.variables is not None:
        return "a TensorFlow checkpoint"
    if names is not None:
        if any(name.endswith("/data.pkl") for name in names):
            return None
        if any(_NAME.fullmatch(name.removesuffix(".npy")) for name in names):
            return None
        return "a zip file without data.pkl and without an array weight_hh_l0"
    if LEGACY_MAGIC in start or start[8:9] == b"{":
        return None
    if start.startswith(b"\x80"):
        return "a pickle that torch.save did not write"
    return "neither what torch.save writes, nor .safetensors, nor .npz"


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    with path.open("rb") as stream:
        start = stream.read(9)
    if start[8:9] == b"{":
        state_dict = containers.load_safetensors(path)
    elif start.startswith(b"\x80") or not containers.is_npz(path):
        state_dict = containers.load_torch(path)
    else:
        state_dict = containers.load_npz(path)
    prefixes = torch_prefixes(state_dict)
    if not prefixes:
        from_torch(state_dict)  # raises, and says what there is
    grus = {
        prefix.rstrip(".") or "gru": from_torch(state_dict, prefix)
        for prefix in prefixes
    }
    return WeightsFile("torch", grus)


def _write(path: Path, stack: Stack) -> None:
    arrays = torch_arrays(stack)
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    elif path.suffix == ".safetensors":
        require_package("safetensors", ".safetensors files")
        from safetensors.numpy import save_file

        save_file(arrays, path)
    else:
        tensors = to_torch(stack)
        import torch

        torch.save(tensors, path)


def _run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import torch

    if path.suffix == ".npz":
        with np.load(path) as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    elif path.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = load_file(path)
    else:
        tensors = torch.load(path, weights_only=True)
    first = stack[0]
    gru = torch.nn.GRU(
        first.features,
        first.units,
        num_layers=len(stack),
        bias=first.use_bias,
        batch_first=True,
        bidirectional=first.direction == "bidirectional",
        dtype=torch.float64,
    )
    gru.load_state_dict(tensors)
    with torch.no_grad():
        return np.asarray(gru(torch.from_numpy(x))[0])


FORMAT = Format(
    name="torch",
    file="PyTorch's `state_dict` of an `nn.GRU`: `.pt`, `.safetensors` or `.npz`",
    suffixes=(".pt", ".pth", ".safetensors"),
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold=CANNOT_HOLD,
    gate_order="r z n",
    activations="fixed",
    peer=Peer("PyTorch", "torch", _run),
    packages=("torch", "safetensors"),
    layouts={
        "PyTorch (reset after)": (
            LayoutArray("weight_ih_l0", "(3 units, features)", ("Wrt", "Wzt", "Wht")),
            LayoutArray("weight_hh_l0", "(3 units, units)", ("Urt", "Uzt", "Uht")),
            LayoutArray("bias_ih_l0", "(3 units,)", ("bir biz bih",)),
            LayoutArray("bias_hh_l0", "(3 units,)", ("bor boz boh",)),
        )
    },
)
