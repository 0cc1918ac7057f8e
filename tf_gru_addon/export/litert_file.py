"""The content of a LiteRT file: what stands in it, and how to make it smaller."""

from __future__ import annotations

import collections
from typing import Any


def count_ops(content: bytes) -> dict[str, int]:
    """Returns how often each op stands in a file, its loops' bodies included.

    Args:
        content: The file.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    model = _read(content)
    codes = [
        # Ops are numbered in one byte, and later ones in four.
        names[max(code.builtinCode, code.deprecatedBuiltinCode)]
        for code in model.operatorCodes
    ]
    used = (op.opcodeIndex for graph in model.subgraphs for op in graph.operators or ())
    return dict(collections.Counter(codes[index] for index in used))


def without_inner_names(content: bytes) -> bytes:
    """Returns a file without the names of what is neither an input nor an output.

    For a loop they are as large as everything else but the weights.

    Args:
        content: The file.
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
    """Packs a buffer's data where the format wants it: at a multiple of 16 bytes."""

    def __init__(self, data: Any):
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
