"""Keras' weights files and HDF5 files, against Keras 2 and Keras 3."""

import warnings

import h5py
import keras
import numpy as np
import pytest
from support.harness import assert_close
from support.random_weights import inputs_for, outputs_of, random_weights

from tf_gru_addon.weights import (
    GRULayer,
    WeightsError,
    inspect_weights,
    read_weights,
    to_cudnn_gru,
    to_keras1_arrays,
    to_keras_arrays,
    write_weights,
)

BEFORE = random_weights(reset_after=False)
AFTER = random_weights()
LAYER = GRULayer(AFTER)
NAN = np.where(np.arange(36).reshape(3, 12) == 5, np.nan, 1).astype("float32")


@pytest.mark.parametrize("weights", [BEFORE, AFTER, random_weights(bias=False)])
def test_keras_2_loads_a_written_file(tf_keras, tmp_path, weights):
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


def test_without_a_bias_the_convention_must_be_given(tmp_path):
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
def test_damaged_hdf5_files_are_refused(tmp_path, groups, message):
    write_h5(tmp_path / "gru.h5", groups)
    with pytest.raises(WeightsError, match=rf"gru.h5: .*{message}"):
        read_weights(tmp_path / "gru.h5", recurrent_activation="sigmoid")


def test_an_array_without_its_data_is_refused(tmp_path):
    with h5py.File(tmp_path / "gru.h5", "w") as file:
        for name, shape in [("kernel", (10**9, 3)), ("recurrent_kernel", (1, 3))]:
            file.create_dataset(f"gru/{name}:0", shape, "f4", chunks=True)
    with pytest.raises(WeightsError, match=r"gru/kernel:0' claims 12000000000 b"):
        inspect_weights(tmp_path / "gru.h5", reset_after=True)
