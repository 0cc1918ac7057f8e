import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_gru_addon.datasets import DataError, Sequences

lengths_lists = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def packed(sizes=(2, 3), features=2, **changes):
    arrays = {
        "frames": np.arange(1.0, sum(sizes) * features + 1).reshape(-1, features),
        "lengths": np.array(sizes),
        "labels": np.arange(len(sizes)),
    }
    return arrays | changes


def padded(**changes):
    arrays = {"frames": np.ones((2, 3, 2)), "lengths": None, "labels": np.array([0, 1])}
    return arrays | changes


@given(lengths_lists, st.integers(1, 4), st.sampled_from([0.0, -1.0, 1e9]))
def test_packing_is_undone(lengths, features, padding_value):
    arrays = packed(lengths, features)
    data = Sequences.from_packed(**arrays, padding_value=padding_value)
    assert data.frames.shape == (len(lengths), max(lengths), features)
    assert data.features == features
    np.testing.assert_array_equal(data.frames[data.mask], arrays["frames"])
    assert np.all(data.frames[~data.mask] == padding_value)
    np.testing.assert_array_equal(data.mask.sum(1), lengths)


@given(lengths_lists)
def test_packed_and_padded_arrays_give_the_same_sequences(lengths):
    one = Sequences.from_packed(**packed(lengths))
    garbage = np.where(one.mask[..., None], one.frames, np.nan)
    wide = np.pad(garbage, ((0, 0), (0, 2), (0, 0)), constant_values=np.inf)
    two = Sequences.from_padded(wide, np.array(lengths), one.labels)
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.lengths, two.lengths)


def test_without_lengths_no_sequence_is_padded():
    assert Sequences.from_padded(**padded()).mask.all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": np.ones((5,))}, "frames must have the shape (frames, features)"),
        ({"frames": np.ones((0, 2))}, "its shape is (0, 2)"),
        (
            {"frames": np.full((5, 2), "a")},
            "frames must hold numbers; its dtype is <U1",
        ),
        ({"frames": np.ones((5, 2), complex)}, "dtype is complex128"),
        (
            {"frames": np.full((5, 2), 1e300)},
            "finite in float32; sequence 0, timestep 0",
        ),
        ({"frames": np.array([[1.0]] * 4 + [[np.nan]])}, "sequence 1, timestep 2"),
        ({"frames": np.array([[1.0]] * 4 + [[np.inf]])}, "NaN or an infinity"),
        ({"frames": np.array([[1.0]] * 4 + [[0.0]])}, "consists of the padding value"),
        ({"frames": np.ones((4, 2))}, "number of frames, 4; they add up to 5"),
        ({"lengths": np.array([2, 2])}, "number of frames, 5; they add up to 4"),
        ({"lengths": np.array([5, 0])}, "lengths must be in 1..2147483647; that of"),
        ({"lengths": np.array([6, -1])}, "sequence 1 is -1"),
        ({"lengths": np.array([2.0, 3.0])}, "lengths must hold integers"),
        ({"lengths": np.array([[2, 3]])}, "lengths must have the shape (sequences)"),
        ({"lengths": np.array([], int)}, "its shape is (0,)"),
        ({"labels": np.array([0, -1])}, "labels must be in 0..2147483647"),
        ({"labels": np.array([0, 2**40])}, f"sequence 1 is {2**40}"),
        ({"labels": np.array([0])}, "2 sequences and 1 labels"),
        ({"labels": np.array([0.5, 1])}, "labels must hold integers"),
    ],
)
def test_bad_packed_arrays(changes, message):
    with pytest.raises(DataError, match="^mine: .*" + re.escape(message)):
        Sequences.from_packed(**packed(**changes), source="mine")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"frames": np.ones((2, 3))},
            "x must have the shape (sequences, timesteps, fe",
        ),
        (
            {"lengths": np.array([3, 4])},
            "at most the 3 timesteps of x; the longest is 4",
        ),
        ({"lengths": np.array([3])}, "1 sequences and 2 labels"),
        ({"frames": np.ones((3, 3, 2)), "lengths": np.array([3, 3])}, "x holds 3 seq"),
        ({"frames": np.zeros((2, 3, 2))}, "If it is padding, give `lengths`"),
    ],
)
def test_bad_padded_arrays(changes, message):
    with pytest.raises(DataError, match=re.escape(message)):
        Sequences.from_padded(**padded(**changes))


def test_with_another_padding_value_frames_can_be_zero():
    data = Sequences.from_padded(
        **padded(frames=np.zeros((2, 3, 2))), padding_value=-1.0
    )
    assert np.all(data.frames == 0)


def test_take_keeps_the_requested_order():
    data = Sequences.from_packed(**packed((1, 2, 3)))
    taken = data.take(np.array([2, 0]))
    assert list(taken.lengths) == [3, 1]
    assert list(taken.labels) == [2, 0]
    np.testing.assert_array_equal(taken.frames, data.frames[[2, 0]])


def test_require():
    data = Sequences.from_packed(**packed())
    data.require(features=2, classes=2, source="the data")
    with pytest.raises(DataError, match=r"takes frames of 5 features .*has 2"):
        data.require(features=5, classes=2, source="the data")
    with pytest.raises(
        DataError, match=r"labels must be in 0..0, .*sequence 1 has lab"
    ):
        data.require(features=2, classes=1, source="the data")


def test_padding_that_does_not_fit_into_memory(monkeypatch):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(np, "full", full)
    with pytest.raises(DataError, match="memory: 2 sequences, 3 timesteps, 1 features"):
        Sequences.from_packed(np.ones((4, 1)), [3, 1], [0, 1])
