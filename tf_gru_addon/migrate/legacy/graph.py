"""From a model's entry in a file to a model."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of
from tf_gru_addon.layers.keras2_masks import MaskOf
from tf_gru_addon.migrate.legacy import catalog, operations
from tf_gru_addon.migrate.legacy.entry import Entry
from tf_gru_addon.migrate.legacy.errors import (
    LegacyModelError,
    building,
    expect,
    short,
)
from tf_gru_addon.migrate.legacy.layers import Layers, keras_name

#: The tensors that are there: by layer, number of the call, number of the output.
_Tensors = dict[tuple[str, int, int], Any]
#: A call to make: the layer, the number of the call, and what it takes.
_Pending = tuple[Entry, int, Any]


def make_model(entry: Entry, layers: Layers, nested: bool = True) -> keras.Model:
    """Returns the model, with zeros for weights.

    Args:
        entry: The model's entry.
        layers: What makes the layers of the file.
        nested: Whether the model is a layer of another.

    Raises:
        LegacyModelError: A layer is not known, or they do not fit together.
    """
    if entry.kind not in catalog.MODELS or not entry.is_of_keras:
        raise LegacyModelError(
            f"{entry.where} is no Functional, Model or Sequential. Of a class of your "
            "own the file does not say what it computes: build the model anew and set "
            "its weights."
        )
    if entry.kind == "Sequential":
        return _sequential(entry, layers)
    return _functional(entry, layers, nested)


def _sequential(entry: Entry, layers: Layers) -> keras.Sequential:
    entries = entry.within("layers")
    model = keras.Sequential(name=keras_name(entry.name))
    if (tensor := _first_input(entry, entries, layers)) is not None:
        model.add(tensor)
    for inner in entries:
        if inner.kind != "InputLayer":
            layer = layers.make(inner)
            with building(inner.where):
                model.add(layer)
    _freeze(model, entry)
    return model


def _first_input(entry: Entry, entries: list[Entry], layers: Layers):
    """Returns the input that a Sequential starts from; None if the file has none."""
    if not entries:
        raise LegacyModelError(f"{entry.where} holds no layers.")
    first = entries[0]
    if first.kind == "InputLayer":
        return _input(first, first.name, layers)
    config = first.config
    if first.kind in catalog.WRAPPERS and "batch_input_shape" not in config:
        config = {**config, **(first.within("layer") or [first])[0].config}
    if "batch_input_shape" not in config and first.kind in catalog.MODELS:
        return None  # It brings its own.
    shape = config.get("batch_input_shape") or entry.config.get("build_input_shape")
    if shape is None:
        return None
    config = {**config, "batch_input_shape": shape}
    if not isinstance(config.get("input_dtype") or config.get("dtype"), str):
        config["dtype"] = layers.era.floatx
    source = Entry(first.kind, first.name, config, [], True)
    return _input(source, f"{first.name}_input", layers)


def _input(entry: Entry, name: str, layers: Layers):
    config = entry.config
    for key in ("sparse", "ragged"):
        if config.get(key):
            raise LegacyModelError(
                f"{entry.where} takes {key} tensors, which no GRU of Keras 3 does: "
                "pad the sequences and mask the padding."
            )
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    expect(shape, list, f"{entry.where}: batch_input_shape")
    for size in shape:
        if size is not None:
            expect(size, int, f"{entry.where}: batch_input_shape")
    dtype = config.get("input_dtype") or config.get("dtype") or layers.era.floatx
    expect(dtype, str, f"{entry.where}: dtype")
    with building(entry.where):
        return keras.Input(batch_shape=shape, dtype=dtype, name=keras_name(name))


def _freeze(model: keras.Model, entry: Entry) -> None:
    if not entry.trainable:
        model.trainable = False


def _functional(entry: Entry, layers: Layers, nested: bool) -> keras.Model:
    tensors: _Tensors = {}
    pending: list[_Pending] = []
    made: dict[str, Any] = {}
    for inner in entry.within("layers"):
        if inner.name in made:
            raise LegacyModelError(
                f"{inner.where} is there twice. The file is damaged."
            )
        if inner.kind == "InputLayer":
            made[inner.name] = None
            tensors[inner.name, 0, 0] = _input(inner, inner.name, layers)
        else:
            # A layer of an operation has the arguments of its call.
            is_operation = layers.is_operation(inner)
            made[inner.name] = None if is_operation else layers.make(inner)
            pending += [(inner, i, node) for i, node in enumerate(inner.inbound)]
    offsets = _offsets(entry, pending)
    pending = [(e, i + offsets.get(e.name, 0), node) for e, i, node in pending]
    masks_unknown = nested or any(map(_masks_known_late, made.values()))
    _call_all(pending, made, tensors, masks_unknown)
    inputs, outputs = (
        _ends(entry, key, tensors) for key in ("input_layers", "output_layers")
    )
    with building(entry.where):
        model = keras.Model(inputs, outputs, name=keras_name(entry.name))
    _freeze(model, entry)
    return model


def _masks_known_late(layer: Any) -> bool:
    """Whether the mask of a layer's outputs is not known before the layer runs."""
    return isinstance(layer, keras.Model) or getattr(layer, "masks_known_late", False)


