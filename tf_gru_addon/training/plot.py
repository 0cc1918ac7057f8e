"""A picture of how training went."""

from __future__ import annotations

from pathlib import Path

from tf_gru_addon.files import whole
from tf_gru_addon.training.state import History

_INK, _GRID = "#33383d", "#e3e6e8"
_COLOURS = {"train": "#1f6f8b", "validation": "#d9822b"}


def plot_history(history: History, path: Path, title: str) -> None:
    """Draws loss and accuracy by epoch, of training and validation, as a PNG file.

    Raises:
        RunError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # and not pyplot, which keeps global state

    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    epochs = range(1, len(history) + 1)
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, prefix in (("train", ""), ("validation", "val_")):
            key = prefix + measure
            if key in history[0]:
                values = [row[key] for row in history]
                axes.plot(
                    epochs,
                    values,
                    color=_COLOURS[part],
                    linewidth=1.8,
                    marker="o" if len(history) < 20 else None,
                    markersize=4,
                    label=f"{part}: {values[-1]:.4f} in the last epoch",
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
