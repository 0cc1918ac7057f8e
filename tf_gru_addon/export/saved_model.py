"""A model as a SavedModel of TensorFlow's own ops."""

from __future__ import annotations

import collections
import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon.export.checks import check
from tf_gru_addon.export.errors import ExportError
from tf_gru_addon.export.examples import Arrays
from tf_gru_addon.export.grus import as_grus
from tf_gru_addon.export.parity import (
    Run,
    measure,
    new_output,
    unique_name,
    why_not_keras,
)
from tf_gru_addon.export.parity_report import ParityReport, require_passed
from tf_gru_addon.files import size
from tf_gru_addon.ops.engines import use_engine


def export_saved_model(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    tolerance: float = 1e-5,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as a SavedModel, and runs it beside the model.

    It holds standard ops only, whatever engine the layers run on, and needs neither
    Keras nor this package. A `keras.layers.GRU` and a `keras.layers.RNN` of a `GRUCell`
    run as this package's `GRU` does. Batch size and timesteps are open where the model
    leaves them open, masks have their meaning, and a stateful layer goes on from the
    state that it has now. With `loaded = tf.saved_model.load(path)` there are

    - `loaded.serve(x)`, with an argument for each input of the model: the output, or a
      list of the outputs;
    - `loaded.signatures["serving_default"](name=x)`, with the names of the model's
      inputs: a dict of the outputs, by the names of the layers that give them.

    Args:
        model: A built functional or sequential model.
        path: The folder to write; it must not exist.
        tolerance: The largest error allowed where rounding does not explain more; see
            `ParityReport`.
        examples: More inputs to compare on: a name, and an array for each input.
        only_examples: Whether `examples` replaces the random inputs.
        beside_keras: Whether to measure Keras' own export of the model too.

    Returns:
        The report.

    Raises:
        ExportError: The model is not built, a layer holds an op that is not
            TensorFlow's (the message names the op), `path` exists; or the numbers
            differ, and then the folder stays.
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
    checked = check(
        model,
        path,
        tolerance=tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )
    flat = checked.model
    with new_output(path) as unfinished:
        with as_grus(flat), use_engine("portable"):
            write_saved_model(flat, unfinished)
        ops = _ops(unfinished)
        if foreign := [op for op in ops if not hasattr(tf.raw_ops, op)]:
            raise ExportError(
                f"{model.name}: a layer runs the op {foreign[0]}, which is not "
                "TensorFlow's own. Take another layer."
            )
    first = next(iter(checked.cases.values()))
    run = load_saved_model(checked.path)
    return require_passed(
        ParityReport(
            format="saved_model",
            path=checked.path,
            size=size(checked.path),
            ops=ops,
            comparison=checked.compare(run),
            latency_ms=measure(run, first),
            **(_keras_export(flat, first) if beside_keras else {}),
        )
    )


def load_saved_model(path: str | os.PathLike) -> Run:
    """Returns what runs a SavedModel, each time from the states that it was saved with.

    Args:
        path: The folder.
    """
    loaded = tf.saved_model.load(str(path))
    variables = loaded.signatures["serving_default"].variables
    states = [(v, v.numpy()) for v in variables if not v.trainable]

    def run(arrays: Arrays) -> Arrays:
        for state, value in states:
            state.assign(value)
        outputs = tf.nest.flatten(loaded.serve(*arrays))
        return [np.asarray(output) for output in outputs]

    return run


def endpoint_names(model: keras.Model) -> tuple[list[str], list[str]]:
    """Returns the names of a signature's inputs and outputs, in the model's order.

    Args:
        model: A `flat_model`.
    """
    inputs: set[str] = set()
    outputs: set[str] = set()
    return (
        [unique_name(tensor.name, inputs) for tensor in model.inputs],
        [unique_name(name, outputs) for name in model.output_names],
    )


def write_saved_model(model: keras.Model, path: Path) -> None:
    """Writes a model with the endpoints of `export_saved_model`, and runs nothing.

    Args:
        model: A `flat_model`.
        path: The folder to write.
    """
    names, output_names = endpoint_names(model)
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for tensor, name in zip(model.inputs, names, strict=True)
    ]

    archive = keras.export.ExportArchive()
    archive.track(model)

    # The archive is given plain functions: a tf.function it traces and saves twice.
    def run(*inputs):
        outputs = keras.tree.flatten(model(list(inputs), training=False))
        return outputs[0] if len(outputs) == 1 else outputs

    serve = archive.add_endpoint("serve", run, input_signature=specs)

    def named(*inputs):
        return dict(zip(output_names, tf.nest.flatten(serve(*inputs)), strict=True))

    archive.add_endpoint("serving_default", named, input_signature=specs)
    _quietly(archive.write_out, path)


def _quietly(write: Any, *arguments: Any, **options: Any) -> None:
    """Calls what Keras writes with, which describes what it has written."""
    with contextlib.redirect_stdout(io.StringIO()):
        write(*arguments, **options)


def _ops(path: Path) -> dict[str, int]:
    """Returns how often each op stands in a SavedModel and its functions."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = (path / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].graph_def
    functions = [function.node_def for function in graph.library.function]
    names = (node.op for nodes in (graph.node, *functions) for node in nodes)
    return dict(collections.Counter(names))


def _keras_export(model: keras.Model, arrays: Arrays) -> dict[str, Any]:
    """Returns what a report says of Keras' own export."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "saved_model"
        runtime = None
        try:
            _quietly(model.export, path)
            runtime = "TensorFlow"
            loaded = tf.saved_model.load(str(path))
            serve = loaded.signatures["serving_default"]
            keys = list(serve.structured_input_signature[1])
            names = keys if len(keys) == 1 else [each.name for each in model.inputs]
            inputs = dict(zip(names, map(tf.constant, arrays), strict=True))
            milliseconds = measure(
                lambda _: [np.asarray(y) for y in serve(**inputs).values()], arrays
            )
        except Exception as error:  # whatever stops it is what there is to say
            return {"keras_reason": why_not_keras(error, runtime)}
        return {"keras_latency_ms": milliseconds, "keras_size": size(path)}