def _call_all(
    pending: list[_Pending],
    made: dict[str, Any],
    tensors: _Tensors,
    masks_unknown: bool,
) -> None:
    """Makes every call, each as soon as all that it takes is there."""
    while pending:
        waiting = []
        for call in pending:
            entry, index, node = call
            if any(reference not in tensors for reference in _references(node)):
                waiting.append(call)
                continue
            if not _references(node):
                raise LegacyModelError(
                    f"{entry.where} is called with {short(node)}, which names no "
                    "layer. The file is damaged."
                )
            if made[entry.name] is None:
                results = _call_operation(entry, index, node, tensors)
            else:
                results = _call(entry, made[entry.name], node, tensors, masks_unknown)
            for i, result in enumerate(tf.nest.flatten(results)):
                tensors[entry.name, index, i] = result
        if len(waiting) == len(pending):
            entry, _, node = waiting[0]
            raise LegacyModelError(
                f"{entry.where} is called with {_missing(node, tensors)}, which "
                "nothing gives. The file is damaged."
            )
        pending = waiting


def _offsets(entry: Entry, calls: list[_Pending]) -> dict[str, int]:
    """Returns, by layer, the number that the file gives to its first call.

    It is 0, but 1 for a model within the model, whose making Keras counted as a call.
    Every call in a file is one that something refers to, so the largest number tells.
    """
    largest: dict[str, int] = {}
    ends = [entry.config.get(key) for key in ("input_layers", "output_layers")]
    for node in [*(node for *_, node in calls), *ends]:
        for name, index, _ in _references(node):
            largest[name] = max(index, largest.get(name, 0))
    counts: dict[str, int] = {}
    for inner, *_ in calls:
        counts[inner.name] = counts.get(inner.name, 0) + 1
    return {
        inner.name: 1
        for inner, *_ in calls
        if inner.kind in catalog.MODELS
        and largest.get(inner.name) == counts[inner.name]
    }


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and [type(item) for item in value[:3]] == [str, int, int]
        and value[0] != operations.CONSTANT
    )


def _references(value: Any) -> list[tuple[str, int, int]]:
    """Returns all that a node, however nested, refers to."""
    if _is_reference(value):
        found = [tuple(value[:3])]
        return found + (_references(value[3]) if len(value) == 4 else [])
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return []
    return [found for item in items for found in _references(item)]


def _missing(node: Any, tensors: _Tensors) -> str:
    name, index, output = next(r for r in _references(node) if r not in tensors)
    return f"output {output} of call {index} of the layer {name!r}"


