"""Plots the history of a run, and the sizes and latencies of a deployment."""

from __future__ import annotations

import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tf_gru_addon.export.parity_report import readable_size
from tf_gru_addon.files import whole
from tf_gru_addon.training.state import History

if typing.TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tf_gru_addon.training.deployment import Form

_INK, _GRID = "#33383d", "#e3e6e8"
_COLOURS = {"train": "#1f6f8b", "validation": "#d9822b"}


def plot_history(history: History, path: Path, title: str) -> None:
    """Plots loss and accuracy by epoch, for training and validation, as a PNG file.

    Raises:
        RunError: The file cannot be written.
    """
    from matplotlib.figure import Figure  # pyplot would keep global state

    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, prefix in (("train", ""), ("validation", "val_")):
            key = prefix + measure
            if key in history[0]:
                values = [row[key] for row in history]
                axes.plot(
                    epochs,
                    values,
                    color=_COLOURS[split],
                    linewidth=1.8,
                    marker="o" if len(history) < 20 else None,
                    markersize=4,
                    label=f"{split}: {values[-1]:.4f} in the last epoch",
                )
        losses = [row["loss"] for row in history]
        if measure == "loss" and 0 < 20 * min(losses) < max(losses):
            axes.set_yscale("log")
        axes.set_title(measure, loc="left", color=_INK, fontsize=11)
        axes.set_xlabel("epoch", color=_INK)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, length=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_GRID)
        axes.legend(frameon=False, labelcolor=_INK)
    figure.suptitle(title, color=_INK, fontsize=11, fontweight="bold")
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png")


def plot_deployment(forms: list[Form], path: Path, title: str) -> None:
    """Plots size and latency of each form of a model, as a PNG file.

    Args:
        forms: The forms; refused ones are left out.
        path: The file.
        title: The figure's title.

    Raises:
        RunError: The file cannot be written.
    """
    figure = deployment_figure([form for form in forms if not form.refusal], title)
    with whole(path) as unfinished:
        figure.savefig(unfinished, format="png")


def deployment_figure(forms: list[Form], title: str) -> Figure:
    """Returns the figure: one panel per quantity, on logarithmic axes.

    Args:
        forms: The forms.
        title: The figure's title.
    """
    from matplotlib.figure import Figure

    panels: list[tuple[str, list[Form], str, Callable[[Any], str]]] = [
        ("size", forms, "size", readable_size),
        (
            "latency, a sequence of 50 steps",
            [form for form in forms if not form.step],
            "latency_ms",
            _milliseconds,
        ),
        (
            "latency, a single step",
            [form for form in forms if form.step],
            "latency_ms",
            _milliseconds,
        ),
    ]
    panels = [panel for panel in panels if panel[1]]
    figure = Figure(
        figsize=(4.2 * len(panels), 1.4 + 0.4 * len(forms)),
        dpi=150,
        layout="constrained",
    )
    columns = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, shown, field, text) in zip(columns, panels, strict=True):
        values = {form.name: getattr(form, field) for form in shown}
        _draw_dots(axes, values, text, len(forms))
        axes.set_title(name, loc="left", color=_INK, fontsize=10)
    figure.suptitle(
        f"{title} (batch 1, logarithmic axes)", color=_INK, fontsize=11, ha="center"
    )
    return figure


def _draw_dots(
    axes: Axes, values: dict[str, float], text: Callable[[Any], str], height: int
) -> None:
    """Draws one labelled dot per value; on a logarithmic axis, bars have no zero."""
    from matplotlib.ticker import LogLocator, NullFormatter

    rows = range(len(values))
    numbers = list(values.values())
    axes.set_xscale("log")
    # Leave room for half a label beside the first and the last dot.
    room = 1.4 * (max(numbers) / min(numbers)) ** 0.2
    axes.set_xlim(min(numbers) / room, max(numbers) * room)
    axes.hlines(rows, *axes.get_xlim(), color=_GRID, linewidth=0.8, zorder=1)
    axes.scatter(numbers, rows, color=_COLOURS["train"], s=36, zorder=2)
    for row, number in zip(rows, numbers, strict=True):
        axes.annotate(
            text(number),
            (number, row),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=_INK,
            fontsize=8,
            annotation_clip=False,
        )
    axes.set_yticks(rows, list(values))
    axes.set_ylim(height - 0.6, -0.8)  # the first on top
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: text(value))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="both", colors=_INK, length=0)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)


def _milliseconds(value: float) -> str:
    return f"{value:.3g} ms"
