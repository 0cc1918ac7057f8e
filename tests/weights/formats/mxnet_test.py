"""MXNet's parameters, against its equations and a file that MXNet wrote."""

import importlib.util
import struct

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

from tf_gru_addon.reading import FileRefusedError
from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    write_weights,
)
from tf_gru_addon.weights.formats.mxnet import (
    MAGIC,
    from_mxnet,
    read_params,
    to_mxnet,
    write_params,
)
from tf_gru_addon.weights.write_files import write_and_read_back


def gluon_gru(arrays, x):
    """The equations of `gluon.rnn.GRU`'s documentation, in NumPy."""

    def one_way(way, layer, x):
        w_i, w_h, b_i, b_h = (
            arrays[f"{way}{layer}_{name}"].astype(np.float64)
            for name in ("i2h_weight", "h2h_weight", "i2h_bias", "h2h_bias")
        )
        h, outputs = np.zeros((len(x), w_h.shape[1])), []
        for t in range(x.shape[1]):
            r_x, i_x, n_x = np.split(x[:, t] @ w_i.T + b_i, 3, axis=1)
            r_h, i_h, n_h = np.split(h @ w_h.T + b_h, 3, axis=1)
            r, i = 1 / (1 + np.exp(-(r_x + r_h))), 1 / (1 + np.exp(-(i_x + i_h)))
            n = np.tanh(n_x + r * n_h)
            h = (1 - i) * n + i * h
            outputs.append(h)
        return np.stack(outputs, axis=1)

    layer = 0
    while f"l{layer}_i2h_weight" in arrays:
        sides = [one_way("l", layer, x)]
        if f"r{layer}_i2h_weight" in arrays:
            sides.append(one_way("r", layer, x[:, ::-1])[:, ::-1])
        x, layer = np.concatenate(sides, axis=-1), layer + 1
    return x


@given(gru_stacks(reset_after=True))
@few
def test_the_equations(stack):
    x = inputs_for(stack)
    arrays = to_mxnet(stack)
    assert_close(gluon_gru(arrays, x), outputs_of(stack, x), "float64")
    (again,) = from_mxnet(arrays).values()
    assert_identical(to_mxnet(again), arrays)


def test_a_file_that_mxnet_wrote(tmp_path):
    file = inspect_weights(FIXTURES / "gluon_gru.params")
    assert (file.format, file.gate_order, list(file.grus)) == (
        "mxnet",
        "r z n",
        ["gru"],
    )
    with np.load(FIXTURES / "gluon_gru_outputs.npz") as expected:
        outputs = outputs_of(file.grus["gru"], expected["x"])
        assert_close(outputs, expected["y"])
    write_weights(tmp_path / "gru.params", file.grus["gru"], "mxnet")
    assert read_weights(tmp_path / "gru.params") == file.grus["gru"]


@pytest.mark.parametrize("name", ["gru.params", "gru.npz", "gru.bin"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_both_ways_to_the_bit(tmp_path, name, dtype):
    stack = random_stack(units=(4, 4), bidirectional=True, dtype=dtype)
    write_weights(tmp_path / name, stack, "mxnet")
    file = inspect_weights(tmp_path / name)
    assert (file.format, file.grus) == ("mxnet", {"gru": stack})


@pytest.mark.parametrize(
    ("prefix", "gru"),
    [
        ("gru0_", "gru0"),
        ("arg:gru0_", "gru0"),
        ("encoder.", "encoder"),
        ("model_encoder0_gru1_", "model_encoder0_gru1"),
        ("", "gru"),
    ],
)
def test_the_names_of_blocks(prefix, gru):
    stack = random_stack(units=(4, 4), bidirectional=True)
    arrays = to_mxnet(stack)
    named = {prefix + name: array for name, array in arrays.items()}
    assert from_mxnet(named) == {gru: stack}
    unfused = {
        f"{prefix}_unfused.{name[1]}.{name[0]}_cell.{name[3:]}": array
        for name, array in arrays.items()
    }
    assert from_mxnet(unfused) == {gru: stack}


def test_cells_and_other_layers():
    (layer,) = stack = random_stack()
    arrays = to_mxnet(stack)
    cell = {f"1.{name[3:]}": array for name, array in arrays.items()}
    forward = {f"2._unfused.0.{name[3:]}": array for name, array in arrays.items()}
    lstm = {"3.l0_h2h_weight": np.ones((8, 2)), "3.l0_i2h_weight": np.ones((8, 3))}
    dense = {"0.weight": np.ones((2, 3)), "0.bias": np.ones(2)}
    assert from_mxnet(dense | cell | forward | lstm) == {"1": (layer,), "2": (layer,)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"l0_i2h_bias": None},
            "gru: layer 0, forward, lacks its input bias; ",
        ),
        ({"l0_i2h_weight": None}, "layer 0, forward, lacks its input weights"),
        ({"r0_i2h_weight": np.ones((12, 3))}, "layer 0, backward, lacks its recurrent"),
        ({"l9_i2h_weight": np.ones((12, 3))}, "layers below layer 9 are missing"),
        ({"l0_i2h_weight": np.ones((9, 3))}, r"l0_i2h_weight .*here \(12, \?\)"),
        ({"l0_h2h_bias": np.ones(9)}, r"l0_h2h_bias .*here \(12,\)"),
        ({"l0_h2h_bias": np.ones(12, "i4")}, "l0_h2h_bias must be .*received int32"),
        ({"i2h_bias": np.ones(12)}, "l0_i2h_bias and i2h_bias are two names"),
    ],
)
def test_errors_name_the_problem(changes, message):
    arrays = {**to_mxnet(random_stack(dtype="float64")), **changes}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with pytest.raises(WeightsError, match=message):
        from_mxnet(arrays)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (random_weights(reset_after=False), "MXNet's GRU applies .* after "),
        (GRULayer(random_weights(), activation="relu"), "has the activation tanh"),
        (random_stack(units=(4, 2)), "the same units"),
        (GRULayer(None, random_weights()), "only runs backward"),
    ],
)
def test_weights_that_mxnet_cannot_hold(tmp_path, stack, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "gru.params", stack, "mxnet")


