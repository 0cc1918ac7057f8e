"""The target `onnx`: an ONNX file with a GRU node for each GRU."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from tf_gru_addon.export.onnx_graph import count_ops, onnx_model
from tf_gru_addon.export.parity_report import ParityReport
from tf_gru_addon.export.steps import NEXT, step_model
from tf_gru_addon.export.target import (
    STEP,
    WHOLE,
    Named,
    Opened,
    StepOptions,
    Target,
    in_order,
)
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.streaming.streaming_model import StreamingModel
from tf_gru_addon.verify import Arrays, Run


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    tolerance: float = 1e-5,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as an ONNX file, and runs it beside the model.

    Each call of a GRU layer becomes one `GRU` node: this package's `GRU`,
    `keras.layers.GRU`, or `keras.layers.RNN` of a `GRUCell`. tf2onnx converts the other
    layers. Batch size and timesteps are dynamic where they are dynamic in the model.
    Masks work as in Keras. Inputs and outputs have the model's names. An ONNX graph has
    no state, so a stateful layer gets an input NAME_state and an output
    NAME_next_state, both (batch, units).

    Run it on at least one timestep: ONNX Runtime aborts the process on an empty
    sequence.

    Args:
        model: A built functional or sequential model with the dtype float32.
        path: The file to write. It must not exist.
        tolerance: The largest error allowed, unless rounding alone makes a larger one;
            see `ParityReport`.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.
        beside_keras: Whether to measure Keras' own export too.

    Returns:
        The report, measured in ONNX Runtime and, if it is installed, in OpenVINO with
        float32.

    Raises:
        ExportError: The model is not built, ONNX cannot represent a layer (the message
            names it), `path` exists, or the outputs differ. If they differ, the file is
            kept.
        ImportError: tf2onnx, onnx or onnxruntime is not installed.
        RunError: The file cannot be written.

    Example:
        >>> import keras
        >>> import tf_gru_addon
        >>> model = keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(4)])
        >>> report = export_onnx(model, "model.onnx", beside_keras=False)
        >>> report.ops["GRU"], report.passed
        (1, True)
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
    proto, kept = onnx_model(model)
    path.write_bytes(proto.SerializeToString())
    return kept


def _write_step(streaming: StreamingModel, options: StepOptions, path: Path) -> None:
    proto, _ = onnx_model(step_model(streaming, options))
    path.write_bytes(proto.SerializeToString())


def _open(path: Path, signature: str) -> Opened:
    """Opens an ONNX file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers)
    inputs = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    if signature == STEP:
        outputs = [name.removeprefix(NEXT) for name in outputs]

    def run(arrays: Named) -> Named:
        return dict(zip(outputs, session.run(None, arrays), strict=True))

    return Opened(run, (inputs, outputs))


def _others(path: Path) -> Iterator[tuple[str, Opened | str]]:
    """Opens a file in OpenVINO, in float32."""
    if not importlib.util.find_spec("openvino"):
        yield "OpenVINO", "OpenVINO is not installed, so the file was not run in it."
        return
    import openvino

    # By default it computes in bfloat16 on processors that support it.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        compiled = openvino.Core().compile_model(str(path), "CPU", hint)
    except RuntimeError as error:  # it lacks some activations and tf2onnx loops
        reason = str(error).strip().rpartition("\n")[2]
        yield "OpenVINO", f"OpenVINO cannot load the model: {reason}"
        return
    inputs = [each.get_any_name() for each in compiled.inputs]
    outputs = [each.get_any_name() for each in compiled.outputs]

    def run(arrays: Named) -> Named:
        results = compiled([arrays[name] for name in inputs])
        pairs = zip(outputs, compiled.outputs, strict=True)
        return {name: np.array(results[output]) for name, output in pairs}

    yield "OpenVINO", Opened(run, (inputs, outputs))


def _count_ops(path: Path) -> dict[str, int]:
    import onnx

    return count_ops(onnx.load(str(path)).graph)


def _keras_export(model: keras.Model, path: Path) -> None:
    model.export(path, format="onnx", verbose=False)


def _keras_open(path: Path, model: keras.Model) -> Run:
    return in_order(_open(path, WHOLE), model)


TARGET = Target(
    name="onnx",
    file="an `.onnx` file",
    whole="one `GRU` node per layer and direction",
    step="one or more frames",
    suffix=".onnx",
    runtime="ONNX Runtime",
    write=_write,
    write_step=_write_step,
    open=_open,
    count_ops=_count_ops,
    keras_export=_keras_export,
    keras_open=_keras_open,
    packages=("onnx", "onnxruntime", "tf2onnx"),
    others=_others,
)
