"""From a model's entry in a file to a model: its inputs, calls and outputs."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import tensorflow as tf

from tf_gru_addon._compat import mask_of
from tf_gru_addon.layers.keras2_masks import MaskOf
from tf_gru_addon.layers.keras2_ops import GETITEM, OPERATIONS, TensorFlowOperation
from tf_gru_addon.migrate.legacy.catalog import known
from tf_gru_addon.migrate.legacy.config import Entry
from tf_gru_addon.migrate.legacy.errors import (
    LegacyModelError,
    building,
    expect,
    short,
)
from tf_gru_addon.migrate.legacy.layers import LayerFactory, keras_name

#: Names a tensor: a layer, the number of its call and the number of the output.
_Reference = tuple[str, int, int]
_Tensors = dict[_Reference, Any]
#: A call that is still to be made: a layer, the number of the call, and its node, which
#: is what the file says about the call.
_Call = tuple[Entry, int, Any]

#: Marks a constant in the place of a tensor: [this, -1, the constant, {arguments}].
_CONSTANT = "_CONSTANT_VALUE"


def make_model(entry: Entry, factory: LayerFactory, nested: bool = True) -> keras.Model:
    """Returns the model of an entry, with zeros as weights.

    Args:
        entry: The model's entry.
        factory: Makes the layers.
        nested: Whether the model is a layer of another model.

    Raises:
        LegacyModelError: A layer is not supported, or the layers do not fit together.
    """
    if not entry.is_model or not entry.is_of_keras:
        raise LegacyModelError(
            f"{entry.where} is not a Functional, Model or Sequential. For a model "
            "class of your own, the file does not say what it computes: rebuild the "
            "model and set its weights."
        )
    make = _sequential if entry.kind == "Sequential" else _functional
    model = make(entry, factory, nested)
    if not entry.trainable:
        model.trainable = False
    return model


def _sequential(entry: Entry, factory: LayerFactory, nested: bool) -> keras.Model:
    entries = entry.all_inner("layers")
    model = keras.Sequential(name=keras_name(entry.name))
    if (tensor := _first_input(entry, entries, factory)) is not None:
        model.add(tensor)
    for inner in entries:
        if inner.kind != "InputLayer":
            layer = factory.make(inner)
            with building(inner.where):
                model.add(layer)
    return model


def _first_input(entry: Entry, entries: list[Entry], factory: LayerFactory) -> Any:
    """Returns the input of a Sequential; None if the file does not define it."""
    if not entries:
        raise LegacyModelError(f"{entry.where} holds no layers.")
    first = entries[0]
    if first.kind == "InputLayer":
        return _input(first, first.name, factory)
    config = first.config
    if known(first.kind).wraps and "batch_input_shape" not in config:
        config = {**config, **(first.all_inner("layer") or [first])[0].config}
    if "batch_input_shape" not in config and first.is_model:
        return None  # That model has its own input.
    shape = config.get("batch_input_shape") or entry.config.get("build_input_shape")
    if shape is None:
        return None
    config = {**config, "batch_input_shape": shape}
    if not isinstance(config.get("input_dtype") or config.get("dtype"), str):
        config["dtype"] = factory.era.floatx
    source = Entry(first.kind, first.name, config, [], True)
    return _input(source, f"{first.name}_input", factory)


def _input(entry: Entry, name: str, factory: LayerFactory) -> keras.KerasTensor:
    config = entry.config
    for key in ("sparse", "ragged"):
        if config.get(key):
            raise LegacyModelError(
                f"{entry.where} takes {key} tensors, which no GRU of Keras 3 supports. "
                "Pad the sequences and mask the padding."
            )
    shape = config.get("batch_input_shape", config.get("batch_shape"))
    for size in expect(shape, list, f"{entry.where}: batch_input_shape"):
        if size is not None:
            expect(size, int, f"{entry.where}: batch_input_shape")
    dtype = config.get("input_dtype") or config.get("dtype") or factory.era.floatx
    expect(dtype, str, f"{entry.where}: dtype")
    with building(entry.where):
        return keras.Input(batch_shape=shape, dtype=dtype, name=keras_name(name))


def _functional(entry: Entry, factory: LayerFactory, nested: bool) -> keras.Model:
    tensors: _Tensors = {}
    calls: list[_Call] = []
    layers: dict[str, keras.layers.Layer | None] = {}
    for inner in entry.all_inner("layers"):
        if inner.name in layers:
            raise LegacyModelError(f"{inner.where} occurs twice. The file is damaged.")
        layers[inner.name] = None
        if inner.kind == "InputLayer":
            tensors[inner.name, 0, 0] = _input(inner, inner.name, factory)
            continue
        if not factory.is_operation(inner):  # An operation becomes a layer per call.
            layers[inner.name] = factory.make(inner)
        calls += [(inner, i, node) for i, node in enumerate(inner.inbound)]
    first = _first_call_numbers(entry, calls)
    calls = [(e, i + first.get(e.name, 0), node) for e, i, node in calls]
    masks_unknown = nested or any(map(_masks_known_late, layers.values()))
    _make_calls(calls, layers, tensors, masks_unknown)
    inputs, outputs = (
        _ends(entry, key, tensors) for key in ("input_layers", "output_layers")
    )
    with building(entry.where):
        return keras.Model(inputs, outputs, name=keras_name(entry.name))


def _masks_known_late(layer: Any) -> bool:
    """Returns whether the mask of a layer's outputs is only known at run time."""
    return isinstance(layer, keras.Model) or getattr(layer, "masks_known_late", False)


