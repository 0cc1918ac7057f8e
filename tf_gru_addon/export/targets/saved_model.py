"""The target `saved_model`: a SavedModel with only standard TensorFlow ops."""

from __future__ import annotations

import collections
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon._compat import layers_of
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.parity_report import ParityReport
from tf_gru_addon.export.steps import step_function
from tf_gru_addon.export.target import (
    STEP,
    WHOLE,
    Named,
    Opened,
    StepOptions,
    Target,
    endpoint_names,
)
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming.streaming_model import StreamingModel
from tf_gru_addon.verify import Arrays, Run


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    tolerance: float = 1e-5,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as a SavedModel, and runs it beside the model.

    The SavedModel contains only standard TensorFlow ops, whichever engine the layers
    run on. Loading it needs neither Keras nor this package. Each `keras.layers.GRU` and
    each `keras.layers.RNN` of a `GRUCell` is written as this package's `GRU`. Batch
    size and timesteps are dynamic where they are dynamic in the model. Masks work as in
    the model. A stateful layer starts from its current state.
    `loaded = tf.saved_model.load(path)` has two endpoints:

    - `loaded.serve(x)` takes one argument per model input, and returns the output, or a
      list if the model has several.
    - `loaded.signatures["serving_default"](name=x)` takes the model inputs by name, and
      returns a dict of the outputs by the names of their layers.

    Args:
        model: A built functional or sequential model.
        path: The folder to write. It must not exist.
        tolerance: The largest error allowed, unless rounding alone makes a larger one;
            see `ParityReport`.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.
        beside_keras: Whether to measure Keras' own export too.

    Returns:
        The report.

    Raises:
        ExportError: The model is not built, a layer runs an op that is not part of
            TensorFlow (the message names the op), `path` exists, or the outputs differ.
            If they differ, the folder is kept.
        RunError: The folder cannot be written.

    Example:
        >>> import keras
        >>> import tensorflow as tf
        >>> import tf_gru_addon
        >>> model = keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(4)])
        >>> report = export_saved_model(model, "served", beside_keras=False)
        >>> report.passed
        True
        >>> loaded = tf.saved_model.load("served")
        >>> loaded.serve(tf.zeros([2, 10, 3])).shape
        TensorShape([2, 4])
    """
    return export_whole(
        TARGET,
        model,
        path,
        tolerance=tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )


def _write(model: keras.Model, path: Path, quantize: str) -> list[GRU]:
    with use_engine("portable"):
        write_saved_model(model, path)
    if foreign := [op for op in _count_ops(path) if not hasattr(tf.raw_ops, op)]:
        raise ExportError(
            f"{model.name}: a layer runs the op {foreign[0]}, which is not part of "
            "TensorFlow. Replace the layer."
        )
    return []


def write_saved_model(model: keras.Model, path: Path) -> None:
    """Writes a SavedModel with the endpoints of `export_saved_model`, unchecked.

    Args:
        model: A `prepared` model.
        path: The folder to write.
    """
    names, output_names = endpoint_names(model)
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for tensor, name in zip(model.inputs, names, strict=True)
    ]

    @tf.function(input_signature=specs, autograph=False)
    def serve(*inputs: tf.Tensor) -> Any:
        outputs = keras.tree.flatten(model(list(inputs), training=False))
        return outputs[0] if len(outputs) == 1 else outputs

    @tf.function(input_signature=specs, autograph=False)
    def named(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(output_names, tf.nest.flatten(serve(*inputs)), strict=True))

    save(model, path, {"serving_default": named}, serve=serve)


def save(
    model: keras.Model, path: Path, signatures: Mapping[str, Any], **functions: Any
) -> None:
    """Saves functions of a model.

    Keras' `ExportArchive` would set attributes of the layers.

    Args:
        model: The model, whose variables and lookup tables are saved.
        path: The folder to write.
        signatures: The functions to save as signatures, by name.
        **functions: Functions to save as attributes.
    """
    root = tf.__internal__.tracking.AutoTrackable()
    root.variables = list(model.variables)
    root.resources = _resources(model)
    for name, function in functions.items():
        setattr(root, name, function)
    tf.saved_model.save(root, str(path), signatures=dict(signatures))


def _resources(model: keras.Model) -> list[Any]:
    """Returns the layers' trackable objects, such as lookup tables and variables.

    `model.variables` does not include the states of stateful layers.
    """
    kinds = (tf.saved_model.experimental.TrackableResource, tf.Variable, tf.Module)
    found: dict[int, Any] = {}

    def visit(value: Any) -> None:
        if isinstance(value, keras.Variable):
            value = value.value
        if isinstance(value, kinds):
            found[id(value)] = value
        elif isinstance(value, list | tuple):
            for each in value:
                visit(each)
        elif isinstance(value, dict):
            visit(list(value.values()))

    for layer in layers_of(model):
        visit(dict(vars(layer)))
    return list(found.values())


def write_step(streaming: StreamingModel, options: StepOptions, path: Path) -> None:
    """Writes a step as a SavedModel with the signatures `step` and `initial_states`."""
    step = step_function(streaming, options)
    initial_states = tf.function(
        streaming.initial_states,
        input_signature=[tf.TensorSpec([], tf.int32, "batch_size")],
    ).get_concrete_function()
    root = tf.Module()
    root.variables_of_step = list(step.variables)
    signatures = {STEP: step, "initial_states": initial_states}
    tf.saved_model.save(root, str(path), signatures=signatures)


def _open(path: Path, signature: str) -> Opened:
    """Opens a SavedModel in TensorFlow.

    Each call of a stateful model starts from the saved states.
    """
    loaded = tf.saved_model.load(str(path))
    variables = loaded.signatures[WHOLE].variables if signature == WHOLE else ()
    states = [(v, v.numpy()) for v in variables if not v.trainable]

    def run(inputs: Named) -> Named:
        for state, value in states:
            state.assign(value)
        # Looked up in each call: a signature does not keep its SavedModel alive.
        signature_function = loaded.signatures[signature]
        results = signature_function(**{n: tf.constant(x) for n, x in inputs.items()})
        return {name: y.numpy() for name, y in results.items()}

    return Opened(run)


def _count_ops(path: Path) -> dict[str, int]:
    """Counts the ops of a SavedModel, including those of its functions."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = (path / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    functions = [function.node_def for function in graph.library.function]
    names = (node.op for nodes in (graph.node, *functions) for node in nodes)
    return dict(collections.Counter(names))


def _keras_open(path: Path, model: keras.Model) -> Run:
    loaded = tf.saved_model.load(str(path))
    keys = list(loaded.signatures[WHOLE].structured_input_signature[1])
    names = keys if len(keys) == 1 else [each.name for each in model.inputs]

    def run(arrays: Arrays) -> Arrays:
        inputs = dict(zip(names, map(tf.constant, arrays), strict=True))
        return [np.asarray(y) for y in loaded.signatures[WHOLE](**inputs).values()]

    return run


TARGET = Target(
    name="saved_model",
    file="a folder",
    whole="standard TensorFlow ops only",
    step="signatures `step` and `initial_states`",
    suffix="",
    runtime="TensorFlow",
    write=_write,
    write_step=write_step,
    open=_open,
    count_ops=_count_ops,
    keras_export=lambda model, path: model.export(path),
    keras_open=_keras_open,
    least_frames=0,
)
