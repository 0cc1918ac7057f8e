"""Pickles of NumPy arrays, read without running anything that they name.

Python's `pickle` imports and calls whatever a file asks for. This reader builds dicts,
lists, tuples, text, numbers and NumPy arrays by itself: it interprets the few opcodes
that those need and knows five names. It imports and calls nothing.
"""

from __future__ import annotations

import io
import math
import os
import pickletools
from typing import Any

import numpy as np

from tf_gru_addon.reading.budget import FileRefusedError, require_regular

#: Plain numbers, by the names that NumPy's pickles have for them.
_DTYPES = {f"{kind}{size}" for kind in "iuf" for size in (1, 2, 4, 8)} - {"f1"} | {"b1"}
#: What the names in a pickle stand for here.
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("collections", "OrderedDict"): "dict",
    ("_codecs", "encode"): "bytes",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "tuple"): "tuple",
    ("__builtin__", "tuple"): "tuple",
}
_VALUES = {
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


class _Name:
    """A function or class that a pickle names."""

    def __init__(self, meaning: str):
        self.meaning = meaning


class _Array:
    """An array that is being built."""

    value: np.ndarray | None = None


class _Dtype:
    """A dtype that is being built."""

    def __init__(self, name: str):
        self.value = np.dtype(name)


_MARK = _Name("mark")


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """Returns the content of a pickle of plain data.

    Args:
        path: The file, of the pickle protocols 2 to 4.

    Returns:
        Dicts, lists, tuples, text, bytes, numbers, None, and arrays of plain numbers.
        The arrays are views of the file's bytes.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is no pickle, or holds any other object; the message names
            that object.
        Exception: Whatever a damaged file leads to; see `boundary`.
    """
    require_regular(path)
    with open(path, "rb") as stream:
        content = stream.read()
    if content[:1] != b"\x80":
        raise FileRefusedError("it is not a pickle of the protocols 2 to 4.")
    return _plain(_Machine().run(content), {})


class _Machine:
    """The stack and the memo of a pickle that is being read."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, content: bytes) -> Any:
        for opcode, value, _ in pickletools.genops(io.BytesIO(content)):
            name = opcode.name
            if name == "STOP":
                return self._pop()
            if name in _VALUES:
                self._stack.append(value)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name])
            elif name not in ("PROTO", "FRAME"):
                step = getattr(self, f"op_{name.lower()}", None)
                if step is None:
                    raise FileRefusedError(
                        f"it uses the pickle opcode {name}, which plain arrays do not "
                        "need. Objects are never loaded."
                    )
                step(value)
        raise FileRefusedError("it is a pickle that is cut short.")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise FileRefusedError("it is a damaged pickle: a mark without its items.")
        return value

    def _items(self) -> list[Any]:
        """Takes what stands above the last mark, and the mark."""
        items = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def op_mark(self, _: None) -> None:
        self._stack.append(_MARK)

    def op_memoize(self, _: None) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def op_binput(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    op_long_binput = op_binput

    def op_binget(self, index: int) -> None:
        self._stack.append(self._memo[index])

    op_long_binget = op_binget

    def op_empty_dict(self, _: None) -> None:
        self._stack.append({})

    def op_empty_list(self, _: None) -> None:
        self._stack.append([])

    def op_empty_tuple(self, _: None) -> None:
        self._stack.append(())

    def op_tuple(self, _: None) -> None:
        self._stack.append(tuple(self._items()))

    def op_tuple1(self, _: None) -> None:
        self._stack.append((self._pop(),))

    def op_tuple2(self, _: None) -> None:
        second, first = self._pop(), self._pop()
        self._stack.append((first, second))

    def op_tuple3(self, _: None) -> None:
        third, second, first = self._pop(), self._pop(), self._pop()
        self._stack.append((first, second, third))

    def op_append(self, _: None) -> None:
        self._extend([self._pop()])

    def op_appends(self, _: None) -> None:
        self._extend(self._items())

    def _extend(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise FileRefusedError("it is a damaged pickle: items of no list.")
        self._stack[-1].extend(items)

    def op_setitem(self, _: None) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def op_setitems(self, _: None) -> None:
        self._update(self._items())

    def _update(self, items: list[Any]) -> None:
        if not isinstance(self._stack[-1], dict):
            raise FileRefusedError("it is a damaged pickle: keys of no dict.")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):  # a tuple's hash can take for ever
                raise FileRefusedError(
                    f"a dict in it has a key of the type {type(key).__name__}; only "
                    "text and integers are read."
                )
            self._stack[-1][key] = value

    def op_global(self, names: str) -> None:
        module, _, name = names.partition(" ")
        self._name(module, name)

    def op_stack_global(self, _: None) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _name(self, module: Any, name: Any) -> None:
        pair = (module, name)
        if not all(isinstance(each, str) for each in pair) or pair not in _NAMES:
            raise FileRefusedError(
                f"it holds an object of {module}.{name}. Only dicts of NumPy arrays "
                "are read, and nothing in a file is ever run."
            )
        self._stack.append(_Name(_NAMES[pair]))

    def op_reduce(self, _: None) -> None:
        arguments, name = self._pop(), self._pop()
        meaning = name.meaning if isinstance(name, _Name) else None
        if meaning == "array" and isinstance(arguments, tuple):
            self._stack.append(_Array())
        elif meaning == "dtype" and arguments[0] in _DTYPES:
            self._stack.append(_Dtype(arguments[0]))
        elif meaning == "dict" and arguments == ():
            self._stack.append({})
        elif meaning == "tuple" and isinstance(arguments[0], tuple):
            self._stack.append(arguments[0])
        elif meaning == "bytes" and (not arguments or arguments[1] == "latin1"):
            self._stack.append("".join(arguments[:1]).encode("latin-1"))
        else:
            shown = meaning or type(name).__name__
            raise FileRefusedError(
                f"it holds a {shown} made of {arguments!r:.60}. Only arrays of plain "
                "numbers are read."
            )

    def op_build(self, _: None) -> None:
        state, target = self._pop(), self._stack[-1]
        if isinstance(target, _Dtype):
            target.value = _ordered(target.value, *state[:5])
        elif isinstance(target, _Array):
            target.value = _array(*state)
        else:
            raise FileRefusedError(
                f"it sets the state of a {type(target).__name__}, which plain arrays "
                "do not need."
            )


def _ordered(dtype: np.dtype, _: Any, order: Any, *fields: Any) -> np.dtype:
    """Returns a dtype in the byte order of its state, which must have no fields."""
    if order not in ("<", ">", "=", "|") or any(field is not None for field in fields):
        raise FileRefusedError("an array in it holds records, not plain numbers.")
    return dtype.newbyteorder(order)


def _array(
    version: Any, shape: Any, dtype: Any, fortran: Any, numbers: Any
) -> np.ndarray:
    """Returns an array of its pickled state."""
    if isinstance(numbers, str):  # of Python 2, whose text was bytes
        numbers = numbers.encode("latin-1")
    if (
        version != 1
        or not isinstance(dtype, _Dtype)
        or not isinstance(numbers, bytes)
        or not isinstance(shape, tuple)
        or not all(type(size) is int and size >= 0 for size in shape)
    ):
        raise FileRefusedError("an array in it is not one of plain numbers.")
    if math.prod(shape) * dtype.value.itemsize != len(numbers):
        raise FileRefusedError(
            f"an array in it claims the shape {shape} of {dtype.value}, and has "
            f"{len(numbers)} bytes. The file is damaged."
        )
    array = np.frombuffer(numbers, dtype.value)
    return array.reshape(shape, order="F" if fortran else "C")


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Returns a value with the arrays in it in place of what built them."""
    if isinstance(value, _Array):
        if value.value is None:
            raise FileRefusedError("an array in it has no numbers. It is damaged.")
        return value.value
    if not isinstance(value, dict | list | tuple):
        if isinstance(value, _Name | _Dtype):
            raise FileRefusedError("it holds a type in place of data.")
        return value
    if id(value) not in done:  # a dict can hold itself, or another a thousand times
        if isinstance(value, dict):
            mine: dict[Any, Any] = {}
            done[id(value)] = mine
            mine.update((key, _plain(each, done)) for key, each in value.items())
        else:
            done[id(value)] = None
            done[id(value)] = type(value)(_plain(each, done) for each in value)
    return done[id(value)]
