"""The target `litert`: a LiteRT file with only built-in ops."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon._compat import layers_of
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.litert_file import count_ops, without_inner_names
from tf_gru_addon.export.parity_report import ParityReport
from tf_gru_addon.export.target import (
    STEP,
    WHOLE,
    Named,
    Opened,
    StepOptions,
    Target,
)
from tf_gru_addon.export.targets import saved_model
from tf_gru_addon.export.whole import export_whole, silence
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.ops import engines, litert
from tf_gru_addon.streaming.streaming_model import StreamingModel
from tf_gru_addon.verify import Arrays, Run

#: The default tolerance for each way to store weights.
TOLERANCES = {"none": 1e-5, "float16": 5e-3, "dynamic": 5e-2, "int8": 1e-1}


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    quantize: str = "none",
    tolerance: float | None = None,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as a LiteRT file (`.tflite`), and runs it beside the model.

    The file contains only built-in ops. Each GRU is a loop, not one copy of its ops per
    timestep. Batch size and timesteps are dynamic where they are dynamic in the model;
    resize the input before a call. The only signature is `serving_default`. It names
    inputs as in the model, and outputs after their layers.

    Args:
        model: A built functional or sequential model.
        path: The file to write. It must not exist.
        quantize: How to store the weights: "none" (float32), "float16" (half the size)
            or "dynamic" (int8, a quarter of the size; each call finds the range of the
            inputs and multiplies in int8). Full int8 needs a fixed number of timesteps:
            use `export_streaming`, which exports one timestep.
        tolerance: The largest error allowed, unless rounding alone makes a larger one;
            see `ParityReport`. None means 1e-5, or 5e-3 with float16
            and 5e-2 with int8 weights.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.
        beside_keras: Whether to measure Keras' own export too.

    Returns:
        The report, measured in ai-edge-litert's interpreter with one thread.

    Raises:
        ExportError: The model is not built, `path` exists, a layer is stateful, a layer
            uses an op that LiteRT lacks (the message names it), or the outputs differ.
            If they differ, the file is kept.
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
    return export_whole(
        TARGET,
        model,
        path,
        quantize=quantize,
        tolerance=tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )


def _write(model: keras.Model, path: Path, quantize: str) -> list[GRU]:
    _refuse_states(model)
    with tempfile.TemporaryDirectory() as folder, engines.using(litert.ENGINE):
        saved = Path(folder) / "saved_model"
        saved_model.write_saved_model(model, saved)
        path.write_bytes(convert_to_litert(model.name, saved, WHOLE, quantize))
    return []


def _write_step(streaming: StreamingModel, options: StepOptions, path: Path) -> None:
    """Writes a step as a file with the signature `step`."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved_model"
        saved_model.write_step(streaming, options, saved)
        steps = _representative_steps(streaming, options)
        name, quantize = streaming.model.name, options.quantize
        path.write_bytes(convert_to_litert(name, saved, STEP, quantize, steps))


def convert_to_litert(
    name: str,
    saved_model: Path,
    signature: str,
    quantize: str = "none",
    representative: Iterable[Mapping[str, np.ndarray]] | None = None,
) -> bytes:
    """Converts a signature of a SavedModel to the content of a LiteRT file.

    Args:
        name: The name of the model, for errors.
        saved_model: The folder.
        signature: The signature to convert.
        quantize: A key of `TOLERANCES`.
        representative: For "int8": typical inputs by name, from which the converter
            takes the ranges.

    Raises:
        ExportError: The signature needs more than built-in ops.
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
        with silence(), warnings.catch_warnings():
            # The int8 converter still uses TensorFlow's deprecated interpreter.
            warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
            return without_inner_names(converter.convert())
    except Exception as error:  # converters raise many kinds of errors
        raise ExportError(
            f"{name}: the model cannot be written with LiteRT's built-in ops: "
            f"{_summary(error)}. Replace the layer that uses the op, or export a "
            "SavedModel."
        ) from error


def _refuse_states(model: keras.Model) -> None:
    for layer in layers_of(model):
        if getattr(layer, "stateful", False):
            raise ExportError(
                f"{layer.name}: a stateful layer cannot be written with LiteRT's "
                "built-in ops. Export the model with `export_streaming`, which makes "
                "the states inputs and outputs."
            )


def _representative_steps(
    streaming: StreamingModel, options: StepOptions
) -> Iterator[Named]:
    """Yields the inputs of each step of the typical sequences."""
    if options.representative is None:
        return
    x = options.representative
    rows = options.batch_size or 1
    for start in range(0, len(x) - rows + 1, rows):
        states = streaming.initial_states(rows)
        for t in range(x.shape[1]):
            inputs = {"frames": x[start : start + rows, t : t + 1]}
            yield inputs | {name: state.numpy() for name, state in states.items()}
            _, states = streaming.step(inputs["frames"], states)


def _open(path: Path, signature: str) -> Opened:
    """Opens a LiteRT file in ai-edge-litert's interpreter, with one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    runner = interpreter.get_signature_runner(signature)

    def run(inputs: Named) -> Named:
        return {name: np.array(y) for name, y in runner(**inputs).items()}

    return Opened(run)


def _keras_export(model: keras.Model, path: Path) -> None:
    try:
        model.export(path, format="litert")
    except Exception as error:  # converters raise many kinds of errors
        raise ValueError(_summary(error)) from error


def _keras_open(path: Path, model: keras.Model) -> Run:
    """Opens a file with unknown names, whose inputs are in the model's order."""
    del model
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    shapes: list[tuple[int, ...]] = []

    def run(arrays: Arrays) -> Arrays:
        nonlocal shapes
        if shapes != (shapes := [x.shape for x in arrays]):
            for port, shape in zip(
                interpreter.get_input_details(), shapes, strict=True
            ):
                interpreter.resize_tensor_input(port["index"], shape)
            interpreter.allocate_tensors()
        for port, array in zip(interpreter.get_input_details(), arrays, strict=True):
            interpreter.set_tensor(port["index"], array)
        interpreter.invoke()
        outputs = interpreter.get_output_details()
        return [interpreter.get_tensor(port["index"]) for port in outputs]

    return run


def _summary(error: Exception) -> str:
    """Returns what an error says about a missing op, or else its first line."""
    text = str(error).strip()
    if place := re.search(r'fused\["(\w+):", "([^"@]+)', text):
        return f"it lacks the op {place[1]}, made in {place[2]}"
    if lacks := re.search(r"(?:TF Select|Custom) ops: (.+)", text):
        return f"it lacks the op {lacks[1]}"
    return text.partition("\n")[0].rstrip(".") or type(error).__name__


TARGET = Target(
    name="litert",
    file="a `.tflite` file",
    whole="built-in ops only",
    step="one frame; also full int8",
    suffix=".tflite",
    runtime="LiteRT",
    write=_write,
    write_step=_write_step,
    open=_open,
    count_ops=lambda path: count_ops(path.read_bytes()),
    keras_export=_keras_export,
    keras_open=_keras_open,
    packages=("ai_edge_litert",),
    tolerances=TOLERANCES,
    step_frames=1,
)
