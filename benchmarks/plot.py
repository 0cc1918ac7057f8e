"""The results as a picture: how many times as fast as Keras each candidate is."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from benchmarks.report import ratio
from benchmarks.speed import LIBRARY

#: Colour and marker by name; the engines of this package are filled.
STYLES = {
    "native": ("#c0392b", "D"),
    LIBRARY: ("#c0392b", "d"),
    "portable": ("#e59866", "D"),
    "Keras XLA": ("#7f8c8d", "s"),
    "tf_keras": ("#34495e", "^"),
    "torch": ("#8e44ad", "o"),
    "ONNX Runtime": ("#2471a3", "v"),
    "OpenVINO": ("#17a589", "P"),
    "flax": ("#b7950b", "X"),
}


def plot(results: dict, path: Path) -> None:
    """Writes the picture of a run's results."""
    kinds = {"forward": "Forward pass", "training": "Training step"}
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 6.2), sharey=True)
    shapes = list(results["forward"])
    for axis, (kind, title) in zip(axes, kinds.items(), strict=True):
        for row, found in enumerate(results[kind].values()):
            axis.axhspan(row - 0.4, row + 0.4, color="#f2f3f4", zorder=0)
            times = found["times"]
            for name in STYLES:
                speed = ratio(times["Keras"], times.get(name))
                if speed is not None:
                    _point(axis, speed, row, name)
        axis.axvline(1, color="black", linewidth=1, zorder=1)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_title(title)
        axis.set_xlabel("times as fast as keras.layers.GRU")
        axis.grid(axis="x", color="#d5d8dc", linewidth=0.5)
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(shapes)), shapes)
    axes[0].set_ylabel("batch, timesteps, features, units")
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    names = [name for name in STYLES if name in unique]
    figure.legend(
        [unique[name] for name in names], names, ncols=9, loc="lower center",
        frameon=False, handletextpad=0.1, columnspacing=1.0,
    )  # fmt: skip
    machine = results["machine"]
    figure.suptitle(f"{machine['cpu']}, {machine['threads']} threads, float32")
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _point(axis, speed, row, name):
    colour, marker = STYLES[name]
    own = name in ("native", "portable")
    below = 0.075 * (list(STYLES).index(name) - len(STYLES) // 2)  # beside each other
    axis.scatter(
        speed,
        row + below,
        s=60 if own else 36,
        marker=marker,
        label=name,
        zorder=3 if own else 2,
        facecolor=colour if own else "white",
        edgecolor=colour,
        linewidth=1.5,
    )
