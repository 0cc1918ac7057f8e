"""MXNet's and Gluon's `gluon.rnn.GRU` and `GRUCell`: `.params` files, and `.npz`.

    l0_i2h_weight  (3 * units, features)   r, z, n, one below the other
    l0_h2h_weight  (3 * units, units)
    l0_i2h_bias    (3 * units,)
    l0_h2h_bias    (3 * units,)

The backward direction has `r` in place of `l`, the next layer `l1`. The names may
begin with a block's: `gru0_l0_i2h_weight`, `encoder.l0_i2h_weight`. MXNet 1's
`save_parameters` calls the same arrays `_unfused.0.i2h_weight`, or in two directions
`_unfused.0.l_cell.i2h_weight`; a `GRUCell` has `i2h_weight`.

A `.params` file is a list of arrays, little-endian:

    uint64 0x112, uint64 0
    uint64 count, the arrays: uint32 version, int32 storage (0 is dense),
                              int32 dimensions, int64 each, int32 device, int32 its
                              number, int32 dtype, the numbers
    uint64 count, the names:  uint64 length, the bytes
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tf_gru_addon.reading import FileRefusedError, require_regular
from tf_gru_addon.weights.containers import load_npz
from tf_gru_addon.weights.format import Candidate, Format, Stack
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

#: The first eight bytes of a file: 0x112, with the next eight 0.
MAGIC = struct.pack("<QQ", 0x112, 0)
#: The first four bytes of an array: with 64-bit sizes; with a storage type; and of
#: MXNet 2, whose arrays may have no dimensions. Older arrays begin with their rank.
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
#: The dtypes by their numbers; bfloat16 is shown, and refused, as uint16.
_DTYPES = dict(enumerate(("<f4", "<f8", "<f2", "u1", "<i4", "i1", "<i8", "?")))
_DTYPES[12] = "<u2"
_LARGEST_RANK = 32
_WORDS = ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias")
_NAME = re.compile(
    r"(?P<gru>(?:.*?[._:/])??)"
    r"(?:(?P<way>[lr])(?P<layer>\d{1,6})_"
    r"|_unfused\.(?P<cell>\d{1,6})\.(?:(?P<side>[lr])_cell\.)?)?"
    rf"(?P<word>{'|'.join(_WORDS)})",
    re.DOTALL,
)


def from_mxnet(arrays: Mapping[str, Any]) -> dict[str, Stack]:
    """Returns the GRUs of a block's parameters by their names; "gru" for no name.

    Args:
        arrays: The arrays by the names that MXNet gives them.

    Raises:
        WeightsError: An array of a GRU is missing, or has another shape or dtype.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights.formats.mxnet import from_mxnet
        >>> grus = from_mxnet({
        ...     "gru0_l0_i2h_weight": np.ones((6, 3)),
        ...     "gru0_l0_h2h_weight": np.ones((6, 2)),
        ...     "gru0_l0_i2h_bias": np.zeros(6),
        ...     "gru0_l0_h2h_bias": np.zeros(6),
        ... })
        >>> [(name, stack[0].features) for name, stack in grus.items()]
        [('gru0', 3)]
    """
    parts = {}
    for name in arrays:
        match = _NAME.fullmatch(name) if isinstance(name, str) else None
        if match:
            gru = re.sub(r"^(?:arg|aux):", "", match["gru"]).rstrip("._/") or "gru"
            layer = int(match["layer"] or match["cell"] or 0)
            backward = "r" in (match["way"], match["side"])
            kind = KINDS[_WORDS.index(match["word"])]
            parts[name] = Part(gru, layer, backward, kind)
    return stacks_of(parts, arrays)


def to_mxnet(stack: Stack) -> dict[str, np.ndarray]:
    """Returns the parameters of a `gluon.rnn.GRU`, by their names within it.

    Args:
        stack: The layers. A missing bias becomes zeros, as the layer always has one.

    Raises:
        WeightsError: MXNet has no such GRU: the reset gate before the recurrent
            product, other activations, layers of different sizes, ...
    """
    who = "MXNet's GRU"
    require_r_z_n(stack, who)
    arrays = {}
    for index, layer in enumerate(stack):
        for weights, way in zip(layer.directions, "lr", strict=False):
            for word, array in zip(_WORDS, to_r_z_n(weights.with_bias()), strict=True):
                arrays[f"{way}{index}_{word}"] = array
    return arrays


class _Bytes:
    """Bytes that are read from the beginning, and never past their end."""

    def __init__(self, content: bytes):
        self._content = content
        self._at = 0

    def numbers(self, codes: str, what: str) -> tuple[int, ...]:
        """Returns integers, by their codes in `struct`."""
        return struct.unpack("<" + codes, self.take(struct.calcsize("<" + codes), what))

    def take(self, size: int, what: str) -> memoryview:
        """Returns the next bytes, not copied."""
        left = len(self._content) - self._at
        if size > left:
            raise FileRefusedError(
                f"{what} claims {size} bytes, and {left} are left in the file. It is "
                "damaged or cut short."
            )
        self._at += size
        return memoryview(self._content)[self._at - size : self._at]

    def count(self, what: str, least: int) -> int:
        """Returns a count of items, each of which takes at least so many bytes."""
        (count,) = self.numbers("Q", what)
        if count * least > len(self._content) - self._at:
            raise FileRefusedError(
                f"{what} is {count}, more than the file can hold. It is damaged or cut "
                "short."
            )
        return count


def read_params(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a `.params` file, as views of its bytes, by their names.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is damaged, or holds arrays that are not dense, or arrays
            without names.
    """
    require_regular(path)
    content = _Bytes(path.read_bytes())
    if bytes(content.take(len(MAGIC), "its beginning")) != MAGIC:
        raise FileRefusedError("it is not a list of MXNet's arrays.")
    count = content.count("the number of arrays", 4)
    arrays = [_array(content, f"array {index}") for index in range(count)]
    count = content.count("the number of names", 8)
    names = []
    for index in range(count):
        what = f"the name of array {index}"
        (size,) = content.numbers("Q", what)
        names.append(bytes(content.take(size, what)).decode())
    if len(names) != len(arrays):
        raise FileRefusedError(
            f"it holds {len(arrays)} arrays and {len(names)} names. Save a dict of "
            "arrays, as save_parameters does."
        )
    if len(set(names)) != len(names):
        raise FileRefusedError("it holds two arrays of one name. It is damaged.")
    return dict(zip(names, arrays, strict=True))


