"""Draws the layout of each format's weights, and writes the table of the formats.

    python docs/weight_layouts.py

writes `docs/weight_layouts.png` and the table in `docs/weights.md`, both from the
formats' own declarations. A block is one gate's matrix or bias. Its colour shows the
gate, its height and width the sizes: three features, two units.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle

from tf_gru_addon.weights import cudnn_buffer, flax_params
from tf_gru_addon.weights.formats import FORMATS
from tf_gru_addon.weights.layouts import LayoutArray

F, U, BIAS = 3, 2, 1.3  # drawn sizes
COLORS = {"z": "#7fb3d5", "r": "#f5b041", "h": "#82c99a"}
GAP = 1.5  # between arrays
BEGIN, END = "<!-- formats -->", "<!-- end of formats -->"


def layouts() -> dict[str, tuple[LayoutArray, ...]]:
    """Returns the arrays of every format and conversion, by title."""
    found = {}
    for form in FORMATS.values():
        found |= form.layouts
    for module in (flax_params, cudnn_buffer):
        found |= module.LAYOUTS
    return dict(sorted(found.items(), key=lambda item: item[0][:9] != "Canonical"))


def table() -> str:
    """Returns the documentation's table of the file formats, in Markdown."""
    lines = [
        "| `format` | the file | gates | written as | read back by | cannot hold |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, form in FORMATS.items():
        suffixes = ", ".join(f"`{suffix}`" for suffix in form.suffixes)
        peer = form.peer.name if form.peer else "this package"
        cells = (
            f"`{name}`",
            form.file,
            form.gate_order,
            suffixes or f"`--format {name}`",
            peer,
            form.cannot_hold or "holds every stack",
        )
        if form.write is None:
            cells = (*cells[:3], "not written", "-", "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_table(page: Path) -> None:
    """Replaces the table between the marks in a page."""
    before, mark, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    page.write_text(f"{before}{mark}\n{table()}{end}{after}", "utf-8")


def gate(block: str) -> str:
    """Returns a block's gate: z, r or h."""
    return next(letter for letter in block.lstrip("-")[1:] if letter in COLORS)


def size(block: str) -> tuple[float, float]:
    """Returns a block's height and width."""
    block = block.lstrip("-")
    if block[0] == "b":
        return BIAS, U
    height = F if block[0] == "W" else U
    return (U, height) if block.endswith("t") else (height, U)


def label(block: str) -> str:
    """Returns the formula in a block."""
    sign = "-" if block.startswith("-") else ""
    name = block.lstrip("-").rstrip("tx")
    kind = {"bi": "b^{in}", "bo": "b^{rec}"}.get(name[:-1], name[:-1])
    end = {"t": "^T", "x": "^{T\\star}"}.get(block[-1], "")
    return f"${sign}{kind}_{gate(block)}{end}$"


def draw_array(axes: Axes, array: LayoutArray, left: float, top: float) -> float:
    """Draws an array, and returns its width."""
    axes.text(left, top + 0.45, array.name, fontsize=8, family="monospace")
    y, widest = top, 0.0
    for row in array.blocks:
        x, tallest = left, 0.0
        for block in row.split():
            height, width = size(block)
            color = COLORS[gate(block)]
            axes.add_patch(
                Rectangle(
                    (x, y - height), width, height, facecolor=color, edgecolor="k"
                )
            )
            center = x + width / 2, y - height / 2
            axes.text(*center, label(block), ha="center", va="center", fontsize=9)
            x, tallest = x + width, max(tallest, height)
        y, widest = y - tallest, max(widest, x - left)
    axes.text(left, y - 0.65, array.shape, fontsize=7, color="#444444")
    return max(widest, 0.34 * max(len(array.name), len(array.shape)))


def draw(path: Path) -> None:
    """Draws all layouts into a picture."""
    drawn = layouts()
    figure, axes = plt.subplots(figsize=(11, 2.1 * len(drawn)))
    top = 0.0
    for title, arrays in drawn.items():
        axes.text(0, top + 1.6, title, fontsize=11, weight="bold")
        left, tallest = 0.0, 0.0
        for array in arrays:
            left += draw_array(axes, array, left, top) + GAP
            height = sum(max(size(b)[0] for b in row.split()) for row in array.blocks)
            tallest = max(tallest, height)
        top -= tallest + 4.2
    handles = [
        Patch(facecolor=COLORS[key], edgecolor="k", label=f"{key}: {name}")
        for key, name in {"z": "update", "r": "reset", "h": "candidate"}.items()
    ]
    axes.legend(handles=handles, loc="upper right", fontsize=9)
    note = "T: transposed.   T*: transposed, then reshaped to the former shape."
    axes.text(0, top + 1.6, note, fontsize=9)
    axes.set_xlim(-0.5, 42)
    axes.set_ylim(top + 1, 3)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(__file__).with_suffix(".png"))
    write_table(Path(__file__).with_name("weights.md"))
