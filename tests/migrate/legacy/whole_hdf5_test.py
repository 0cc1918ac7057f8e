"""HDF5 files that are damaged, or not what they seem, get a clear error."""

import warnings

import h5py
import keras
import numpy as np
import pytest
from support.legacy_files import edit_gru, refuses

from tf_gru_addon import load_legacy_model


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_legacy_model(tmp_path / "model.h5")


@pytest.mark.parametrize(
    "content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 90]
)
def test_not_hdf5(tmp_path, content):
    path = tmp_path / "model.h5"
    path.write_bytes(content)
    refuses(path, "cannot be read", "get it again")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_cut_short(path, part):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    refuses(path, "cannot be read", "cut short")


def test_another_hdf5_file(tmp_path):
    h5py.File(tmp_path / "data.h5", "w").close()
    refuses(tmp_path / "data.h5", "no Keras model", "model_config")


def test_keras_3(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    refuses(tmp_path / "model.keras", "Keras 3", "keras.saving.load_model")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(tmp_path / "model.h5")
    refuses(tmp_path / "model.h5", "Keras 3", "keras.saving.load_model")


@pytest.mark.parametrize("version", ["0.3", "2.x", "4.0.0", "two"])
def test_an_unknown_version(path, version):
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = version
    refuses(path, version, "supported are the versions 1 and 2")


GRU = "model_weights/cu_dnngru"


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _replace(path, name, value):
    with h5py.File(path, "r+") as file:
        group = file[GRU]
        full = f"cu_dnngru/{name}:0"
        del group[full]
        group.create_dataset(full, data=value)


def test_a_missing_array(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/bias:0"]
    refuses(path, "'cu_dnngru/bias:0' is missing")


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


def test_arrays_of_another_layer(path):
    with h5py.File(path, "r+") as file:
        weights = file["model_weights"]
        weights.copy("cu_dnngru", "other")
        names = weights.attrs["layer_names"].tolist()
        weights.attrs["layer_names"] = [*map(_text, names), "other"]
    refuses(path, "arrays for 'other'", "no such layer")


def test_a_missing_group(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]
    refuses(path, "group of the layer 'cu_dnngru' is missing")


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


def test_float16_fits_into_float32(path):
    with h5py.File(path, "r+") as file:
        group = file["model_weights/dense"]
        half = group["dense/bias:0"][()].astype("float16")
        del group["dense/bias:0"]
        group.create_dataset("dense/bias:0", data=half)
    bias = load_legacy_model(path).layers[-1].bias
    np.testing.assert_array_equal(np.asarray(bias), half.astype("float32"))


def test_links_are_not_followed(path, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["kernel"] = np.ones((3, 15), "float32")
    for link in (
        h5py.ExternalLink(str(tmp_path / "secret.h5"), "kernel"),
        h5py.SoftLink("/model_weights/dense/dense/kernel:0"),
    ):
        with h5py.File(path, "r+") as file:
            del file[GRU]["cu_dnngru/kernel:0"]
            file[GRU]["cu_dnngru/kernel:0"] = link
        refuses(path, "is a link", "not followed")


def test_numbers_in_another_file_are_not_read(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"\0" * 180)
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/kernel:0"]
        file[GRU].create_dataset(
            "cu_dnngru/kernel:0",
            (3, 15),
            "float32",
            external=[(str(secret), 0, 180)],
        )
    refuses(path, "lie in another file", "not read")


def test_an_array_that_only_claims_its_size(path):
    with h5py.File(path, "r+") as file:
        del file[GRU]["cu_dnngru/kernel:0"]
        file[GRU].create_dataset("cu_dnngru/kernel:0", (10**7, 10**5), "float32")
    refuses(path, "claims 4000000000000 bytes")


@pytest.mark.parametrize("units", [10**9, 10**30])
def test_a_layer_that_is_larger_than_the_file(path, units):
    edit_gru(path, units=units)
    refuses(path, "'cu_dnngru'")