def _array(content: _Bytes, what: str) -> np.ndarray:
    (version,) = content.numbers("I", what)
    if version in (_V2, _V3):
        (storage,) = content.numbers("i", what)
        if storage:
            raise FileRefusedError(
                f"{what} is sparse (storage type {storage}); only dense arrays are "
                'read. Convert it with tostype("default").'
            )
    if version in (_V1, _V2, _V3):
        (rank,) = content.numbers("i", what)
        code = "q"
    else:
        rank, code = version, "I"
    if not 0 <= rank <= _LARGEST_RANK:
        raise FileRefusedError(f"{what} claims {rank} dimensions. It is damaged.")
    shape = content.numbers(code * rank, what)
    if min(shape, default=0) < 0:
        raise FileRefusedError(f"{what} claims the shape {shape}. It is damaged.")
    if not rank and version != _V3:  # an array that was never filled
        return np.zeros(0, "f4")
    *_, number = content.numbers("iii", what)
    if number not in _DTYPES:
        raise FileRefusedError(f"{what} is of the unknown dtype {number}.")
    dtype = np.dtype(_DTYPES[number])
    numbers = content.take(math.prod(shape) * dtype.itemsize, what)
    return np.frombuffer(numbers, dtype).reshape(shape)


def write_params(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes a `.params` file, which MXNet 0.12 and later load.

    Args:
        path: The file.
        arrays: The arrays by their names: float16, float32 or float64.
    """
    numbers = {np.dtype(dtype): number for number, dtype in _DTYPES.items()}
    with path.open("wb") as stream:
        stream.write(MAGIC + struct.pack("<Q", len(arrays)))
        for array in arrays.values():
            array = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            shape = struct.pack(f"<i{array.ndim}q", array.ndim, *array.shape)
            device = struct.pack("<iii", 1, 0, numbers[array.dtype])  # the CPU
            stream.write(struct.pack("<Ii", _V2, 0) + shape + device + array.tobytes())
        stream.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            stream.write(struct.pack("<Q", len(name.encode())) + name.encode())


def _why_not(candidate: Candidate) -> str | None:
    names = candidate.zip_names
    if names is not None:
        if any(_NAME.fullmatch(name.removesuffix(".npy")) for name in names):
            return None
        return "an .npz file without an array l0_h2h_weight"
    if candidate.start.startswith(MAGIC):
        return None
    return "neither a list of MXNet's arrays nor an .npz file"


def _read(path: Path, reset_after: bool | None) -> WeightsFile:
    with path.open("rb") as stream:
        is_params = stream.read(len(MAGIC)) == MAGIC
    return WeightsFile(
        "mxnet", from_mxnet(read_params(path) if is_params else load_npz(path))
    )


def _write(path: Path, stack: Stack) -> None:
    arrays = to_mxnet(stack)
    if path.suffix == ".npz":
        np.savez(path, **arrays)  # type: ignore[arg-type]
    else:
        write_params(path, arrays)


_SCRIPT = """
import sys
import mxnet
import numpy as np

path, inputs, outputs, *sizes = sys.argv[1:]
features, units, layers, directions = map(int, sizes)
gru = mxnet.gluon.rnn.GRU(
    units, layers, "NTC", bidirectional=directions == 2, input_size=features
)
gru.initialize()
if path.endswith(".npz"):  # which MXNet 2 loads
    with np.load(path) as file:
        for name, parameter in gru.collect_params().items():
            parameter.set_data(mxnet.nd.array(file[name[len(gru.prefix):]]))
else:
    gru.load_parameters(path, cast_dtype=True)
np.save(outputs, gru(mxnet.nd.array(np.load(inputs))).asnumpy())
"""
FORMAT = Format(
    name="mxnet",
    file="MXNet's parameters of a Gluon `rnn.GRU`: `.params` or `.npz`",
    suffixes=(".params",),
    why_not=_why_not,
    read=_read,
    write=_write,
    cannot_hold=CANNOT_HOLD,
    gate_order="r z n",
    activations="fixed",
    peer=peer_in_process("MXNet", "mxnet", _SCRIPT),
    layouts={
        "MXNet (reset after)": (
            LayoutArray("l0_i2h_weight", "(3 units, features)", ("Wrt", "Wzt", "Wht")),
            LayoutArray("l0_h2h_weight", "(3 units, units)", ("Urt", "Uzt", "Uht")),
            LayoutArray("l0_i2h_bias", "(3 units,)", ("bir biz bih",)),
            LayoutArray("l0_h2h_bias", "(3 units,)", ("bor boz boh",)),
        )
    },
)
