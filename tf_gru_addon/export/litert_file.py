"""Counts the ops in the content of a LiteRT file, and makes it smaller."""

from __future__ import annotations

import collections
from typing import Any


def count_ops(content: bytes) -> dict[str, int]:
    """Counts the ops of a file, including those in loop bodies.

    Args:
        content: The content of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = _read(content)
    codes = [
        # Older ops have a number of one byte, newer ones a number of four.
        names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        for code in model.operatorCodes
    ]
    used = (op.opcodeIndex for graph in model.subgraphs for op in graph.operators or ())
    return dict(collections.Counter(codes[index] for index in used))


def without_inner_names(content: bytes) -> bytes:
    """Removes the names of all tensors that are neither inputs nor outputs.

    In a file with a loop, these names take as much space as everything else apart from
    the weights.

    Args:
        content: The content of the file.
    """
    import flatbuffers

    model = _read(content)
    for graph in model.subgraphs:
        outer = {*graph.inputs, *graph.outputs} if graph is model.subgraphs[0] else ()
        for index, tensor in enumerate(graph.tensors):
            if index not in outer:
                tensor.name = None
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.Pack = _AlignedPack(buffer.data)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


class _AlignedPack:
    """Packs the data of a buffer at a multiple of 16 bytes, as the format requires."""

    def __init__(self, data: Any) -> None:
        self._data = bytes(data)

    def __call__(self, builder: Any) -> int:
        from ai_edge_litert import schema_py_generated as schema

        builder.StartVector(1, len(self._data), 16)
        end = builder.Head()
        builder.head = end - len(self._data)
        builder.Bytes[builder.head : end] = self._data
        data = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, data)
        return schema.BufferEnd(builder)


def _read(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(content), 0))
