"""Arrays that do not match their layer get a clear error."""

import h5py
import numpy as np
import pytest
from support.legacy_files import refuses

from tf_gru_addon import load_legacy_model

GRU = "model_weights/cu_dnngru"


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _replace(path, name, value):
    with h5py.File(path, "r+") as file:
        group = file[GRU]
        full = f"cu_dnngru/{name}:0"
        del group[full]
        group.create_dataset(full, data=value)


def test_an_array_that_is_not_listed(path):
    with h5py.File(path, "r+") as file:
        names = file[GRU].attrs["weight_names"]
        file[GRU].attrs["weight_names"] = names[:2]
    refuses(path, "'cu_dnngru'", "3 arrays", "holds 2")


def test_a_surplus_array(path):
    with h5py.File(path, "r+") as file:
        names = file[GRU].attrs["weight_names"].tolist()
        file[GRU].create_dataset("more:0", data=np.ones(3))
        file[GRU].attrs["weight_names"] = [*map(_text, names), "more:0"]
    refuses(path, "'cu_dnngru'", "3 arrays", "holds 4", "more:0")


def test_arrays_in_another_order(path):
    with h5py.File(path, "r+") as file:
        names = list(file[GRU].attrs["weight_names"])
        file[GRU].attrs["weight_names"] = [names[1], names[0], names[2]]
    refuses(path, "'cu_dnngru'", "recurrent_kernel:0", "'kernel' was expected")


@pytest.mark.parametrize("shape", [(4, 15), (3, 12), (45,)])
def test_an_array_of_another_shape(path, shape):
    _replace(path, "kernel", np.ones(shape, "float32"))
    refuses(path, "'cu_dnngru'", "kernel")


def test_a_dense_of_another_shape(path):
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        del group["dense/bias:0"]
        group.create_dataset("dense/bias:0", data=np.ones(3, "float32"))
    refuses(path, "'dense' (Dense)", "dense/bias:0", "(2,)", "(3,)")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_array_that_is_not_finite(path, number):
    _replace(path, "recurrent_kernel", np.full((5, 15), number, "float32"))
    refuses(path, "'cu_dnngru'", "recurrent_kernel", "not a number")


@pytest.mark.parametrize("dtype", ["float64", "int64", "complex64", "S3"])
def test_an_array_of_another_dtype(path, dtype):
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        del group["dense/bias:0"]
        group.create_dataset("dense/bias:0", data=np.ones(2, dtype))
    refuses(path, "dense/bias:0" if dtype in ("complex64", "S3") else "bias", dtype[:3])


def test_float16_arrays_are_accepted_as_float32(path):
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        half = group["dense/bias:0"][()].astype("float16")
        del group["dense/bias:0"]
        group.create_dataset("dense/bias:0", data=half)
    bias = load_legacy_model(path).layers[-1].bias
    np.testing.assert_array_equal(np.asarray(bias), half.astype("float32"))