def array(version=0xF993FAC9, storage=0, rank=2, shape=(2, 3), dtype=0, size=24):
    start = struct.pack("<I", version)
    if version in (0xF993FAC9, 0xF993FACA):
        start += struct.pack("<i", storage)
    if version >= 0xF993FAC8:
        start += struct.pack(f"<i{len(shape)}q", rank, *shape)
    else:
        start += struct.pack(f"<{len(shape)}I", *shape)
    return start + struct.pack("<iii", 1, 0, dtype) + bytes(size)


def params(*arrays, names=(b"a",), count=None):
    content = MAGIC + struct.pack("<Q", len(arrays) if count is None else count)
    content += b"".join(arrays) + struct.pack("<Q", len(names))
    return content + b"".join(struct.pack("<Q", len(name)) + name for name in names)


@pytest.mark.parametrize("version", [0xF993FAC8, 0xF993FAC9, 0xF993FACA, 2])
def test_arrays_of_every_version(tmp_path, version):
    (tmp_path / "a.params").write_bytes(params(array(version)))
    (read,) = read_params(tmp_path / "a.params").values()
    assert (read.shape, read.dtype) == ((2, 3), np.float32)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x12\x02" + bytes(20), "it is not a list of MXNet's arrays"),
        (MAGIC, "the number of arrays claims 8 bytes, and 0 are left"),
        (params(count=1 << 60), "the number of arrays is 1152921504606846976, more"),
        (params(array(storage=1)), "array 0 is sparse .*tostype"),
        (params(array(rank=99)), "array 0 claims 99 dimensions"),
        (params(array(shape=(-1, 3))), r"array 0 claims the shape \(-1, 3\)"),
        (params(array(shape=(1 << 40, 1 << 40))), "array 0 claims 4835703278458516698"),
        (params(array(dtype=77)), "array 0 is of the unknown dtype 77"),
        (params(array(), names=()), "it holds 1 arrays and 0 names"),
        (params(array(), array(), names=(b"a", b"a")), "two arrays of one name"),
    ],
)
def test_files_that_are_not_of_mxnet(tmp_path, content, message):
    path = tmp_path / "a.params"
    path.write_bytes(content)
    with pytest.raises(FileRefusedError, match=message):
        read_params(path)


def test_every_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "gru.params"
    write_weights(path, random_weights(1, 1), "mxnet")
    content = path.read_bytes()
    for size in range(16, len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(WeightsError, match=r"gru\.params: .*damaged|cut short"):
            inspect_weights(path)


def test_other_arrays_are_not_a_gru(tmp_path):
    write_params(tmp_path / "a.params", {"weight": np.ones((2, 3), "f4")})
    assert inspect_weights(tmp_path / "a.params").grus == {}


@pytest.mark.peer
@pytest.mark.parametrize("options", [{}, {"units": (4, 4), "bidirectional": True}])
def test_against_mxnet(tmp_path, options):
    """MXNet loads the file in its own process, and the outputs are compared."""
    if importlib.util.find_spec("mxnet") is None:
        pytest.skip("MXNet is not installed")
    read = write_and_read_back(
        tmp_path / "gru.params", random_stack(**options), "mxnet"
    )
    assert read.startswith("MXNet ")
