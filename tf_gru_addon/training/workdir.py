"""The folder of a run: its files, and the checks before a run uses it."""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pydantic

from tf_gru_addon import arguments
from tf_gru_addon.config import Config, load_config, save_config
from tf_gru_addon.files import (
    digest,
    is_unfinished,
    remove_unfinished,
    whole,
    writing,
)
from tf_gru_addon.reading import require_regular
from tf_gru_addon.training import lock
from tf_gru_addon.training.errors import WorkdirError
from tf_gru_addon.training.state import History


class _Content(pydantic.BaseModel):
    """Required content of a JSON file; other keys are allowed."""

    model_config = pydantic.ConfigDict(strict=True)


class SplitMetrics(_Content):
    """The metrics of one split of the data."""

    sequences: int
    loss: float
    accuracy: float


class Parity(_Content):
    """The comparison of the exported model with the trained one."""

    max_difference: float
    tolerance: float


class Metrics(_Content):
    """The content of `metrics.json`."""

    epochs: int
    seconds: float
    parameters: int
    parts: dict[str, SplitMetrics]
    files: dict[str, int]
    digests: dict[str, str]
    saved_model: Parity | None = None


class Workdir:
    """The files of a run.

    Args:
        path: The folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = arguments.path("workdir", path)
        self.config = self.path / "config.yaml"
        self.state = self.path / "resume.npz"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "history.csv"
        self.plot = self.path / "training.png"
        self.tensorboard = self.path / "tensorboard"

    def check(self, config: Config, *, resume: bool) -> None:
        """Checks that a run may use the folder, without changing it.

        Args:
            config: The config to train.
            resume: Whether to resume the run in the folder, if there is one.

        Raises:
            WorkdirError: The folder holds other files, or a run of another config.
        """
        if self.path.exists() and not self.path.is_dir():
            raise WorkdirError(f"{self.path}: expected a folder; this is a file.")
        found = list(self.path.iterdir()) if self.path.exists() else []
        found = [file for file in found if file.name != lock.NAME]
        if found and not resume and not self._only_begun(found):
            raise WorkdirError(
                f"{self.path}: the folder is not empty. Resume the run in it with "
                "--resume, or choose another --workdir."
            )
        if self.config.exists():
            if self.state.exists() or self.model.exists():
                self._check_same(config)
        elif not all(map(is_unfinished, found)):
            raise WorkdirError(
                f"{self.path}: there is no run to resume: config.yaml is missing. "
                "Choose another --workdir."
            )

    def _only_begun(self, found: list[Path]) -> bool:
        """Whether the folder only holds a run without a finished epoch."""
        files = {file for file in found if not is_unfinished(file)}
        return files == {self.config, self.tensorboard}

    def require_free(self) -> None:
        """Checks that no other run uses the folder.

        Raises:
            WorkdirError: Another run uses it.
        """
        lock.require_free(self.path)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Creates the folder, and keeps other runs out of it.

        Raises:
            WorkdirError: Another run uses it.
            RunError: The folder cannot be created or written to.
        """
        with lock.locked(self.path) as self._lock:
            yield

    def require_own(self) -> None:
        """Checks that the folder is still the locked one; call it before writing.

        Raises:
            RunError: The folder was replaced.
        """
        self._lock.check()

    def begin(self, config: Config) -> None:
        """Writes the config of the run, and removes unfinished files of a killed run.

        Raises:
            RunError: The folder cannot be written to.
        """
        with writing(self.path):
            remove_unfinished(self.path)
        with whole(self.config) as unfinished:
            save_config(config, unfinished, folder=self.path)

    def _check_same(self, config: Config) -> None:
        before = load_config(self.config)
        may_differ = set()
        if before.training.learning_rate_schedule == "constant":
            may_differ.add("training.epochs")  # no learning rate depends on it
        old, new = _flat(before.model_dump()), _flat(config.model_dump())
        differing = [
            f"\n  {key}: {old.get(key, 'nothing')} in the run, "
            f"{new.get(key, 'nothing')} now"
            for key in old | new
            if old.get(key) != new.get(key)
            and key not in may_differ
            # The digest of the data tells whether the data is the same.
            and not key.startswith(("export.", "data.train", "data.test"))
        ]
        if differing:
            raise WorkdirError(
                f"{self.path}: the run has another config. Resume it with that one, or "
                f"choose another --workdir. They differ in:"
                f"{''.join(differing)}"
            )

    def load_config(self) -> Config:
        """Returns the config of a finished run.

        Raises:
            WorkdirError: There is no finished run in the folder.
        """
        for file in (self.config, self.model):
            if not file.exists():
                raise WorkdirError(
                    f"{self.path}: there is no trained model: {file.name} is missing. "
                    "Train one with `train`, or finish the run with `train --resume`."
                )
        return load_config(self.config)

    def finished(self, config: Config) -> dict[str, Any] | None:
        """Returns the metrics if the run of a config is finished.

        Returns:
            The metrics; None if an output is missing, or was changed since.
        """
        outputs = [self.model, self.history, self.plot]
        tolerance = None
        if "saved_model" in config.export.formats:
            outputs.append(self.saved_model)
            tolerance = config.export.tolerance
        try:
            require_regular(self.metrics)
            content = json.loads(self.metrics.read_text(encoding="utf-8"))
            metrics = Metrics.model_validate(content)
            wanted = {path.name: digest(path) for path in outputs}
        except (OSError, ValueError, RecursionError):
            return None
        parity = metrics.saved_model
        done = metrics.epochs, parity and parity.tolerance, metrics.digests
        return content if done == (config.training.epochs, tolerance, wanted) else None

    def write_metrics(self, metrics: dict[str, Any], outputs: Iterable[Path]) -> None:
        """Writes `metrics.json`; this marks the run as finished.

        Args:
            metrics: The metrics; "digests" is added.
            outputs: The other files that a finished run must have.

        Raises:
            RunError: A file cannot be read or written.
        """
        with writing(self.metrics):
            metrics["digests"] = {path.name: digest(path) for path in outputs}
        with whole(self.metrics) as unfinished:
            unfinished.write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")

    def write_history(self, history: History) -> None:
        """Writes `history.csv`, with one line per epoch.

        Raises:
            RunError: The file cannot be written.
        """
        with whole(self.history) as unfinished, open(unfinished, "w", newline="") as f:
            writer = csv.DictWriter(f, ["epoch", *history[0]])
            writer.writeheader()
            writer.writerows({"epoch": i + 1} | row for i, row in enumerate(history))


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Returns the leaves of nested sections and lists, by their path."""
    if isinstance(value, dict) and value:
        inner = [_flat(v, f"{place}.{k}" if place else k) for k, v in value.items()]
    elif isinstance(value, list) and value:
        inner = [_flat(v, f"{place}[{i}]") for i, v in enumerate(value)]
    else:
        return {place: value}
    return {key: leaf for leaves in inner for key, leaf in leaves.items()}
