"""From the arrays that a file lists for a layer to the parts of the layer."""

from __future__ import annotations

import re

from tf_gru_addon.migrate.legacy.era import Era
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.stored import Stored

#: The arrays of a part.
Found = tuple[Part, list[Stored]]

#: What Keras 1 called its arrays, by Keras 2's names.
_KERAS_1_NAMES = {
    "bias": "b",
    "embeddings": "W",
    "kernel": "W",
    "moving_mean": "running_mean",
    "moving_variance": "running_std",
    "recurrent_kernel": "U",
}


def deal(layer: Part, arrays: list[Stored], era: Era) -> list[Found]:
    """Returns which arrays each part of a layer has of those listed for the layer.

    Raises:
        LegacyModelError: Arrays are missing or surplus, or not in Keras' order.
    """
    slots = layer.in_file_order()
    if len(slots) != len(arrays):
        raise LegacyModelError(
            f"layer {layer.name!r} ({layer.kind}) has {len(slots)} arrays "
            f"({', '.join(name for _, name in slots) or 'none'}), and the file holds "
            f"{len(arrays)} ({', '.join(a.name for a in arrays) or 'none'}). The file "
            "is damaged, or was not written whole."
        )
    found: dict[int, Found] = {}
    for (part, name), array in zip(slots, arrays, strict=True):
        if not _is_called(array.name, name, era):
            raise LegacyModelError(
                f"layer {layer.name!r} ({layer.kind}): the file has the array "
                f"{array.name!r} where {name!r} was expected. What it holds would be a "
                "guess, so it is not loaded."
            )
        found.setdefault(id(part), (part, []))[1].append(array)
    return list(found.values())


def _is_called(full_name: str, name: str, era: Era) -> bool:
    # "gru/gru_cell/kernel_1:0" was the second of its name in a graph.
    last = re.sub(r"(_\d+)?(:\d+)?$", "", full_name.rpartition("/")[2])
    if era.is_keras_1:
        return last.endswith("_" + _KERAS_1_NAMES.get(name, name))
    return last == name
