"""The folder of a run: what is where, and whether a run may use it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from tf_gru_addon.config import Config, load_config, save_config
from tf_gru_addon.files import is_unfinished, whole, writing
from tf_gru_addon.reading import require_regular
from tf_gru_addon.training.errors import WorkdirError
from tf_gru_addon.training.state import History


class Workdir:
    """The files of a run.

    Args:
        path: the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.state = self.path / "resume.npz"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.metrics = self.path / "metrics.json"
        self.history = self.path / "history.csv"
        self.plot = self.path / "training.png"
        self.tensorboard = self.path / "tensorboard"

    def check(self, config: Config, *, resume: bool) -> None:
        """Checks that a run may use the folder; touches nothing.

        Args:
            config: what to train.
            resume: whether to go on with the run in the folder, if there is one.

        Raises:
            WorkdirError: there is something else in the folder, or a run with another
                config.
        """
        if self.path.exists() and not self.path.is_dir():
            raise WorkdirError(f"{self.path}: expected a folder; this is a file.")
        found = list(self.path.iterdir()) if self.path.exists() else []
        if found and not resume:
            raise WorkdirError(
                f"{self.path}: the folder is not empty. Go on with the run in it with "
                "--resume, or choose another --workdir."
            )
        if self.config.exists():
            if self.state.exists() or self.model.exists():  # else nothing is trained
                self._check_same(config)
        elif not all(map(is_unfinished, found)):
            raise WorkdirError(
                f"{self.path}: there is no run to resume: config.yaml is missing. "
                "Choose another --workdir."
            )

    def begin(self, config: Config) -> None:
        """Makes the folder, and writes the config of the run.

        Raises:
            RunError: the folder cannot be made or written to.
        """
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with whole(self.config) as unfinished:
            save_config(config, unfinished)

    def _check_same(self, config: Config) -> None:
        before = load_config(self.config)
        may_differ = set()
        if before.training.learning_rate_schedule == "constant":
            may_differ.add("training.epochs")  # else each epoch's rate depends on it
        old, new = _flat(before.model_dump()), _flat(config.model_dump())
        differing = [
            f"\n  {key}: {old.get(key, 'nothing')} in the run, "
            f"{new.get(key, 'nothing')} now"
            for key in old | new
            if old.get(key) != new.get(key)
            and key not in may_differ
            and not key.startswith("export.")
        ]
        if differing:
            raise WorkdirError(
                f"{self.path}: the run was begun with another config. Resume it with "
                f"its own, or choose another --workdir. They differ in:"
                f"{''.join(differing)}"
            )

    def load_config(self) -> Config:
        """Returns the config of a finished run.

        Raises:
            WorkdirError: there is no finished run in the folder.
        """
        for file in (self.config, self.model):
            if not file.exists():
                raise WorkdirError(
                    f"{self.path}: there is no trained model: {file.name} is missing. "
                    "Train one with `train`, or finish the run with `train --resume`."
                )
        return load_config(self.config)

    def finished(self, config: Config) -> dict[str, Any] | None:
        """Returns the metrics of a run that did all that a config asks for."""
        files = [self.model, self.history, self.plot]
        tolerance = None
        if "saved_model" in config.export.formats:
            files.append(self.saved_model / "saved_model.pb")
            tolerance = config.export.tolerance
        try:
            require_regular(self.metrics)
            metrics = json.loads(self.metrics.read_text(encoding="utf-8"))
            done = metrics["epochs"], metrics.get("saved_model", {}).get("tolerance")
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        asked = config.training.epochs, tolerance
        return metrics if done == asked and all(map(Path.exists, files)) else None

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes `metrics.json`, the last file of a run: with it, it is finished.

        Raises:
            RunError: the file cannot be written.
        """
        with whole(self.metrics) as unfinished:
            unfinished.write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")

    def write_history(self, history: History) -> None:
        """Writes `history.csv`: a line an epoch.

        Raises:
            RunError: the file cannot be written.
        """
        with whole(self.history) as unfinished, open(unfinished, "w", newline="") as f:
            writer = csv.DictWriter(f, ["epoch", *history[0]])
            writer.writeheader()
            writer.writerows({"epoch": i + 1} | row for i, row in enumerate(history))


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Returns the leaves of nested sections and lists, by their place."""
    if isinstance(value, dict) and value:
        parts = [_flat(v, f"{place}.{k}" if place else k) for k, v in value.items()]
    elif isinstance(value, list) and value:
        parts = [_flat(v, f"{place}[{i}]") for i, v in enumerate(value)]
    else:
        return {place: value}
    return {key: leaf for part in parts for key, leaf in part.items()}
