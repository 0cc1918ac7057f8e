"""Draws how each format lays out the weights of a GRU.

    python docs/weight_layouts.py [PICTURE]

writes `docs/weight_layouts.png`. A block is one gate's matrix or bias; its colour says
which gate, its height and width the sizes: three features, two units.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch, Rectangle

F, U, BIAS = 3, 2, 1.3  # drawn sizes
COLORS = {"z": "#7fb3d5", "r": "#f5b041", "h": "#82c99a"}
GAP = 1.5  # between arrays


@dataclass(frozen=True)
class Array:
    """An array: rows of blocks.

    Args:
        name: Its name in the format.
        shape: Its shape, in words.
        blocks: Rows of blocks from the top, such as "Wz Wr Wh": W of the inputs, U of
            the state, b a bias, bi and bo the input and the recurrent one. Behind, a
            t is a transposed matrix, and an x one whose numbers lie in the other shape.
    """

    name: str
    shape: str
    blocks: tuple[str, ...]


LAYOUTS = {
    "Canonical: Keras 2 and 3, TensorFlow 2": [
        Array("kernel", "(features, 3 units)", ("Wz Wr Wh",)),
        Array("recurrent_kernel", "(units, 3 units)", ("Uz Ur Uh",)),
        Array("bias, reset before", "(3 units,)", ("bz br bh",)),
        Array("bias, reset after", "(2, 3 units)", ("biz bir bih", "boz bor boh")),
    ],
    "Keras 1 (reset before)": [
        Array(f"{kind}_{gate}", "", (f"{kind}{gate}",))
        for gate in "zrh"
        for kind in ("W", "U", "b")
    ],
    "Keras 2 CuDNNGRU (reset after)": [
        Array("kernel", "(features, 3 units)", ("Wzx Wrx Whx",)),
        Array("recurrent_kernel", "(units, 3 units)", ("Uzt Urt Uht",)),
        Array("bias", "(6 units,)", ("biz bir bih boz bor boh",)),
    ],
    "TensorFlow 1 GRUCell, GRUBlockCell (reset before)": [
        Array("gates/kernel", "(features + units, 2 units)", ("Wr Wz", "Ur Uz")),
        Array("gates/bias", "(2 units,)", ("br bz",)),
        Array("candidate/kernel", "(features + units, units)", ("Wh", "Uh")),
        Array("candidate/bias", "(units,)", ("bh",)),
    ],
    "TensorFlow 1 CudnnCompatibleGRUCell (reset after)": [
        Array("gates/kernel", "(features + units, 2 units)", ("Wr Wz", "Ur Uz")),
        Array("gates/bias", "(2 units,)", ("br bz",)),
        Array("input_projection", "kernel, bias", ("Wh", "bih")),
        Array("hidden_projection", "kernel, bias", ("Uh", "boh")),
    ],
    "PyTorch (reset after)": [
        Array("weight_ih_l0", "(3 units, features)", ("Wrt", "Wzt", "Wht")),
        Array("weight_hh_l0", "(3 units, units)", ("Urt", "Uzt", "Uht")),
        Array("bias_ih_l0", "(3 units,)", ("bir biz bih",)),
        Array("bias_hh_l0", "(3 units,)", ("bor boz boh",)),
    ],
    "ONNX, a direction (linear_before_reset=1 is reset after)": [
        Array("W", "(3 units, features)", ("Wzt", "Wrt", "Wht")),
        Array("R", "(3 units, units)", ("Uzt", "Urt", "Uht")),
        Array("B", "(6 units,)", ("biz bir bih boz bor boh",)),
    ],
    "flax linen.GRUCell (reset after)": [
        Array("ir", "kernel, bias", ("Wr", "br")),
        Array("iz", "kernel, bias", ("Wz", "bz")),
        Array("in", "kernel, bias", ("Wh", "bih")),
        Array("hr", "kernel", ("Ur",)),
        Array("hz", "kernel", ("Uz",)),
        Array("hn", "kernel, bias", ("Uh", "boh")),
    ],
    "flax nnx.GRUCell (reset after)": [
        Array("dense_i", "kernel, bias", ("Wr Wz Wh", "br bz bih")),
        Array("dense_h", "kernel", ("Ur Uz Uh",)),
    ],
    "cuDNN buffer (reset after), one strip": [
        Array("matrices of the inputs", "each flattened", ("Wrt Wzt Wht",)),
        Array("matrices of the state", "each flattened", ("Urt Uzt Uht",)),
        Array("biases, of all layers last", "", ("bir biz bih bor boz boh",)),
    ],
}


def gate(block: str) -> str:
    """Returns a block's gate: z, r or h."""
    return next(letter for letter in block[1:] if letter in COLORS)


def size(block: str) -> tuple[float, float]:
    """Returns a block's height and width."""
    if block[0] == "b":
        return BIAS, U
    height = F if block[0] == "W" else U
    return (U, height) if block.endswith("t") else (height, U)


def label(block: str) -> str:
    """Returns what stands in a block."""
    name = block.rstrip("tx")
    kind = {"bi": "b^{in}", "bo": "b^{rec}"}.get(name[:-1], name[:-1])
    end = {"t": "^T", "x": "^{T\\star}"}.get(block[-1], "")
    return f"${kind}_{gate(block)}{end}$"


def draw_array(axes, array: Array, left: float, top: float) -> float:
    """Draws an array, and returns how wide it is."""
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
    figure, axes = plt.subplots(figsize=(11, 21))
    top = 0.0
    for title, arrays in LAYOUTS.items():
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
    note = "T: transposed.   T*: transposed, its numbers laid out in the shape before."
    axes.text(0, top + 1.6, note, fontsize=9)
    axes.set_xlim(-0.5, 42)
    axes.set_ylim(top + 1, 3)
    axes.set_aspect("equal")
    axes.axis("off")
    figure.savefig(path, dpi=100, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


if __name__ == "__main__":
    default = Path(__file__).with_suffix(".png")
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
