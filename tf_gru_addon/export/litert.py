"""A model as a LiteRT file of built-in ops."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon._compat import layers_of
from tf_gru_addon.export.checks import check
from tf_gru_addon.export.errors import ExportError
from tf_gru_addon.export.examples import Arrays
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.grus import as_grus, rows_at_once
from tf_gru_addon.export.litert_file import count_ops, without_inner_names
from tf_gru_addon.export.parity import (
    Run,
    measure,
    new_output,
    why_not_keras,
)
from tf_gru_addon.export.parity_report import ParityReport, require_passed
from tf_gru_addon.export.saved_model import endpoint_names, write_saved_model
from tf_gru_addon.files import size
from tf_gru_addon.ops import engines, litert

#: What must be installed.
PACKAGES = ("ai_edge_litert",)
#: How weights may be stored, and the largest error that this may make.
TOLERANCES = {"none": 1e-5, "float16": 5e-3, "dynamic": 5e-2, "int8": 1e-1}


def export_litert(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "none",
    tolerance: float | None = None,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as a LiteRT file (`.tflite`), and runs it beside the model.

    The file holds built-in ops only, and a loop for each GRU and not its timesteps one
    by one. Batch size and timesteps are open where the model leaves them open: resize
    the input before a call. There is one signature, `serving_default`, with the names
    of the model's inputs and of the layers that give its outputs.

    Args:
        model: A built functional or sequential model.
        path: The file to write; it must not exist.
        quantize: "none", all float32; "float16", float16 weights, half the size;
            "dynamic", int8 weights, a quarter, which are multiplied with int8 inputs
            whose range is found at each call. (Full int8 needs a fixed number of
            timesteps: `export_streaming` has it, for one timestep.)
        tolerance: The largest error allowed where rounding does not explain more; see
            `ParityReport`. None is 1e-5, or 5e-3 with float16 and 5e-2 with int8
            weights.
        examples: More inputs to compare on: a name, and an array for each input.
        only_examples: Whether `examples` replaces the random inputs.
        beside_keras: Whether to try Keras' own export of the model too.

    Returns:
        The report, of ai-edge-litert's interpreter with one thread.

    Raises:
        ExportError: The model is not built, `path` exists, a layer is stateful, or a
            layer holds an op that LiteRT lacks (the message names it); or the numbers
            differ, and then the file stays.
        ImportError: ai-edge-litert is not installed.
        RunError: The file cannot be written.

    Example:
        >>> import keras
        >>> import tf_gru_addon
        >>> model = keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(4)])
        >>> report = export_litert(model, "model.tflite", beside_keras=False)
        >>> report.passed, report.ops["WHILE"]
        (True, 1)
    """
    if quantize not in ("none", "float16", "dynamic"):
        raise ExportError(
            'quantize must be "none", "float16" or "dynamic" for whole sequences; '
            f"received: {quantize!r}."
        )
    require_extra("LiteRT files", *PACKAGES)
    checked = check(
        model,
        path,
        tolerance=TOLERANCES[quantize] if tolerance is None else tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )
    flat = checked.model
    _refuse_states(flat)
    with tempfile.TemporaryDirectory() as folder, as_grus(flat), _engine(flat):
        saved = Path(folder) / "saved_model"
        write_saved_model(flat, saved)
        content = convert_to_litert(model.name, saved, "serving_default", quantize)
    with new_output(path) as unfinished:
        unfinished.write_bytes(content)
    first = next(iter(checked.cases.values()))
    run = load_litert(checked.path, flat)
    return require_passed(
        ParityReport(
            format="litert" if quantize == "none" else f"litert, {quantize}",
            path=checked.path,
            size=size(checked.path),
            ops=count_ops(content),
            comparison=checked.compare(run),
            latency_ms=measure(run, first),
            **(_keras_export(flat, first) if beside_keras else {}),
        )
    )


