"""The documentation's examples, table and picture are right."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from tf_gru_addon import weights

DOCS = Path(__file__).parents[1] / "docs"
WEIGHTS = (DOCS / "weights.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", WEIGHTS, re.M | re.S))
PEERS = {"PyTorch", "ONNX"}


def code(section):
    return "".join(re.findall(r"```python\n(.*?)```", SECTIONS[section], re.S))


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(name, marks=pytest.mark.peer if name in PEERS else ())
        for name in SECTIONS
    ],
)
def test_recipes_run(section, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables = {}
    # Every recipe needs the first one, and one needs that of Keras 1.
    for name in dict.fromkeys(["The canonical form", "Keras 1", section]):
        assert code(name)
        exec(code(name), variables)


def test_every_function_has_a_recipe():
    recipes = "".join(code(section) for section in SECTIONS)
    for name in weights.__all__:
        if name.startswith(("from_", "to_", "read_", "write_", "inspect_")):
            assert name in recipes


@pytest.fixture(scope="module")
def layouts():
    spec = importlib.util.spec_from_file_location("layouts", DOCS / "weight_layouts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_lists_the_formats(layouts):
    between = WEIGHTS.partition(layouts.BEGIN)[2].partition(layouts.END)[0]
    assert between.strip() == layouts.table().strip(), (
        "docs/weights.md is out of date: run python docs/weight_layouts.py"
    )


def test_the_picture_is_drawn(layouts, tmp_path):
    layouts.draw(tmp_path / "picture.png")
    for path in (tmp_path / "picture.png", DOCS / "weight_layouts.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def order(array):
    """Returns the order of the gates in a drawn array: z is 0, r is 1, h is 2."""
    blocks = " ".join(array.blocks).split()
    gates = {"z": 0, "r": 1, "h": 2}
    return [
        gates[next(letter for letter in block[1:] if letter in gates)]
        for block in blocks
    ]


def test_the_picture_shows_the_written_gate_order(layouts):
    """Writes one unit and one feature; each gate's weight is its number in `order`."""
    numbers = np.arange(3.0)[None]
    after = weights.GRUWeights(numbers, numbers, np.tile(numbers, (2, 1)), True)
    before = weights.GRUWeights(numbers, numbers, numbers[0], False)
    plain = weights.GRUWeights(numbers, numbers, numbers * [[1], [0]], True)
    linen = weights.to_flax_linen(plain)
    nnx = weights.to_flax_nnx(plain)
    written = {
        "Canonical": [numbers, numbers, numbers, np.tile(numbers, 2)],
        "Keras 1 ": weights.to_keras1_arrays(before),
        "Keras 2 ": weights.to_cudnn_gru(after),
        "TensorFlow 1 GRUCell": list(weights.to_tf1_variables(before).values()),
        "PyTorch": list(weights.torch_arrays(after).values()),
        "flax linen": [
            list(linen[name]["kernel"].ravel()) + list(linen[name].get("bias", ()))
            for name in ("ir", "iz", "in", "hr", "hz")
        ],
        "flax nnx": [
            [*nnx["dense_i"]["kernel"].ravel(), *nnx["dense_i"]["bias"]],
            nnx["dense_h"]["kernel"],
        ],
        "cuDNN": np.split(weights.to_cudnn_buffer(after), [3, 6]),
    }
    pictures = layouts.layouts()
    for start, arrays in written.items():
        (title,) = (title for title in pictures if title.startswith(start))
        drawn = pictures[title]
        for array, values in zip(drawn, arrays, strict=start != "flax linen"):
            assert np.ravel(values).tolist() == order(array), (title, array.name)
