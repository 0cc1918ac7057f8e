"""Exports a model for whole sequences, and compares the export with the model."""

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
from tf_gru_addon.export.target import Target, in_order
from tf_gru_addon.files import size
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.shadow import shadow
from tf_gru_addon.verify import Arrays, Run, run_model


def export_whole(
    target: Target,
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    quantize: str = "none",
    tolerance: float | None = None,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> ParityReport:
    """Exports a model to a target, and compares the export with the model.

    Args:
        target: The target.
        model: A built functional or sequential model. It is not changed.
        path: The file or folder to write. It must not exist.
        quantize: How to store the weights: a key of `target.tolerances`.
        tolerance: The largest error allowed, unless rounding alone makes a larger one.
            None means the default for `quantize`.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.
        beside_keras: Whether to measure Keras' own export too.

    Raises:
        ExportError: An argument is invalid, the target cannot represent the model,
            `path` exists, or the outputs differ. If they differ, the file is kept.
        ImportError: A required package is not installed.
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
    # The same layers in the model that the export is compared with.
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
    """Runs a model whose layers' states are additional inputs and outputs.

    Args:
        model: A `flat_model`.
        kept: The layers whose states are inputs and outputs, after those of the model.
    """

    def __init__(self, model: keras.Model, kept: list[GRU]) -> None:
        self._model, self._kept = model, kept

    def inputs(self, arrays: Arrays) -> Arrays:
        """Returns inputs of the model followed by a random state for each layer."""
        rng = np.random.default_rng(1)
        states = [rng.uniform(-1, 1, layer.states[0].shape) for layer in self._kept]
        return [*arrays, *(state.astype(np.float32) for state in states)]

    def __call__(self, arrays: Arrays) -> Arrays:
        """Returns the outputs of the model followed by the new states."""
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
    """Returns the fields of a report about Keras' own export."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / f"keras{target.suffix}"
        runtime = None
        try:
            with silence():
                target.keras_export(shadow(model), path)
            runtime = target.runtime
            milliseconds = measure(target.keras_open(path, model), arrays)
        except Exception as error:  # reported, whatever it is
            return {"keras_reason": why_not_keras(error, runtime)}
        return {"keras_latency_ms": milliseconds, "keras_size": size(path)}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discards what converters print, also what they print from C++."""
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
