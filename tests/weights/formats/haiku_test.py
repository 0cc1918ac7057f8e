"""Haiku's parameters, against its equations and against Haiku itself."""

import numpy as np
import pytest
from support.harness import assert_close
from support.random_weights import inputs_for, outputs_of, random_stack, random_weights

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)

BEFORE = random_weights(reset_after=False)


def haiku_gru(params, x):
    """The equations of `hk.GRU`'s documentation, in NumPy."""
    w_i, w_h, b = (params[name].astype(np.float64) for name in ("w_i", "w_h", "b"))
    units = len(w_h)
    h = np.zeros((len(x), units))
    outputs = []
    for t in range(x.shape[1]):
        gates = x[:, t] @ w_i + b
        zr = gates[:, : 2 * units] + h @ w_h[:, : 2 * units]
        z, r = np.split(1 / (1 + np.exp(-zr)), 2, axis=1)
        a = np.tanh(gates[:, 2 * units :] + (r * h) @ w_h[:, 2 * units :])
        h = (1 - z) * h + z * a
        outputs.append(h)
    return np.stack(outputs, axis=1)


def test_the_equations(tmp_path):
    write_weights(tmp_path / "gru.npz", BEFORE, "haiku")
    with np.load(tmp_path / "gru.npz") as file:
        params = {name.removeprefix("gru/"): file[name] for name in file.files}
    x = inputs_for(BEFORE)
    assert_close(haiku_gru(params, x), outputs_of(BEFORE, x), "float64")


def test_parameters_of_several_modules(tmp_path):
    stack = random_stack(units=(4, 2), reset_after=False)
    write_weights(tmp_path / "gru.npz", stack, "haiku")
    assert list(inspect_weights(tmp_path / "gru.npz").grus) == ["gru", "gru_1"]
    assert read_weights(tmp_path / "gru.npz", "gru*") == stack

    with np.load(tmp_path / "gru.npz") as file:
        arrays = {f"model/~/{name}": file[name] for name in file.files}
    arrays |= {"linear/w": np.ones((2, 3)), "linear/b": np.ones(3)}
    arrays |= {"lstm/w_h": np.ones((2, 8)), "lstm/b": np.ones(8)}
    np.savez(tmp_path / "model.npz", **arrays)
    file = inspect_weights(tmp_path / "model.npz")
    assert (file.format, file.unstated) == ("haiku", {})
    assert list(file.grus) == ["model/~/gru", "model/~/gru_1"]
    del arrays["model/~/gru/w_i"]
    np.savez(tmp_path / "less.npz", **arrays)
    with pytest.raises(WeightsError, match=r"less.npz: model/~/gru lacks w_i"):
        inspect_weights(tmp_path / "less.npz")


def test_pickled_parameters_are_refused(tmp_path):
    np.savez(tmp_path / "gru.npz", **{"gru/w_h": np.array({"w_h": None})})
    with pytest.raises(WeightsError, match="holds Python objects, which are never"):
        inspect_weights(tmp_path / "gru.npz")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (GRULayer(random_weights()), "Haiku's GRU applies the reset gate before"),
        (GRULayer(BEFORE, activation="relu"), "has the activation tanh"),
        (GRULayer(BEFORE, BEFORE), "Haiku's GRU runs forward"),
    ],
)
def test_weights_that_haiku_cannot_hold(tmp_path, layer, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "gru.npz", layer, "haiku")


@pytest.mark.peer
def test_against_haiku(tmp_path):
    hk = pytest.importorskip("haiku")
    jax = pytest.importorskip("jax")

    def unroll(y):
        for units in (4, 2):
            core = hk.GRU(units, b_init=hk.initializers.RandomNormal())
            y, _ = hk.dynamic_unroll(core, y, core.initial_state(y.shape[1]))
        return y

    x = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    model = hk.transform(unroll)
    params = model.init(jax.random.PRNGKey(0), x.transpose(1, 0, 2))
    arrays = {
        f"{module}/{name}": array
        for module, name, array in hk.data_structures.traverse(params)
    }
    np.savez(tmp_path / "params.npz", **arrays)
    stack = read_weights(tmp_path / "params.npz", "gru*")
    y = model.apply(params, None, x.transpose(1, 0, 2))
    assert_close(outputs_of(stack, x), np.transpose(y, (1, 0, 2)))
    write_weights(tmp_path / "again.npz", stack, "haiku")
    with np.load(tmp_path / "again.npz") as file:
        assert {name: file[name].tolist() for name in file.files} == {
            name: array.tolist() for name, array in arrays.items()
        }
