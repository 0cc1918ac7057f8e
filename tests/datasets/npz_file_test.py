import re
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_gru_addon.datasets import DataError, load_npz

FRAMES = np.arange(1.0, 11.0).reshape(5, 2)
PACKED = {"frames": FRAMES, "lengths": [2, 3], "labels": [0, 1]}
PADDED = {"x": FRAMES[:4].reshape(2, 2, 2), "y": [0, 1]}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.npz"


def test_packed(path):
    np.savez(path, **PACKED)
    data = load_npz(path)
    assert data.frames.shape == (2, 3, 2)
    np.testing.assert_array_equal(data.frames[data.mask], FRAMES)


def test_padded(path):
    np.savez_compressed(path, **PADDED)
    assert load_npz(path).mask.all()


def test_padded_with_lengths(path):
    np.savez(path, **PADDED, lengths=[1, 2])
    assert list(load_npz(path).lengths) == [1, 2]


def test_several_sets_in_a_file(path):
    np.savez(
        path,
        **{f"train_{name}": array for name, array in PACKED.items()},
        **{f"test_{name}": array for name, array in PADDED.items()},
    )
    assert load_npz(path, split="train").frames.shape == (2, 3, 2)
    assert load_npz(path, split="test").frames.shape == (2, 2, 2)
    with pytest.raises(DataError, match="the file has train_frames, train_lengths"):
        load_npz(path)


def test_another_name_for_the_labels(path):
    np.savez(path, frames=FRAMES, lengths=[2, 3], speakers=[0, 1])
    assert list(load_npz(path, labels="speakers").labels) == [0, 1]


@pytest.mark.parametrize("name", PACKED)
def test_missing_array(path, name):
    np.savez(path, **{key: value for key, value in PACKED.items() if key != name})
    message = (
        "expected the arrays frames" if name == "frames" else f"{name!r} is missing"
    )
    with pytest.raises(DataError, match=message):
        load_npz(path)


def test_no_array(path):
    np.savez(path)
    with pytest.raises(DataError, match="the file has none"):
        load_npz(path)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path}: there is no such")):
        load_npz(path)


@pytest.mark.parametrize(
    "content", [b"", b"sequence,label\n", b"PK\x03\x04", b"\x80\x04."]
)
def test_not_an_npz_file(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz file, or a truncated one"):
        load_npz(path)


def test_a_single_array(path):
    with open(path, "wb") as file:
        np.save(file, FRAMES)
    with pytest.raises(DataError, match=r"a single \.npy array"):
        load_npz(path)


def test_python_objects_are_not_loaded(path):
    np.savez(path, **PACKED | {"labels": np.array([{}, {}], object)})
    with pytest.raises(
        DataError, match=r"'labels' holds Python objects, .*never loaded"
    ):
        load_npz(path)


def test_a_member_that_is_not_an_array(path):
    np.savez(path, **{key: value for key, value in PACKED.items() if key != "labels"})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("labels", "0 1")
    with pytest.raises(DataError, match="'labels' is not in NumPy's format"):
        load_npz(path)


def test_a_folder(tmp_path):
    with pytest.raises(DataError, match="expected a regular file; this is a folder"):
        load_npz(tmp_path)


def test_an_error_in_an_array_names_the_file(path):
    np.savez(path, **PACKED | {"lengths": [2, 2]})
    with pytest.raises(DataError, match=re.escape(f"{path}: lengths must add up")):
        load_npz(path)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
def test_cut_short(path, fraction):
    np.savez(path, **PACKED)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * fraction)])
    with pytest.raises(DataError, match="truncated"):
        load_npz(path)


@settings(deadline=None)
@given(data=st.data())
def test_damage_gives_one_kind_of_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("damaged") / "mine.npz"
    np.savez_compressed(path, **PACKED)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        index = data.draw(st.integers(0, len(content) - 1))
        content[index] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        loaded = load_npz(path)
    except DataError:
        return
    assert np.isfinite(loaded.frames).all()
