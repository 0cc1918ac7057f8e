"""Plots the speed-up of each candidate over Keras."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from benchmarks.report import number, ratio
from benchmarks.speed import NAMES

_INK = "#33383d"
_TITLES = {"forward": "Forward pass", "training": "Training step"}


def plot(results: dict, path: Path) -> None:
    """Writes the plot of a run's results: one cell per shape and candidate."""
    columns = {kind: _columns(results[kind]) for kind in _TITLES}
    figure = Figure(figsize=(13, 5), dpi=120, layout="constrained")
    axes = figure.subplots(
        1, 2, sharey=True, width_ratios=[len(names) for names in columns.values()]
    )
    for axis, (kind, title) in zip(axes, _TITLES.items(), strict=True):
        _table(axis, results[kind], columns[kind])
        axis.set_title(title, color=_INK, pad=12)
    axes[0].set_yticks(range(len(results["forward"])), list(results["forward"]))
    axes[0].set_ylabel("batch, timesteps, features, units", color=_INK)
    machine = results["machine"]
    figure.suptitle(
        "Times as fast as keras.layers.GRU (green: faster; bold: the fastest), "
        f"on {machine['cpu']}, {machine['threads']} threads, float32",
        color=_INK,
    )
    figure.savefig(path, format="png")


def _columns(results: dict) -> list[str]:
    """Returns the measured candidates, without Keras itself."""
    measured = next(iter(results.values()))["times"]
    return [name for name in NAMES if name in measured and name != "Keras"]


def _table(axis: Axes, results: dict, names: list[str]) -> None:
    speeds = [
        [ratio(found["times"]["Keras"], found["times"].get(name)) for name in names]
        for found in results.values()
    ]
    values = np.array(speeds, float)  # NaN if it was not measured
    axis.imshow(
        np.log2(values),
        cmap="PiYG",
        norm=TwoSlopeNorm(0, vmin=-2, vmax=6),  # a quarter to 64 times as fast
        aspect="auto",
    )
    for (row, column), value in np.ndenumerate(values):
        is_best = value == np.nanmax(values[row])
        axis.text(
            column,
            row,
            number(None if np.isnan(value) else value),
            ha="center",
            va="center",
            color="white" if value > 24 else _INK,
            fontweight="bold" if is_best else "normal",
        )
    labels = [name.replace(" ", "\n") for name in names]
    axis.set_xticks(range(len(names)), labels, color=_INK)
    axis.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axis.set_yticks(np.arange(len(values) + 1) - 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0, labelcolor=_INK)
    axis.spines[:].set_visible(False)