def convert_to_litert(
    name: str,
    saved_model: Path,
    signature: str,
    quantize: str = "none",
    representative: Iterable[Mapping[str, np.ndarray]] | None = None,
) -> bytes:
    """Returns a signature of a SavedModel as the content of a LiteRT file.

    Args:
        name: The model's name, for messages.
        saved_model: The folder.
        signature: The signature to convert.
        quantize: A key of `TOLERANCES`.
        representative: For "int8": typical inputs, by name, whose ranges count.

    Raises:
        ExportError: It cannot be held by built-in ops.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[signature]
    )
    if quantize != "none":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantize == "int8":
        samples = list(representative or ())
        converter.representative_dataset = lambda: ((signature, s) for s in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        with _silence(), warnings.catch_warnings():
            # To find ranges the converter takes the interpreter that TensorFlow drops.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            return without_inner_names(converter.convert())
    except Exception as error:  # whatever a converter may raise
        raise ExportError(
            f"{name}: LiteRT's built-in ops cannot hold the model: "
            f"{_summary(error)}. Replace the layer that makes the op, or export a "
            "SavedModel."
        ) from error


def load_litert(path: str | os.PathLike, model: keras.Model) -> Run:
    """Returns what runs a LiteRT file, with one thread.

    Args:
        path: The file.
        model: The `flat_model` that it was made of, for the order of its inputs and
            outputs.
    """
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner("serving_default")
    inputs, outputs = endpoint_names(model)

    def run(arrays: Arrays) -> Arrays:
        results = runner(**dict(zip(inputs, arrays, strict=True)))
        return [results[name] for name in outputs]

    return run


@contextlib.contextmanager
def _engine(model: keras.Model) -> Iterator[None]:
    """Has every layer of a model run as LiteRT can take it."""
    with engines.using(litert.ENGINE), contextlib.ExitStack() as undo:
        for layer in list(layers_of(model)):
            if type(layer) is keras.layers.TimeDistributed:
                call = functools.partial(_all_at_once, layer, layer.call)
                undo.callback(object.__delattr__, layer, "call")
                object.__setattr__(layer, "call", call)
        yield


def _all_at_once(
    layer: keras.layers.TimeDistributed,
    one_by_one: Callable[..., tf.Tensor],
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Calls what a `TimeDistributed` wraps once, for the rows of all its timesteps."""
    if mask is not None and "mask" in inspect.signature(layer.layer.call).parameters:
        return one_by_one(inputs, training=training, mask=mask)
    return rows_at_once(layer, inputs, training)


def _refuse_states(model: keras.Model) -> None:
    for layer in layers_of(model):
        if getattr(layer, "stateful", False):
            raise ExportError(
                f"{layer.name}: a stateful layer cannot be held by a LiteRT file of "
                "built-in ops. Export the model with `export_streaming`, whose states "
                "go in and out."
            )


def _keras_export(model: keras.Model, arrays: Arrays) -> dict[str, Any]:
    """Returns what a report says of Keras' own export."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.tflite"
        runtime = None
        try:
            with _silence():
                model.export(path, format="litert")
            runtime = "LiteRT"
            return {
                "keras_latency_ms": _latency(path, arrays),
                "keras_size": size(path),
            }
        except Exception as error:  # whatever stops it is what there is to say
            summary = ValueError(_summary(error))
            return {"keras_reason": why_not_keras(summary, runtime)}


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Lets the converter's own output go: it prints the whole graph for one op."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(os.devnull, "wb") as nowhere, contextlib.ExitStack() as undo:
        for number in (1, 2):
            kept = os.dup(number)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, number)
            os.dup2(nowhere.fileno(), number)
        yield


def _latency(path: Path, arrays: Arrays) -> float:
    """Returns the milliseconds of a call of a file whose names are not known."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    for port, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.resize_tensor_input(port["index"], array.shape)
    interpreter.allocate_tensors()

    def run(arrays: Arrays) -> Arrays:
        for port, array in zip(interpreter.get_input_details(), arrays, strict=True):
            interpreter.set_tensor(port["index"], array)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return [interpreter.get_tensor(port["index"]) for port in outputs]

    return measure(run, arrays)


def _summary(error: Exception) -> str:
    """Returns what a converter says of an op that it lacks, or else its first line."""
    text = str(error).strip()
    if place := re.search(r'fused\["(\w+):", "([^"@]+)', text):
        return f"it lacks the op {place[1]}, made in {place[2]}"
    if lacks := re.search(r"(?:TF Select|Custom) ops: (.+)", text):
        return f"it lacks the op {lacks[1]}"
    return text.partition("\n")[0].rstrip(".") or type(error).__name__
