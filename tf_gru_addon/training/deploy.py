"""Exports a trained model to every target, and evaluates each on the test set."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tf_gru_addon.datasets import Sequences
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.export_streaming import export_streaming, load_streaming
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.parity import measure, new_output, require_new
from tf_gru_addon.export.parity_report import ParityReport, readable_size
from tf_gru_addon.export.target import Target
from tf_gru_addon.export.targets import targets as every_target
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.files import size
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.training.errors import RunError
from tf_gru_addon.training.evaluate import load_run
from tf_gru_addon.training.plot import plot_deployment
from tf_gru_addon.training.workdir import Workdir
from tf_gru_addon.verify import Run, example_inputs, run_model

_BATCH = 64  # sequences per call


class Form(NamedTuple):
    """A form of the model, with its measurements.

    Attributes:
        name: "Keras", or a target's name, with ", a step" for its one-step form.
        step: Whether it takes one timestep, with its states as inputs and outputs.
        size: Its size in bytes.
        latency_ms: Milliseconds for one sequence of 50 timesteps, or for one step.
        accuracy: The accuracy on the test set.
        agreeing: The fraction of the test set on which it predicts the same class as
            the trained model.
        max_error: The largest difference between its outputs and the trained model's.
        refusal: Why this form cannot be exported; if set, only `name` and `step` have
            a meaning.
    """

    name: str
    step: bool = False
    size: int = 0
    latency_ms: float = 0.0
    accuracy: float = 0.0
    agreeing: float = 0.0
    max_error: float = 0.0
    refusal: str = ""


def deploy(
    workdir: str | os.PathLike[str],
    output: str | os.PathLike[str],
    targets: Sequence[Target] | None = None,
) -> list[Form]:
    """Exports the trained model of a run to every target, and evaluates each.

    Args:
        workdir: The folder of a finished run.
        output: The folder to write: the exports, `deployment.json` with the returned
            measurements, and `deployment.png`, which plots them. It must not exist. On
            an error, nothing is written.
        targets: The targets; None takes all of them.

    Returns:
        The trained model first, then each target.

    Raises:
        ImportError: A package that a target needs is not installed. This is checked
            first.
        WorkdirError: There is no finished run in `workdir`.
        ExportError: `output` exists, or the outputs of an export differ.
        RunError: A file cannot be written, or an export predicts other classes.

    Example:
        >>> from tf_gru_addon import load_config
        >>> from tf_gru_addon.training import train
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> trained = train(config, "runs/tiny")
        epoch 1/1  ...
        >>> [form.name for form in deploy("runs/tiny", "deployed")]
        ['Keras', 'saved_model', 'saved_model, a step', 'litert', ...]
    """
    targets = list(every_target().values()) if targets is None else targets
    packages = [package for each in targets for package in each.packages]
    require_extra("The forms of a deployment", *packages)
    require_new(output)
    place = Workdir(workdir)
    config, model, splits = load_run(place)
    with new_output(output) as folder:
        folder.mkdir()
        writer = _Writer(model, folder, Path(output), config.export.tolerance)
        forms = [*writer.forms(targets, size(place.model), splits["test"])]
        title = place.path.resolve().name
        plot_deployment(forms, folder / "deployment.png", title)
        (folder / "deployment.json").write_text(_as_json(title, forms), "utf-8")
    return forms


def _as_json(title: str, forms: list[Form]) -> str:
    """Returns forms as JSON; a refused one has only its name and the reason."""
    rows = [
        {"name": form.name, "refusal": form.refusal}
        if form.refusal
        else {key: value for key, value in form._asdict().items() if key != "refusal"}
        for form in forms
    ]
    return json.dumps({"run": title, "forms": rows}, indent=2) + "\n"


def print_deployment(forms: list[Form], title: str) -> None:
    """Prints forms as a table.

    Args:
        forms: The forms, from `deploy`.
        title: The table's title.
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
    refusals: dict[str, list[str]] = {}
    for form in forms:
        if form.refusal:
            refusals.setdefault(form.refusal, []).append(form.name)
    for refusal, names in refusals.items():
        console.print(f" no {'; '.join(names)}: {refusal}", markup=False)


class _Writer:
    """Writes and evaluates the forms of a model.

    Args:
        model: The trained model.
        folder: The folder to write to.
        output: The final path of that folder, for messages.
        tolerance: The largest error allowed.
    """

    def __init__(
        self, model: keras.Model, folder: Path, output: Path, tolerance: float
    ) -> None:
        self._model, self._flat = model, flat_model(model)
        self._folder, self._output = folder, output
        self._tolerance = tolerance

    def forms(
        self, targets: Sequence[Target], file_size: int, test: Sequences
    ) -> Iterator[Form]:
        """Yields the trained model, then each exported form.

        Args:
            targets: The targets.
            file_size: The size of the model's own file in bytes.
            test: The test data.
        """
        one = next(iter(example_inputs(self._flat).values()))
        expected = _predictions(self._run, test)
        yield Form(
            "Keras",
            size=file_size,
            latency_ms=measure(self._run, one),
            accuracy=float(np.mean(expected == test.labels)),
            agreeing=1.0,
        )
        for target, step in itertools.product(targets, (False, True)):
            file = f"{target.name}{'_step' if step else ''}{target.suffix}"
            name = f"{target.name}, a step" if step else target.name
            try:
                yield self._form(Form(name, step), target, file, expected, test)
            except ExportError as error:
                if error.report is not None:
                    raise
                yield Form(name, step, refusal=str(error))

    def _run(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        return run_model(self._flat, arrays)

    def _form(
        self,
        form: Form,
        target: Target,
        file: str,
        expected: np.ndarray,
        test: Sequences,
    ) -> Form:
        """Writes a form, and returns it with its measurements."""
        path, later = self._folder / file, self._output / file
        try:
            report = self._export(target, form.step, path)
        except ExportError as error:
            if (failed := error.report) is None:
                raise
            raise ExportError(
                f"{later}: the export {failed.comparison.reason}. Nothing was written.",
                dataclasses.replace(failed, path=later),
            ) from error
        if form.step:
            run = load_streaming(target, path, self._model)
        else:
            run = target.load(path, self._flat)
        actual = _predictions(run, test)
        agreeing = float(np.mean(actual == expected))
        # If rounding decides outputs, it may also decide predictions.
        if agreeing < 1 and not report.comparison.undecided:
            raise RunError(
                f"{later}: it predicts another class than the trained model for "
                f"{1 - agreeing:.2%} of the test data. Nothing was written."
            )
        return form._replace(
            size=report.size,
            latency_ms=report.latency_ms,
            accuracy=float(np.mean(actual == test.labels)),
            agreeing=agreeing,
            max_error=report.max_error,
        )

    def _export(self, target: Target, step: bool, path: Path) -> ParityReport:
        tolerance = self._tolerance
        if step:
            return export_streaming(self._model, path, target, tolerance=tolerance)
        return export_whole(
            target, self._model, path, tolerance=tolerance, beside_keras=False
        )


def _predictions(run: Run, data: Sequences) -> np.ndarray:
    starts = range(0, len(data), _BATCH)
    batches = [run([data.frames[start : start + _BATCH]])[0] for start in starts]
    return np.concatenate(batches).argmax(axis=-1)