def _make_calls(
    calls: list[_Call],
    layers: dict[str, keras.layers.Layer | None],
    tensors: _Tensors,
    masks_unknown: bool,
) -> None:
    """Makes every call, each as soon as its inputs exist, and adds its outputs."""
    while calls:
        waiting = []
        for call in calls:
            entry, index, node = call
            references = _references(node)
            if any(reference not in tensors for reference in references):
                waiting.append(call)
                continue
            if not references:
                raise LegacyModelError(
                    f"{entry.where} is called with {short(node)}, which refers to no "
                    "layer. The file is damaged."
                )
            layer = layers[entry.name]
            if layer is None:
                results = _call_operation(entry, index, node, tensors)
            else:
                results = _call(entry, layer, node, tensors, masks_unknown)
            for i, result in enumerate(tf.nest.flatten(results)):
                tensors[entry.name, index, i] = result
        if len(waiting) == len(calls):
            entry, _, node = waiting[0]
            name, index, output = next(r for r in _references(node) if r not in tensors)
            raise LegacyModelError(
                f"{entry.where} is called with output {output} of call {index} of the "
                f"layer {name!r}, which nothing computes. The file is damaged."
            )
        calls = waiting


def _first_call_numbers(entry: Entry, calls: list[_Call]) -> dict[str, int]:
    """Returns the number that the file gives to a layer's first call, if it is not 0.

    It is 1 for a model within the model if Keras counted the construction of that model
    as a call. Something refers to every call in a file, so the largest number tells.
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
        if inner.is_model and largest.get(inner.name) == counts[inner.name]
    }


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) in (3, 4)
        and [type(item) for item in value[:3]] == [str, int, int]
        and value[0] != _CONSTANT
    )


def _is_constant(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and value[:2] == [_CONSTANT, -1]


def _references(value: Any) -> list[_Reference]:
    """Returns all references in a node, however nested."""
    if _is_reference(value):
        name, call, output = value[:3]
        found = [(name, call, output)]
        return found + (_references(value[3]) if len(value) == 4 else [])
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return []
    return [found for item in items for found in _references(item)]


def _resolve(value: Any, tensors: _Tensors) -> Any:
    """Returns a node with tensors in the place of references."""
    if _is_reference(value):
        return tensors[tuple(value[:3])]
    if isinstance(value, dict):
        return {key: _resolve(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolve(item, tensors) for item in value]
    return value


def _keyword_arguments(entry: Entry, node: Any) -> dict[str, Any]:
    """Returns the keyword arguments of a call, which every reference repeats."""
    while not (_is_reference(node) or _is_constant(node)):
        items = node.values() if isinstance(node, dict) else node
        node = next(item for item in items if _references(item))
    arguments = node[3] if len(node) == 4 else {}
    return dict(expect(arguments, dict, f"{entry.where}: its arguments"))


def _call(
    entry: Entry,
    layer: keras.layers.Layer,
    node: Any,
    tensors: _Tensors,
    masks_unknown: bool,
) -> Any:
    """Calls a layer and returns its outputs."""
    inputs = _resolve(node, tensors)
    arguments = _resolve(_keyword_arguments(entry, node), tensors)
    legacy = known(entry.kind)
    for name, value in arguments.items():
        if name not in legacy.call_arguments and value is not None:
            raise LegacyModelError(
                f"{entry.where} is called with {name}={short(value)}; supported are "
                f"{', '.join(legacy.call_arguments)}."
            )
    # TensorFlow 2.0 had this argument of the call in the config.
    if entry.config.get("causal") and "use_causal_mask" in legacy.call_arguments:
        arguments["use_causal_mask"] = True
    if isinstance(inputs, list) and not legacy.takes_list:
        if legacy.takes_states and len(inputs) > 1:
            arguments["initial_state"] = inputs[1:]
            inputs = inputs[0]
        elif len(inputs) == 1:
            (inputs,) = inputs
    if legacy.takes_states and arguments.get("initial_state") is not None:
        arguments["initial_state"] = _states(entry, layer, arguments["initial_state"])
        # Keras 3 drops the mask of a layer that is called with more than one tensor,
        # and only knows at run time which mask a model within a model returns.
        if arguments.get("mask") is None:
            arguments["mask"] = mask_of(inputs)
        if arguments["mask"] is None and masks_unknown:
            arguments["mask"] = MaskOf()(inputs)
    arguments = {name: value for name, value in arguments.items() if value is not None}
    if "training" not in inspect.signature(layer.call).parameters:
        arguments.pop("training", None)
    with building(entry.where):
        return layer(inputs, **arguments)


def _states(entry: Entry, layer: keras.layers.Layer, states: Any) -> Any:
    """Returns initial states in the structure that the layer takes."""
    states = tf.nest.flatten(states)
    if entry.kind == "Bidirectional":
        return states
    sizes = layer.cell.state_size
    if len(states) != len(tf.nest.flatten(sizes)):
        raise LegacyModelError(
            f"{entry.where} is called with {len(states)} states, but has "
            f"{len(tf.nest.flatten(sizes))}. Constants are not supported."
        )
    if tf.nest.is_nested(sizes):
        return tf.nest.pack_sequence_as(sizes, states)
    return states


def _call_operation(entry: Entry, index: int, node: Any, tensors: _Tensors) -> Any:
    """Makes a layer for a call of an operation of TensorFlow, and calls it.

    Its first argument is the node itself, the others are the keyword arguments.
    """
    function = expect(entry.config.get("function"), str, f"{entry.where}: function")
    if function not in OPERATIONS:
        raise LegacyModelError(
            f"{entry.where} is the operation {short(function)} of TensorFlow, which is "
            f"not supported. Supported are: {', '.join(sorted(OPERATIONS))}. Write a "
            "layer that does the same and build the model with it."
        )
    inputs: list[Any] = []

    def template(value: Any) -> Any:
        if _is_reference(value):
            inputs.append(tensors[tuple(value[:3])])
            return {"input": len(inputs) - 1}
        if _is_constant(value):
            return value[2]
        if isinstance(value, list):
            return [template(item) for item in value]
        if not isinstance(value, dict):
            return value
        if sorted(value) == ["start", "step", "stop"]:
            return {"slice": [template(value[k]) for k in ("start", "stop", "step")]}
        if value.get("class_name") == "__ellipsis__":
            return {"ellipsis": True}
        if value.get("class_name") == "__tuple__":
            return template(value.get("items"))
        raise LegacyModelError(
            f"{entry.where} is called with {short(value)}, which is not a plain value."
        )

    first = template(node)
    arguments = {
        key: template(value)
        for key, value in _keyword_arguments(entry, node).items()
        if key != "name" and (value is not None or function == GETITEM)
    }
    name = keras_name(entry.name) + (f"_call_{index}" if index else "")
    with building(f"{entry.where}, {function}"):
        return TensorFlowOperation(function, first, arguments, name=name)(inputs)


def _ends(entry: Entry, key: str, tensors: _Tensors) -> Any:
    """Returns the inputs or the outputs of a model."""
    value = entry.config.get(key)
    references = _references(value)
    if not references or any(r not in tensors for r in references):
        raise LegacyModelError(
            f"{entry.where}: {key} is {short(value)}, which nothing computes. The file "
            "is damaged."
        )
    ends = _resolve(value, tensors)
    return ends[0] if isinstance(ends, list) and len(ends) == 1 else ends
