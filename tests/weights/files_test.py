"""Files of weights: told apart by their content, whole or not there."""

import os
import pickle
import warnings

import h5py
import keras
import numpy as np
import pytest
from support.harness import assert_close, run_python
from support.random_weights import (
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
    to_cudnn_gru,
    to_keras1_arrays,
    to_keras_arrays,
    torch_arrays,
    write_weights,
)

BEFORE = random_weights(reset_after=False)
AFTER = random_weights()
LAYER = GRULayer(AFTER)
PEER = pytest.mark.peer

#: What each format holds to the last bit.
CASES = [
    ("npz", "gru.npz", (GRULayer(BEFORE, activation="gelu"),)),
    ("npz", "no_ending", random_stack(units=(4, 2), bidirectional=True, bias=False)),
    ("npz", "gru.onnx", (GRULayer(None, AFTER, recurrent_activation="hard_sigmoid"),)),
    ("tf1", "model.ckpt", (GRULayer(BEFORE),)),
    ("tf1", "model.ckpt", (GRULayer(AFTER.fold_biases()),)),
    ("cudnn_gru", "gru.h5", (LAYER,)),
    ("torch", "gru.npz", random_stack(units=(4, 4), bidirectional=True)),
    *(
        pytest.param(*case, marks=PEER)
        for case in [
            ("torch", "gru.safetensors", random_stack(units=(4, 4), bias=False)),
            ("torch", "gru.pt", random_stack(bidirectional=True, dtype="float64")),
            ("onnx", "gru.onnx", (GRULayer(BEFORE, activation="relu"),)),
            ("onnx", "gru", random_stack(bidirectional=True)),
        ]
    ),
]


@pytest.mark.parametrize(("format", "name", "stack"), CASES)
def test_both_ways(tmp_path, format, name, stack):
    path = tmp_path / name
    write_weights(path, stack, format)
    assert read_weights(path) == stack
    file = inspect_weights(str(path))
    assert file.format == format
    # A TensorFlow 1 checkpoint of a GRUCell does not state the candidate's.
    unstated = ("activation",) if format == "tf1" and not stack[0].reset_after else ()
    assert [*file.unstated.values()] == ([unstated] if unstated else [])
    assert len(file.describe().splitlines()) == sum(len(k.directions) for k in stack)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match="exists already"):
        write_weights(path, stack, format)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_nothing_that_stood_there_is_touched(tmp_path, monkeypatch):
    path = tmp_path / "gru.npz"
    exists = type(path).exists
    path.write_bytes(b"mine")
    # As if the file had come to be at the last moment.
    monkeypatch.setattr(type(path), "exists", lambda p: p != path and exists(p))
    with pytest.raises(FileExistsError, match="exists already"):
        write_weights(path, AFTER, "npz")
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["gru.npz"]


