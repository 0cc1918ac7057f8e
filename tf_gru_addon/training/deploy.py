"""Exports a trained model to every target, and evaluates each on the test set."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

from tf_gru_addon.datasets import Sequences
from tf_gru_addon.export import ExportError
from tf_gru_addon.export.export_streaming import export_streaming, load_streaming
from tf_gru_addon.export.extras import require_extra
from tf_gru_addon.export.parity import measure, new_output, require_new
from tf_gru_addon.export.parity_report import ParityReport
from tf_gru_addon.export.target import Target
from tf_gru_addon.export.targets import targets as every_target
from tf_gru_addon.export.whole import export_whole
from tf_gru_addon.files import size
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.training.deployment import Form, as_json
from tf_gru_addon.training.errors import RunError
from tf_gru_addon.training.evaluate import load_run
from tf_gru_addon.training.plot import plot_deployment
from tf_gru_addon.training.workdir import Workdir
from tf_gru_addon.verify import Run, example_inputs, run_model

_BATCH = 64  # sequences per call


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
        (folder / "deployment.json").write_text(as_json(title, forms), "utf-8")
    return forms


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
