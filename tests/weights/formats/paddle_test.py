"""PaddlePaddle's state dicts, against its equations and a file that it wrote."""

import importlib.util
import pickle

import numpy as np
import pytest
from hypothesis import given
from support.harness import assert_close
from support.legacy_files import FIXTURES
from support.random_weights import (
    assert_identical,
    few,
    gru_stacks,
    inputs_for,
    outputs_of,
    random_stack,
    random_weights,
)

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.formats.paddle import from_paddle, to_paddle
from tf_gru_addon.weights.write_files import write_and_read_back


def paddle_gru(arrays, x):
    """The equations of `nn.GRU`'s documentation, in NumPy."""

    def one_way(end, x):
        w_i, w_h, b_i, b_h = (
            arrays[name + end].astype(np.float64)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        h, outputs = np.zeros((len(x), w_h.shape[1])), []
        for t in range(x.shape[1]):
            r_x, z_x, c_x = np.split(x[:, t] @ w_i.T + b_i, 3, axis=1)
            r_h, z_h, c_h = np.split(h @ w_h.T + b_h, 3, axis=1)
            r, z = 1 / (1 + np.exp(-(r_x + r_h))), 1 / (1 + np.exp(-(z_x + z_h)))
            c = np.tanh(c_x + r * c_h)
            h = z * h + (1 - z) * c
            outputs.append(h)
        return np.stack(outputs, axis=1)

    layer = 0
    while f"weight_ih_l{layer}" in arrays:
        sides = [one_way(f"_l{layer}", x)]
        if f"weight_ih_l{layer}_reverse" in arrays:
            sides.append(one_way(f"_l{layer}_reverse", x[:, ::-1])[:, ::-1])
        x, layer = np.concatenate(sides, axis=-1), layer + 1
    return x


@given(gru_stacks(reset_after=True))
@few
def test_the_equations(stack):
    x = inputs_for(stack)
    arrays = to_paddle(stack)
    assert_close(paddle_gru(arrays, x), outputs_of(stack, x), "float64")
    (again,) = from_paddle(arrays).values()
    assert_identical(to_paddle(again), arrays)


def test_a_file_that_paddle_wrote(tmp_path):
    file = inspect_weights(FIXTURES / "paddle_gru.pdparams")
    assert (file.format, file.gate_order, list(file.grus)) == (
        "paddle",
        "r z c",
        ["gru"],
    )
    with np.load(FIXTURES / "paddle_gru_outputs.npz") as expected:
        outputs = outputs_of(file.grus["gru"], expected["x"])
        assert_close(outputs, expected["y"])
    write_weights(tmp_path / "gru.pdparams", file.grus["gru"], "paddle")
    assert read_weights(tmp_path / "gru.pdparams") == file.grus["gru"]
    ours, theirs = (
        pickle.loads(path.read_bytes())
        for path in (tmp_path / "gru.pdparams", FIXTURES / "paddle_gru.pdparams")
    )
    assert list(ours) == list(theirs)


def test_a_model_with_several_grus():
    (layer,) = random_stack()
    (pair,) = random_stack(bidirectional=True)
    arrays = to_paddle((layer,))
    cell = {name[2:]: array for name, array in arrays.items() if name[0] == "0"}
    both = {n[2:]: array for n, array in to_paddle((pair,)).items() if n[0] == "0"}
    model = {
        **{f"encoder.{name}": array for name, array in arrays.items()},
        **{f"1.{name}": array for name, array in cell.items()},
        **{f"2.{name.removeprefix('cell.')}": array for name, array in cell.items()},
        **{f"decoder.0.{name}": array for name, array in both.items()},
        "lstm.weight_hh_l0": np.ones((8, 2)),
        "lstm.weight_ih_l0": np.ones((8, 2)),
        "linear.weight": np.ones((2, 2)),
    }
    assert from_paddle(model) == {
        "encoder": (layer,),
        "1": (layer,),
        "2": (layer,),
        "decoder.0": (pair,),
    }


@pytest.mark.parametrize("missing", ["bias_ih", "bias_hh"])
def test_one_bias_of_two_is_zero(missing):
    arrays = to_paddle(random_stack())
    expected = {**arrays, f"{missing}_l0": np.zeros(12, "f4")}
    del arrays[f"{missing}_l0"]  # as with bias_ih_attr=False
    assert from_paddle(arrays) == from_paddle(expected)
    without = {name: a for name, a in arrays.items() if not name.startswith("bias")}
    assert not from_paddle(without)["gru"][0].use_bias


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_nested_dicts(tmp_path, protocol):
    stack = random_stack()
    arrays = {name: ("gru_cell_0.w_0", a) for name, a in to_paddle(stack).items()}
    content = {"model": arrays, "epoch": 3, "rates": [0.1], "done": None}
    content["self"] = content
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(content, protocol))
    assert inspect_weights(tmp_path / "a.pdparams").grus == {"model": stack}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "expected a dict of arrays; it holds a list"),
        ({"linear.weight": np.ones(2)}, "Expected .*received linear.weight"),
        ({}, "received no array"),
        ({"weight_hh_l0": np.ones((6, 2))}, "gru: layer 0, forward, lacks its input w"),
        ({"a": np.random.default_rng}, "an object of numpy.random"),
        ({"a": WeightsError}, "an object of tf_gru_addon.weights.errors.WeightsError"),
    ],
)
def test_files_that_are_not_a_state_dict(tmp_path, content, message):
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(content))
    with pytest.raises(WeightsError, match=rf"a\.pdparams: .*{message}"):
        inspect_weights(tmp_path / "a.pdparams")


def test_one_array_with_a_thousand_names(tmp_path):
    weights = np.ones((3 * 512, 512), "f4")
    arrays = {f"{i}.weight_hh_l0": weights for i in range(1000)}
    (tmp_path / "a.pdparams").write_bytes(pickle.dumps(arrays))
    with pytest.raises(WeightsError, match="claims 3145728 bytes"):
        inspect_weights(tmp_path / "a.pdparams")


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (random_weights(reset_after=False), "PaddlePaddle's GRU applies .* after "),
        (GRULayer(random_weights(), activation="relu"), "has the activation tanh"),
        (random_stack(units=(4, 2)), "the same units"),
        (GRULayer(None, random_weights()), "only runs backward"),
    ],
)
def test_stacks_that_paddle_cannot_hold(tmp_path, stack, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "gru.pdparams", stack, "paddle")


@pytest.mark.peer
@pytest.mark.parametrize("options", [{}, {"units": (4, 4), "bidirectional": True}])
def test_against_paddle(tmp_path, options):
    """PaddlePaddle loads the file in its own process, and the outputs are compared."""
    if importlib.util.find_spec("paddle") is None:
        pytest.skip("PaddlePaddle is not installed")
    read = write_and_read_back(
        tmp_path / "gru.pdparams", random_stack(**options), "paddle"
    )
    assert read.startswith("PaddlePaddle ")