@pytest.mark.parametrize(
    ("format", "stack", "message"),
    [
        ("pt", AFTER, "format must be one of cudnn_gru, haiku, .*received: 'pt'"),
        ("torch", BEFORE, "PyTorch's GRU applies the reset gate after"),
        ("cudnn_gru", BEFORE, "CuDNNGRU applies the reset gate after"),
        (
            "cudnn_gru",
            GRULayer(AFTER, activation="relu"),
            "CuDNNGRU has the activation",
        ),
        (
            "tf1",
            GRULayer(BEFORE, recurrent_activation="relu"),
            "TensorFlow 1 cell has ",
        ),
        ("tf1", random_stack(units=(4, 4)), "one GRU that runs forward; received 2"),
        ("keras2", GRULayer(None, AFTER), r"received 1 layer\(s\), reverse"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, format, stack, message):
    with pytest.raises(WeightsError, match=message):
        write_weights(tmp_path / "gru", stack, format)
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: there is no such folder"):
        write_weights(tmp_path / "none" / "gru.npz", AFTER, "npz")


# Keras' files.


@pytest.mark.parametrize("weights", [BEFORE, AFTER, random_weights(bias=False)])
def test_keras_2_loads_what_is_written(tf_keras, tmp_path, weights):
    path = tmp_path / "gru.h5"
    write_weights(path, weights, "keras2")
    layer = tf_keras.layers.GRU(
        4,
        reset_after=weights.reset_after,
        use_bias=weights.bias is not None,
        return_sequences=True,
    )
    model = tf_keras.Sequential([tf_keras.Input((None, 3)), layer])
    model.load_weights(path)
    x = inputs_for(weights)
    assert_close(model(x), outputs_of(weights, x))
    model.save_weights(tmp_path / "again.h5")
    (read,) = read_weights(
        tmp_path / "again.h5",
        recurrent_activation="sigmoid",
        reset_after=weights.reset_after,
    )
    assert read.forward == weights


def test_keras_2_loads_a_cudnn_grus_file(tf_keras, tmp_path):
    path = tmp_path / "gru.h5"
    write_weights(path, AFTER, "cudnn_gru")
    layer = tf_keras.layers.GRU(4, return_sequences=True)
    model = tf_keras.Sequential([tf_keras.Input((None, 3)), layer])
    model.load_weights(path)
    x = inputs_for(AFTER)
    assert_close(model(x), outputs_of(AFTER, x))
    assert read_weights(path) == (LAYER,)


def two_grus(keras):
    layers = [
        keras.layers.Dense(3),
        keras.layers.LSTM(3, return_sequences=True),
        keras.layers.SimpleRNN(3, return_sequences=True),
        keras.layers.Bidirectional(keras.layers.GRU(4, return_sequences=True)),
        keras.layers.RNN(keras.layers.GRUCell(2, reset_after=False)),
    ]
    return keras.Sequential([keras.Input((None, 3)), *layers])


@pytest.mark.parametrize("ending", [".weights.h5", ".keras", ".h5"])
def test_files_of_keras_3(tmp_path, ending):
    model = two_grus(keras)
    path = tmp_path / f"model{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras says that .h5 is a legacy format
        model.save_weights(path) if "weights" in ending else model.save(path)
    check_two_grus(path, model, whole="weights" not in ending)


@pytest.mark.parametrize("whole", [True, False])
def test_files_of_keras_2(tf_keras, tmp_path, whole):
    model = two_grus(tf_keras)
    path = str(tmp_path / "model.h5")
    if whole:
        with pytest.warns(UserWarning, match="HDF5 file via `model.save"):
            model.save(path, save_format="h5")
    else:
        model.save_weights(path)
    check_two_grus(path, model, whole)


def check_two_grus(path, model, whole):
    file = inspect_weights(path)
    both, cell = [stack[0] for stack in file.grus.values()]
    arrays = model.layers[3].get_weights()
    assert np.array_equal(both.forward.kernel, arrays[0])
    assert np.array_equal(both.backward.bias, arrays[-1])
    assert np.array_equal(cell.forward.kernel, model.layers[4].get_weights()[0])
    assert (both.reset_after, cell.reset_after) == (True, False)
    with pytest.raises(WeightsError, match=r"2 GRUs. Choose with name=.*There are: '"):
        read_weights(path)
    with pytest.raises(WeightsError, match="there is no GRU of the name 'x'"):
        read_weights(path, "x")
    assert file.activations_known == whole
    assert file.describe().count("?, ?") == (0 if whole else 3)
    name = list(file.grus)[1]
    if whole:
        assert read_weights(path, name) == (cell,)
        with pytest.raises(WeightsError, match="recurrent_activation is sigmoid in"):
            read_weights(path, name, recurrent_activation="hard_sigmoid")
        return
    with pytest.raises(WeightsError, match="does not state the activations of"):
        read_weights(path, name)
    (read,) = read_weights(path, name, recurrent_activation="hard_sigmoid")
    assert read == GRULayer(cell.forward, None, "tanh", "hard_sigmoid")


def test_a_bias_decides_the_convention(tmp_path):
    write_weights(tmp_path / "gru.h5", random_weights(bias=False), "keras2")
    with pytest.raises(WeightsError, match=r"gru.h5: .*Without a bias.*Give reset_aft"):
        inspect_weights(tmp_path / "gru.h5")


def write_h5(path, groups):
    with h5py.File(path, "w") as file:
        for name, array in groups.items():
            file.create_dataset(name, data=array)


@pytest.mark.parametrize("fused", [True, False])
def test_a_file_of_keras_1(tmp_path, fused):
    if fused:
        arrays = dict(zip("WUb", to_keras_arrays(BEFORE), strict=True))
    else:
        names = [f"{kind}_{gate}" for gate in "zrh" for kind in "WUb"]
        arrays = dict(zip(names, to_keras1_arrays(BEFORE), strict=True))
    path = tmp_path / "model.h5"
    groups = {f"gru_1/gru_1_{name}": array for name, array in arrays.items()}
    write_h5(path, {**groups, "dense_1/dense_1_W": np.ones((2, 2))})
    (read,) = read_weights(path, "gru_1/gru_1", recurrent_activation="hard_sigmoid")
    assert read.forward == BEFORE


def gru_h5(arrays):
    names = ("kernel:0", "recurrent_kernel:0", "bias:0")
    return {f"gru/{k}": a for k, a in zip(names, arrays, strict=True)}


def test_a_cudnn_gru_beside_a_gru(tmp_path):
    arrays = gru_h5(to_cudnn_gru(AFTER))
    other = {f"other/{name}": a for name, a in gru_h5(to_keras_arrays(AFTER)).items()}
    write_h5(tmp_path / "model.h5", {**arrays, **other})
    file = inspect_weights(tmp_path / "model.h5")
    assert file.grus == {"gru": (LAYER,), "other/gru": (LAYER,)}
    assert (file.format, file.activations_known) == ("keras", False)


# Files that are not as they should be.


def npz(path, **arrays):
    with path.open("wb") as stream:
        np.savez(stream, **arrays)


class Evil:
    """What a pickle runs when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


def canonical(**changes):
    from tf_gru_addon.weights.formats.npz import to_npz_arrays

    arrays = {**to_npz_arrays((LAYER,)), **changes}
    return {name: array for name, array in arrays.items() if array is not None}


NAN = np.where(np.arange(36).reshape(3, 12) == 5, np.nan, 1).astype("float32")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"weight_hh_l0": np.array([Evil()], object)},
            "holds Python objects, which are never",
        ),
        ({"a": np.ones(3)}, "no format recogn.* without an array weight_hh_l0"),
        (canonical(**{"0.forward.kernel": NAN}), r"kernel\[0, 5\] is nan"),
        (canonical(**{"0.forward.kernel": None}), "0.forward lacks kernel"),
        (canonical(**{"0.forward.kernel": np.ones((3, 12), int)}), "received int64"),
        (
            canonical(**{"0.forward.kernel": np.ones((3, 9), "f4")}),
            r"received \(3, 9\)",
        ),
        (canonical(**{"0.forward.extra": NAN}), "0.forward has the surplus extra"),
        (canonical(**{"0.extra": NAN}), "surplus array 0.extra"),
        (canonical(**{"2.activation": NAN}), "surplus array 2.activation"),
        (canonical(**{"0.activation": None}), "0.activation must be a single word"),
        (canonical(**{"0.activation": np.ones(2)}), "0.activation must be a single"),
        (canonical(**{"0.forward.reset_after": NAN}), "reset_after must be a single b"),
        ({"format": np.array("tf_gru_addon")}, "at least one layer; received none"),
        (torch_arrays(AFTER) | {"bias_hh_l0": NAN}, r"bias_hh_l0\[0, 5\] is nan"),
    ],
)
def test_npz_files_that_are_not_as_they_should_be(
    tmp_path, monkeypatch, arrays, message
):
    monkeypatch.chdir(tmp_path)
    npz(tmp_path / "gru.npz", **arrays)
    with pytest.raises(WeightsError, match=rf"^\S*gru.npz: .*{message}"):
        read_weights("gru.npz")
    assert os.listdir() == ["gru.npz"], "what was pickled has run"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"dense/kernel:0": np.ones((2, 2))}, "there is no GRU in it"),
        (gru_h5([NAN, np.ones((4, 12)), np.ones(12)]), r"gru: .*kernel\[0, 5\] is nan"),
        (gru_h5([NAN[:, :9], np.ones((4, 12)), np.ones(7)]), "gru: "),
        (gru_h5([np.ones((3, 12), int), np.ones((4, 12)), np.ones(12)]), "int64"),
        ({f"g/g_{n}": np.ones((2, 2)) for n in ("W_z", "U_z", "b_z")}, "no GRU"),
        (
            {f"g/g_{k}_{g}": np.ones((2, 2)) for g in "zrh" for k in "WUb"},
            r"g/g: b_z must .*\(2,\)",
        ),
    ],
)
def test_hdf5_files_that_are_not_as_they_should_be(tmp_path, groups, message):
    write_h5(tmp_path / "gru.h5", groups)
    with pytest.raises(WeightsError, match=rf"gru.h5: .*{message}"):
        read_weights(tmp_path / "gru.h5", recurrent_activation="sigmoid")


def test_an_hdf5_file_whose_numbers_are_not_there(tmp_path):
    with h5py.File(tmp_path / "gru.h5", "w") as file:
        for name, shape in [("kernel", (10**9, 3)), ("recurrent_kernel", (1, 3))]:
            file.create_dataset(f"gru/{name}:0", shape, "f4", chunks=True)
    with pytest.raises(WeightsError, match=r"gru/kernel:0' claims 12000000000 b"):
        inspect_weights(tmp_path / "gru.h5", reset_after=True)


@PEER
def test_pickles_are_not_run(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save({"weight_ih_l0": torch.ones(6, 3), "x": Evil()}, "zip.pt")
    torch.save({"x": Evil()}, "legacy.pt", _use_new_zipfile_serialization=False)
    with open("plain.pkl", "wb") as stream:
        pickle.dump(Evil(), stream)
    names = sorted(os.listdir())
    for name in names:
        reason = "an object of" if "pkl" in name else "not a file of tensors"
        with pytest.raises(WeightsError, match=rf"^{name}: .*{reason}"):
            read_weights(name)
    assert sorted(os.listdir()) == names, "what was pickled has run"


@PEER
def test_a_checkpoint_of_a_training_loop(tmp_path):
    import torch

    gru = torch.nn.GRU(3, 4)
    model = {"encoder": torch.nn.Linear(2, 2).state_dict(), "gru": gru.state_dict()}
    torch.save({"model": model, "epoch": 3, "loss": [0.1]}, tmp_path / "last.pt")
    file = inspect_weights(tmp_path / "last.pt")
    assert list(file.grus) == ["model.gru"]
    torch.save(gru.bfloat16().state_dict(), tmp_path / "bf16.pt")
    with pytest.raises(WeightsError, match=r"bf16.pt: .*bfloat16 .*Cast it first"):
        inspect_weights(tmp_path / "bf16.pt")
    torch.save([torch.ones(3)], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="expected a state_dict; it holds a list"):
        inspect_weights(tmp_path / "list.pt")


@PEER
def test_an_old_pytorch_reads_no_pickles(tmp_path, monkeypatch):
    import torch

    torch.save(torch.nn.GRU(3, 4).state_dict(), tmp_path / "gru.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(WeightsError, match=r"PyTorch 2.5.1.*CVE-2025-32434"):
        inspect_weights(tmp_path / "gru.pt")


def test_both_directions_of_a_checkpoint(tmp_path):
    from tf_gru_addon.weights import write_tf1_checkpoint

    other = random_weights(reset_after=False, seed=1)
    cells = {"rnn/fw/gru_cell": BEFORE, "rnn/bw/gru_cell": other, "x/gru_cell": BEFORE}
    write_tf1_checkpoint(tmp_path / "a", cells)
    both = {"rnn": (GRULayer(BEFORE, other),), "x/gru_cell": (GRULayer(BEFORE),)}
    assert inspect_weights(tmp_path / "a").grus == both
    write_tf1_checkpoint(tmp_path / "b", {"rnn/bw/gru_cell": other})
    assert read_weights(tmp_path / "b") == (GRULayer(None, other),)
    cells = {f"rnn/{way}/cell_{i}": other for way in ("fw", "bw") for i in range(2)}
    write_tf1_checkpoint(tmp_path / "c", cells)
    grus = inspect_weights(tmp_path / "c").grus
    assert grus["rnn/fw/cell_1"] == (GRULayer(other),)
    assert grus["rnn/bw/cell_0"] == (GRULayer(None, other),)
    assert len(grus) == 4
    smaller = random_weights(3, 2, reset_after=False)
    write_tf1_checkpoint(tmp_path / "d", {"rnn/fw/a": other, "rnn/bw/a": smaller})
    grus = {"rnn/fw/a": (GRULayer(other),), "rnn/bw/a": (GRULayer(None, smaller),)}
    assert inspect_weights(tmp_path / "d").grus == grus


def test_activations_that_the_file_has_otherwise(tmp_path):
    write_weights(tmp_path / "gru.npz", AFTER, "npz")
    assert read_weights(tmp_path / "gru.npz", activation="tanh") == (LAYER,)
    with pytest.raises(WeightsError, match="recurrent_activation is sigmoid in the fi"):
        read_weights(tmp_path / "gru.npz", recurrent_activation="hard_sigmoid")


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none: there is no such file"):
        read_weights(tmp_path / "none")
    for folder in (tmp_path, ".", "/"):
        with pytest.raises(WeightsError, match="it is a folder"):
            read_weights(folder)


def test_importing_loads_no_framework_but_numpy():
    run_python(
        "import sys, tf_gru_addon; before = set(sys.modules)\n"
        "import tf_gru_addon.weights\n"
        "ours = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "assert ours <= {'tf_gru_addon', *sys.stdlib_module_names}, ours"
    )