def _resolve(value: Any, tensors: _Tensors) -> Any:
    """Returns a node's arguments with tensors in place of references."""
    if _is_reference(value):
        return tensors[tuple(value[:3])]
    if isinstance(value, dict):
        return {key: _resolve(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, tensors) for item in value]
    return value


def _call_operation(entry: Entry, index: int, node: Any, tensors: _Tensors):
    """Calls an operation of TensorFlow as a node of the file says."""

    def tensor_of(value: Any) -> Any:
        return tensors[tuple(value[:3])] if _is_reference(value) else None

    name = keras_name(entry.name) + (f"_call_{index}" if index else "")
    arguments = _arguments(entry, node)
    return operations.call_operation(entry, name, node, arguments, tensor_of)


def _call(entry: Entry, layer, node: Any, tensors: _Tensors, masks_unknown: bool):
    """Calls a layer as a node of the file says."""
    inputs = _resolve(node, tensors)
    arguments = _resolve(_arguments(entry, node), tensors)
    known = catalog.CALL_ARGUMENTS.get(entry.kind, ("mask", "training"))
    for name, value in arguments.items():
        if name not in known and value is not None:
            raise LegacyModelError(
                f"{entry.where} is called with {name}={short(value)}; known are "
                f"{', '.join(known)}."
            )
    if entry.config.get("causal") and entry.kind in catalog.ATTENTION:
        arguments["use_causal_mask"] = True
    if isinstance(inputs, list) and entry.kind not in catalog.MERGING:
        if entry.kind in catalog.RECURRENT and len(inputs) > 1:
            arguments["initial_state"] = inputs[1:]
            inputs = inputs[0]
        elif len(inputs) == 1:
            (inputs,) = inputs
    if entry.kind in catalog.RECURRENT and arguments.get("initial_state") is not None:
        arguments["initial_state"] = _states(entry, layer, arguments["initial_state"])
        # Keras 3 forgets the mask of a layer that is given more than one tensor, and
        # knows only at run time what mask a model within a model gives.
        if arguments.get("mask") is None:
            arguments["mask"] = mask_of(inputs)
        if arguments["mask"] is None and masks_unknown:
            arguments["mask"] = MaskOf()(inputs)
    takes = inspect.signature(layer.call).parameters
    for name in [n for n, value in arguments.items() if value is None]:
        del arguments[name]
    if "training" not in takes:
        arguments.pop("training", None)
    with building(entry.where):
        return layer(inputs, **arguments)


def _arguments(entry: Entry, node: Any) -> dict[str, Any]:
    """Returns the keyword arguments of a call, which every reference repeats."""
    while not (_is_reference(node) or operations.is_constant(node)):
        items = node.values() if isinstance(node, dict) else node
        node = next(item for item in items if _references(item))
    arguments = node[3] if len(node) == 4 else {}
    return dict(expect(arguments, dict, f"{entry.where}: its arguments"))


def _states(entry: Entry, layer, states: Any):
    states = tf.nest.flatten(states)
    if entry.kind == "Bidirectional":
        return states
    sizes = layer.cell.state_size
    if len(states) != len(tf.nest.flatten(sizes)):
        raise LegacyModelError(
            f"{entry.where} is called with {len(states)} states, and has "
            f"{len(tf.nest.flatten(sizes))}; constants are not known here."
        )
    if tf.nest.is_nested(sizes):
        return tf.nest.pack_sequence_as(sizes, states)
    return states


def _ends(entry: Entry, key: str, tensors: _Tensors):
    """Returns the inputs or the outputs of a model."""
    value = entry.config.get(key)
    missing = [r for r in _references(value) if r not in tensors]
    if missing or not _references(value):
        raise LegacyModelError(
            f"{entry.where}: {key} is {short(value)}, which nothing gives. The file is "
            "damaged."
        )
    ends = _resolve(value, tensors)
    return ends[0] if isinstance(ends, list) and len(ends) == 1 else ends
