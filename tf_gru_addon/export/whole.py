"""A model written for whole sequences, and run beside the model."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tf_gru_addon._compat import layers_of
from tf_gru_addon.export.checks import Checked, check
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.parity import measure, new_output, why_not_keras
from tf_gru_addon.export.parity_report import ParityReport, require_passed
from tf_gru_addon.export.prepare import prepared
from tf_gru_addon.export.target import Arrays, Run, Target, in_order
from tf_gru_addon.files import size
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.shadow import shadow
from tf_gru_addon.verify import run_model


def export_whole(
    target: Target,
    model: keras.Model,
    path: str | os.PathLike,
    *,
    quantize: str = "none",
    tolerance: float | None = None,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Writes a model to a target, and runs the file beside the model.

    Args:
        target: The target.
        model: A built functional or sequential model. It is only read.
        path: The file or folder to write; it must not exist.
        quantize: How to store the weights: a key of `target.tolerances`.
        tolerance: The largest error allowed where rounding does not explain more. None
            is what `quantize` may cost.
        examples: More inputs to compare on: a name, and an array for each input.
        only_examples: Whether `examples` replaces the random inputs.
        beside_keras: Whether to measure Keras' own export of the model too.

    Raises:
        ExportError: An argument cannot be used, the target cannot hold the model,
            `path` exists; or the numbers differ, and then the file stays.
        ImportError: A package is not installed.
        RunError: The file cannot be written.
    """
    checked = check(
        model,
        path,
        tolerance=target.tolerances[quantize] if tolerance is None else tolerance,
        examples=examples,
        only_examples=only_examples,
        beside_keras=beside_keras,
    )
    require_extra(f"{target.name} exports", *target.packages)
    flat = checked.model
    traced = prepared(flat)
    with new_output(path) as unfinished:
        kept = target.write(traced, unfinished, quantize)
    # The same layers in the model that is run.
    running = dict(zip(layers_of(traced), layers_of(flat), strict=True))
    reference = _Reference(flat, [running[layer] for layer in kept])
    cases = {name: reference.inputs(each) for name, each in checked.cases.items()}
    checked = checked._replace(cases=cases)
    run = target.load(checked.path, flat)
    others, notes = _others(target, checked)
    comparison = checked.compare(run, reference, others)
    first = next(iter(cases.values()))
    beside = {}
    if beside_keras:
        beside = _keras_export(target, flat, first[: len(flat.inputs)])
    return require_passed(
        ParityReport(
            format=target.name if quantize == "none" else f"{target.name}, {quantize}",
            path=checked.path,
            size=size(checked.path),
            ops=target.count_ops(checked.path),
            comparison=comparison,
            latency_ms=measure(run, first),
            notes=notes,
            **beside,
        )
    )


class _Reference:
    """Runs a model as a file does that takes and gives the states of layers.

    Args:
        model: A `flat_model`.
        kept: The layers whose states are inputs and outputs, after the model's own.
    """

    def __init__(self, model: keras.Model, kept: list[GRU]):
        self._model, self._kept = model, kept

    def inputs(self, arrays: Arrays) -> Arrays:
        """Returns inputs of the model with a state for each layer."""
        rng = np.random.default_rng(1)
        states = [rng.uniform(-1, 1, layer.states[0].shape) for layer in self._kept]
        return [*arrays, *(state.astype(np.float32) for state in states)]

    def __call__(self, arrays: Arrays) -> Arrays:
        """Returns the model's outputs and the new states."""
        count = len(self._model.inputs)
        before = [np.array(layer.states[0]) for layer in self._kept]
        for layer, state in zip(self._kept, arrays[count:], strict=True):
            layer.states[0].assign(state)
        keep_states = not self._kept
        outputs = run_model(self._model, arrays[:count], keep_states=keep_states)
        after = [np.array(layer.states[0]) for layer in self._kept]
        for layer, state in zip(self._kept, before, strict=True):
            layer.states[0].assign(state)
        return outputs + after


def _others(target: Target, checked: Checked) -> tuple[dict[str, Run], tuple[str, ...]]:
    """Returns what runs the file in the target's further runtimes, and notes."""
    runs, notes = {}, []
    for name, opened in target.others(checked.path):
        if isinstance(opened, str):
            notes.append(opened)
        else:
            runs[f"{name}: "] = in_order(opened, checked.model)
    return runs, tuple(notes)


def _keras_export(target: Target, model: keras.Model, arrays: Arrays) -> dict[str, Any]:
    """Returns what a report says about Keras' own export."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"keras{target.suffix}"
        runtime = None
        try:
            with silence():
                target.keras_export(shadow(model), path)
            runtime = target.runtime
            milliseconds = measure(target.keras_open(path, model), arrays)
        except Exception as error:  # whatever stops it is the reason to report
            return {"keras_reason": why_not_keras(error, runtime)}
        return {"keras_latency_ms": milliseconds, "keras_size": size(path)}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discards what converters write to the process's own output."""
    sys.stdout.flush()
    sys.stderr.flush()
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.ExitStack() as undo,
    ):
        for number in (1, 2):
            kept = os.dup(number)
            undo.callback(os.close, kept)
            undo.callback(os.dup2, kept, number)
            os.dup2(nowhere.fileno(), number)
        yield
