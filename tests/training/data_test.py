import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_gru_addon.config import parse_config
from tf_gru_addon.datasets import DataError, Sequences, load_japanese_vowels
from tf_gru_addon.training.data import epoch_order, hold_out, load_data

CSV = "who,sequence,f0\n0,a,1\n0,a,2\n1,b,3\n"


def section(**data):
    content = {
        "data": data,
        "model": {"features": 1, "layers": ["Dropout"]},
        "training": {"epochs": 1},
    }
    content["model"]["layers"] = [{"Dropout": {"rate": 0}}]
    return parse_config(content).data


def sequences(labels):
    count = len(labels)
    frames = 1.0 + np.arange(count).reshape(count, 1, 1)
    return Sequences.from_padded(frames, None, np.array(labels))


def test_a_data_set_by_name():
    splits = load_data(section(dataset="japanese_vowels", padding_value=-7.0))
    assert len(splits.train) == 270
    assert splits.test.padding_value == -7.0


def test_csv_and_npz_files(tmp_path):
    (tmp_path / "a.csv").write_text(CSV)
    np.savez(tmp_path / "b.npz", x=np.ones((2, 3, 1)), y=[0, 1])
    splits = load_data(
        section(
            train=str(tmp_path / "a.csv"),
            test=str(tmp_path / "b.npz"),
            label_column="who",
        )
    )
    assert list(splits.train.lengths) == [2, 1]
    assert list(splits.test.lengths) == [3, 3]


def test_one_npz_file_for_both(data_file):
    splits = load_data(section(train=str(data_file), test=str(data_file)))
    assert (len(splits.train), len(splits.test)) == (24, 10)


def test_one_npz_file_of_one_set_is_not_tested_on_what_it_trained_on(tmp_path):
    path = str(tmp_path / "b.npz")
    np.savez(path, x=np.ones((2, 3, 1)), y=[0, 1])
    with pytest.raises(DataError, match="expected the arrays train_frames"):
        load_data(section(train=path, test=path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.csv", "a .csv file holds one set"),
        ("a.txt", "expected a file named .npz or .csv (`data.train`)"),
    ],
)
def test_unsuitable_files_are_refused(tmp_path, name, message):
    path = tmp_path / name
    path.write_text(CSV)
    with pytest.raises(DataError, match=re.escape(message)):
        load_data(section(train=str(path), test=str(path)))


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.npz: there is no such file"):
        load_data(section(train=str(tmp_path / "a.npz"), test=str(tmp_path / "b.npz")))


def test_the_same_share_of_each_class_is_held_out():
    train = load_japanese_vowels().train
    rest, held = hold_out(train, 0.2, seed=0)
    assert set(np.bincount(held.labels)) == {6}
    assert set(np.bincount(rest.labels)) == {24}


@given(st.lists(st.integers(0, 2), min_size=6), st.integers(0, 9))
def test_each_sequence_is_in_one_part(labels, seed):
    data = sequences(labels)
    try:
        parts = hold_out(data, 0.5, seed)
    except DataError:
        return  # such as one class per sequence
    values = np.concatenate([part.frames.ravel() for part in parts])
    np.testing.assert_array_equal(np.sort(values), data.frames.ravel())
    again = hold_out(data, 0.5, seed)
    np.testing.assert_array_equal(parts[1].frames, again[1].frames)


def test_nothing_held_out():
    data = sequences([0, 1])
    assert hold_out(data, 0.0, seed=0) == (data, None)


@pytest.mark.parametrize(("fraction", "what"), [(0.1, "validate"), (0.9, "train")])
def test_a_part_must_not_be_empty(fraction, what):
    with pytest.raises(DataError, match=f"leaves nothing to {what} on, with 2 seq"):
        hold_out(sequences([0, 1]), fraction, seed=0)


@given(st.integers(1, 50), st.integers(0, 2**32 - 1), st.integers(0, 1000))
def test_the_order_depends_only_on_seed_and_epoch(count, seed, epoch):
    order = epoch_order(count, seed, epoch)
    np.testing.assert_array_equal(order, epoch_order(count, seed, epoch))
    np.testing.assert_array_equal(np.sort(order), np.arange(count))


def test_orders_differ():
    orders = {tuple(epoch_order(20, s, e)) for s in range(3) for e in range(3)}
    assert len(orders) == 9
