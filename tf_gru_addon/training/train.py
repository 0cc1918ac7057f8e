"""Trains a config, or resumes its run."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon import arguments
from tf_gru_addon.config import Config, build_model
from tf_gru_addon.config.errors import refusals
from tf_gru_addon.config.schema import require_config
from tf_gru_addon.datasets import Sequences
from tf_gru_addon.files import size, whole, writing
from tf_gru_addon.training.data import digest, epoch_order
from tf_gru_addon.training.errors import RunError, WorkdirError
from tf_gru_addon.training.evaluate import load_splits, measure, require_fit
from tf_gru_addon.training.export import export_saved_model
from tf_gru_addon.training.plot import plot_history
from tf_gru_addon.training.state import Progress, load_state, save_state
from tf_gru_addon.training.workdir import Workdir


def train(
    config: Config, workdir: str | os.PathLike[str], *, resume: bool = False
) -> dict[str, Any]:
    """Trains the model that a config describes, and writes everything to a folder.

    A run that is killed at any moment resumes from its last finished epoch with
    `resume=True`. It ends with the weights of an uninterrupted run, bit for bit if the
    number of threads is the same. A finished run is not trained again.

    Args:
        config: The config, from `load_config`.
        workdir: The folder for `config.yaml` (with every default filled in),
            `model.keras`, `saved_model/`, `metrics.json`, `history.csv`,
            `training.png`, `tensorboard/` and `resume.npz`.
        resume: Whether to resume the run in the folder, if there is one.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        WorkdirError: The folder holds other files, a run of another config or on other
            data, or another process uses it.
        ConfigError: `config` is not a config, or Keras refuses a layer or the
            optimizer.
        FileNotFoundError: A data file does not exist.
        DataError: A data file cannot be used, or does not fit the model.
        RunError: TensorFlow cannot train the model, a file cannot be written, the loss
            is not finite, the exported model's outputs differ, or the folder was
            replaced.

    Example:
        >>> from tf_gru_addon import load_config
        >>> config = load_config("configs/tiny.yaml", ["training.epochs=1"])
        >>> metrics = train(config, "runs/tiny")
        epoch 1/1  loss ... accuracy ... val_accuracy ...
        >>> metrics["parts"]["test"]
        {'accuracy': ..., 'loss': ..., 'sequences': 370}
    """
    require_config(config)
    resume = arguments.boolean("resume", resume)
    place = Workdir(workdir)
    place.require_free()
    place.check(config, resume=resume)
    if metrics := place.finished(config):
        return metrics
    splits = load_splits(config)
    model = build_model(config)
    require_fit(model, splits)
    rate = float(model.optimizer.learning_rate.numpy())
    with place.locked():
        place.check(config, resume=resume)  # again: another run may have finished
        progress = _progress(model, splits, config, place)
        place.begin(config)
        _run_epochs(model, splits, config, rate, progress, place)
        return _finish(model, splits, config, progress, place)


def _progress(
    model: keras.Model, splits: Mapping[str, Sequences], config: Config, place: Workdir
) -> Progress:
    """Returns the progress of the run in a folder, and restores the model's state."""
    data = digest(splits)
    progress = Progress(data=data)
    if place.state.exists():
        progress = load_state(place.state, model)
    if progress.data != data:
        raise WorkdirError(
            f"{place.path}: the data has changed since the run began. Restore it, or "
            "choose another --workdir."
        )
    if progress.epochs > config.training.epochs:
        raise WorkdirError(
            f"{place.path}: the run has done {progress.epochs} epochs; "
            f"`training.epochs` asks for {config.training.epochs}."
        )
    return progress


def _run_epochs(
    model: keras.Model,
    splits: Mapping[str, Sequences],
    config: Config,
    rate: float,
    progress: Progress,
    place: Workdir,
) -> None:
    writer = tf.summary.create_file_writer(str(place.tensorboard))
    for epoch in range(progress.epochs, config.training.epochs):
        start = time.perf_counter()
        model.optimizer.learning_rate = _scheduled(rate, epoch, config)
        measured = _run_epoch(model, splits, config, epoch)
        seconds = time.perf_counter() - start
        if not math.isfinite(measured["loss"]):
            raise RunError(
                f"the loss is {measured['loss']} in epoch {epoch + 1}. Lower the "
                "learning rate or set the optimizer's `clipnorm`. "
                + _workdir_hint(epoch)
            )
        place.require_own()
        progress.history.append(measured)
        progress.seconds += seconds
        save_state(place.state, model, progress)
        place.write_history(progress.history)
        with writing(place.tensorboard), writer.as_default(step=epoch + 1):
            for name, value in measured.items():
                tf.summary.scalar(name, value)
            writer.flush()
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in measured.items())
        count = f"{epoch + 1:{len(str(config.training.epochs))}}"
        print(
            f"epoch {count}/{config.training.epochs}  {numbers}  {seconds:.1f} s",
            flush=True,
        )


def _run_epoch(
    model: keras.Model, splits: Mapping[str, Sequences], config: Config, epoch: int
) -> dict[str, float]:
    train, validation = splits["train"], splits.get("validation")
    order = epoch_order(len(train), config.training.seed, epoch)
    try:
        history = model.fit(
            train.frames[order],
            train.labels[order],
            batch_size=config.training.batch_size,
            shuffle=False,
            verbose=0,
            validation_data=validation and (validation.frames, validation.labels),
        )
    except refusals() as error:
        reason = str(error).strip().partition("\n")[0]
        raise RunError(
            f"epoch {epoch + 1} cannot be trained: {reason or type(error).__name__} "
            f"Correct the config. {_workdir_hint(epoch)}"
        ) from error
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    measured = history.history
    return {name: float(measured[name][-1]) for name in names if name in measured}


def _workdir_hint(epochs: int) -> str:
    """Returns where a corrected config can run, given the number of finished epochs."""
    if epochs:
        return "Use another --workdir: this one keeps its epochs and their config."
    return "No epoch is finished, so you can use the same --workdir."


def _scheduled(rate: float, epoch: int, config: Config) -> float:
    if config.training.learning_rate_schedule == "constant":
        return rate
    return rate * (1 + math.cos(math.pi * epoch / config.training.epochs)) / 2


def _finish(
    model: keras.Model,
    splits: Mapping[str, Sequences],
    config: Config,
    progress: Progress,
    place: Workdir,
) -> dict[str, Any]:
    """Writes the outputs of a finished training, and returns the metrics."""
    metrics: dict[str, Any] = {
        "epochs": progress.epochs,
        "seconds": progress.seconds,
        "parameters": model.count_params(),
        "parts": measure(model, splits, config.training.batch_size),
        "versions": {
            package.__name__: package.__version__ for package in (keras, np, tf)
        },
    }
    place.require_own()
    with whole(place.model) as unfinished:
        # Keras requires the suffix `.keras`, which `unfinished` has.
        model.save(unfinished)
    written = [place.model]
    place.require_own()
    if "saved_model" in config.export.formats:
        metrics["saved_model"] = export_saved_model(
            model, place.saved_model, splits["test"].frames, config.export.tolerance
        )
        written.append(place.saved_model)
    metrics["files"] = {path.name: size(path) for path in written}
    place.require_own()
    place.write_history(progress.history)
    plot_history(progress.history, place.plot, title=place.path.resolve().name)
    place.write_metrics(metrics, [*written, place.history, place.plot])
    return metrics
