"""A model as an ONNX file with a GRU node for each GRU."""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_gru_addon.export.checks import Checked, check
from tf_gru_addon.export.examples import Arrays, run_model
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.grus import as_grus
from tf_gru_addon.export.onnx_graph import count_ops, onnx_model
from tf_gru_addon.export.parity import (
    Run,
    measure,
    new_output,
    why_not_keras,
)
from tf_gru_addon.export.parity_report import Comparison, ParityReport, require_passed
from tf_gru_addon.files import size
from tf_gru_addon.layers.gru import GRU

#: What must be installed.
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    tolerance: float = 1e-5,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model as an ONNX file, and runs it beside the model.

    Each call of a GRU layer, this package's, `keras.layers.GRU` or `keras.layers.RNN`
    of a `GRUCell`, becomes one `GRU` node; tf2onnx converts the rest. Batch
    size and timesteps are open where the model leaves them open. Any mask has Keras'
    meaning. The inputs and outputs have the model's names. A stateful layer gets an
    input NAME_state and an output NAME_next_state, (batch, units): an ONNX graph keeps
    nothing from one call to the next.

    There must be at least one timestep: ONNX Runtime ends the process at none.

    Args:
        model: A built functional or sequential model that computes in float32.
        path: The file to write; it must not exist.
        tolerance: The largest error allowed where rounding does not explain more; see
            `ParityReport`.
        examples: More inputs to compare on: a name, and an array for each input.
        only_examples: Whether `examples` replaces the random inputs.
        beside_keras: Whether to measure Keras' own export of the model too.

    Returns:
        The report, of ONNX Runtime, and of OpenVINO in float32 where it is installed.

    Raises:
        ExportError: The model is not built, a layer cannot be held (the message names
            it), `path` exists; or the numbers differ, and then the file stays.
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
    require_extra("ONNX exports", *PACKAGES)
    checked = check(
        model,
        path,
        tolerance=tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )
    flat = checked.model
    with as_grus(flat):
        proto, kept = onnx_model(flat)
    with new_output(path) as unfinished:
        unfinished.write_bytes(proto.SerializeToString())
    cases = {n: _with_states(arrays, kept) for n, arrays in checked.cases.items()}
    checked = checked._replace(cases=cases)
    first = next(iter(cases.values()))
    run = load_onnx(checked.path)
    expected = functools.partial(_run_model, flat, kept)
    others, notes = _openvino_cases(checked, expected)
    return require_passed(
        ParityReport(
            format="onnx",
            path=checked.path,
            size=size(checked.path),
            ops=count_ops(proto.graph),
            comparison=checked.compare(run, expected) | others,
            latency_ms=measure(run, first),
            notes=notes,
            **(_keras_export(flat, first[: len(flat.inputs)]) if beside_keras else {}),
        )
    )


def _with_states(arrays: Arrays, kept: list[GRU]) -> Arrays:
    """Returns inputs with a state for each layer that keeps its own."""
    rng = np.random.default_rng(1)
    states = [rng.uniform(-1, 1, layer.states[0].shape) for layer in kept]
    return [*arrays, *(state.astype(np.float32) for state in states)]


def _run_model(model: keras.Model, kept: list[GRU], arrays: Arrays) -> Arrays:
    """Returns a model's outputs from the states after its inputs, and the new ones."""
    count = len(model.inputs)
    before = [np.array(layer.states[0]) for layer in kept]
    for layer, state in zip(kept, arrays[count:], strict=True):
        layer.states[0].assign(state)
    outputs = run_model(model, arrays[:count], keep_states=False)
    after = [np.array(layer.states[0]) for layer in kept]
    for layer, state in zip(kept, before, strict=True):
        layer.states[0].assign(state)
    return outputs + after


def load_onnx(path: str | os.PathLike) -> Run:
    """Returns what runs an ONNX file in ONNX Runtime.

    Args:
        path: The file.

    Raises:
        ImportError: onnxruntime is not installed.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), options, providers)
    names = [each.name for each in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(names, arrays, strict=True)))


def _openvino_cases(
    checked: Checked, expected: Run
) -> tuple[Comparison, tuple[str, ...]]:
    """Returns the cases run in OpenVINO, and what there is to note of it."""
    none = Comparison((), checked.tolerance)
    if not importlib.util.find_spec("openvino"):
        return none, ("OpenVINO is not installed; not run in it.",)
    try:
        run = _openvino(checked.path)
    except RuntimeError as error:  # it lacks activations, and some of tf2onnx' loops
        reason = str(error).strip().rpartition("\n")[2]
        return none, (f"OpenVINO cannot take the model: {reason}",)
    return checked.compare(run, expected).renamed("OpenVINO: "), ()


def _openvino(path: Path) -> Run:
    import openvino

    # It computes in bfloat16 where the processor can, unless told.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", hint)

    def run(arrays: Arrays) -> Arrays:
        results = compiled(arrays)
        return [np.array(results[output]) for output in compiled.outputs]

    return run


def _keras_export(model: keras.Model, arrays: Arrays) -> dict[str, Any]:
    """Returns what a report says of Keras' own export."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "keras.onnx"
        runtime = None
        try:
            model.export(path, format="onnx", verbose=False)
            runtime = "ONNX Runtime"
            milliseconds = measure(load_onnx(path), arrays)
        except Exception as error:  # whatever stops it is what there is to say
            return {"keras_reason": why_not_keras(error, runtime)}
        return {"keras_latency_ms": milliseconds, "keras_size": size(path)}
