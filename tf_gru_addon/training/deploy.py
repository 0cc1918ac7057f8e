"""A trained model in every form that it can be served in, on the whole test set."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tf_gru_addon.datasets import Sequences
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.examples import example_inputs, run_model
from tf_gru_addon.export.parity import (
    Run,
    flat_model,
    measure,
    require_new,
)
from tf_gru_addon.export.parity_report import readable_size
from tf_gru_addon.export.targets import TARGETS, target_of
from tf_gru_addon.files import size, whole, writing
from tf_gru_addon.training.errors import RunError
from tf_gru_addon.training.evaluate import load_run
from tf_gru_addon.training.workdir import Workdir

_BATCH = 64  # sequences at a time


class Form(NamedTuple):
    """A form of the model, and how it does.

    Attributes:
        name: "Keras", or a target's name, or that and ", a step".
        size: Its bytes.
        latency_ms: Milliseconds for one sequence of 50 timesteps; of a step for one.
        accuracy: The fraction of the test set that it gets right.
        agreeing: For how much of the test set it says what the trained model says.
        max_error: How far its numbers are from the trained model's.
        refusal: Why there is no such form; then the rest means nothing.
    """

    name: str
    size: int = 0
    latency_ms: float = 0.0
    accuracy: float = 0.0
    agreeing: float = 0.0
    max_error: float = 0.0
    refusal: str = ""


def deploy(workdir: str | os.PathLike, output: str | os.PathLike) -> list[Form]:
    """Exports the trained model of a run to every target, and evaluates each.

    Args:
        workdir: The folder of a finished run.
        output: The folder to write: the exports, and `deployment.png`, a picture of
            size and latency. It must not exist.

    Returns:
        The trained model as it is, and then each target.

    Raises:
        WorkdirError: There is no finished run in `workdir`.
        ExportError: `output` exists, or the numbers of an export differ.
        RunError: Something cannot be written, or an export predicts otherwise.

    Example:
        >>> from tf_gru_addon import load_config
        >>> from tf_gru_addon.training import train
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> trained = train(config, "runs/tiny")
        epoch 1/1  ...
        >>> [form.name for form in deploy("runs/tiny", "deployed")]
        ['Keras', 'saved_model', 'saved_model, a step', 'onnx', 'onnx, a step', ...]
    """
    require_new(output)
    output = Path(output)
    place = Workdir(workdir)
    config, model, parts = load_run(place)
    with writing(output):
        output.mkdir(parents=True)
    forms = list(
        _forms(model, place.model, output, parts["test"], config.export.tolerance)
    )
    _plot(forms, output / "deployment.png", place.path.resolve().name)
    return forms


def print_deployment(forms: list[Form], title: str) -> None:
    """Prints forms as a table that a person can read.

    Args:
        forms: What `deploy` returns.
        title: What stands above the table.
    """
    import rich.box
    import rich.console
    import rich.table

    console = rich.console.Console(highlight=False)
    console.print(f"\n {title}", style="bold", markup=False)
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    table.add_column("form")
    for heading in ("size", "latency", "accuracy", "same answers", "error"):
        table.add_column(heading, justify="right")
    for form in forms:
        if not form.refusal:
            table.add_row(
                form.name,
                readable_size(form.size),
                f"{form.latency_ms:.3f} ms",
                f"{form.accuracy:.4f}",
                f"{form.agreeing:.2%}",
                f"{form.max_error:.0e}",
            )
    console.print(table)
    for form in forms:
        if form.refusal:
            console.print(f" no {form.name}: {form.refusal}", markup=False)


def _forms(
    model: keras.Model, file: Path, output: Path, test: Sequences, tolerance: float
) -> Iterator[Form]:
    flat = flat_model(model)
    one = next(iter(example_inputs(flat).values()))

    def trained(arrays: list[np.ndarray]) -> list[np.ndarray]:
        return run_model(flat, arrays)

    expected = _predictions(trained, test)
    accuracy = float(np.mean(expected == test.labels))
    yield Form("Keras", size(file), measure(trained, one), accuracy, 1.0)
    for name, streaming in itertools.product(TARGETS, (False, True)):
        target = target_of(name, streaming=streaming)
        path = output / f"{name}{'_step' if streaming else ''}{target.suffix}"
        name = f"{name}, a step" if streaming else name
        try:
            report = target.export(model, path, tolerance=tolerance, beside_keras=False)
        except ExportError as error:
            if error.report is not None:
                raise
            yield Form(name, refusal=str(error))
            continue
        actual = _predictions(target.open(path, flat), test)
        agreeing = float(np.mean(actual == expected))
        if agreeing < 1:
            raise RunError(
                f"{path}: it says of {1 - agreeing:.2%} of the test data what the "
                "trained model does not say."
            )
        accuracy = float(np.mean(actual == test.labels))
        yield Form(
            name, report.size, report.latency_ms, accuracy, agreeing, report.max_error
        )


def _predictions(run: Run, data: Sequences) -> np.ndarray:
    starts = range(0, len(data), _BATCH)
    batches = [run([data.frames[start : start + _BATCH]])[0] for start in starts]
    return np.concatenate(batches).argmax(axis=-1)


def _plot(forms: list[Form], path: Path, title: str) -> None:
    """Draws size and latency as a PNG file."""
    from matplotlib.figure import Figure  # and not pyplot, which keeps global state

    ink, colour = "#33383d", "#1f6f8b"
    forms = [form for form in forms if not form.refusal][::-1]
    figure = Figure(figsize=(9, 1 + 0.45 * len(forms)), dpi=150, layout="constrained")
    panels = (
        ("size", [form.size for form in forms], readable_size),
        (
            "one sequence (a step: one frame), batch 1",
            [form.latency_ms for form in forms],
            lambda milliseconds: f"{milliseconds:.2f} ms",
        ),
    )
    for axes, (name, values, shown) in zip(figure.subplots(1, 2), panels, strict=True):
        bars = axes.barh(
            [form.name for form in forms], values, color=colour, height=0.6
        )
        axes.bar_label(bars, [f" {shown(value)}" for value in values], color=ink)
        axes.set_title(name, loc="left", color=ink, fontsize=11)
        axes.set_xlim(right=1.3 * max(values))
        axes.xaxis.set_visible(False)
        axes.tick_params(colors=ink, length=0)
        axes.spines[:].set_visible(False)
    figure.suptitle(title, color=ink, fontsize=11, fontweight="bold")
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png")
