import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_gru_addon.datasets import DataError, load_csv

HEADER = "sequence,label,f0,f1\n"
GOOD = HEADER + "a,0,1,2\na,0,3,4\nb,1,5,6e-1\n"


@pytest.fixture
def write(tmp_path):
    def write_text(text, encoding="utf-8"):
        path = tmp_path / "mine.csv"
        path.write_text(text, encoding)
        return path

    return write_text


@pytest.mark.parametrize("text", [GOOD, GOOD.replace("\n", "\r\n"), GOOD + "\n\n"])
def test_one_line_per_frame(write, text):
    data = load_csv(write(text))
    assert list(data.lengths) == [2, 1]
    assert list(data.labels) == [0, 1]
    np.testing.assert_allclose(data.frames[0], [[1, 2], [3, 4]])
    np.testing.assert_allclose(data.frames[1], [[5, 0.6], [0, 0]])


def test_a_byte_order_mark_is_skipped(write):
    assert len(load_csv(write(GOOD, "utf-8-sig"))) == 2


def test_columns_with_other_names_in_any_order(write):
    path = write("f0,who,utterance\n1,0,x y\n2,3,z\n")
    data = load_csv(path, sequence_column="utterance", label_column="who")
    assert list(data.labels) == [0, 3]
    np.testing.assert_allclose(data.frames.ravel(), [1, 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the column 'sequence' is missing; the first line has nothing"),
        (HEADER, "expected one line per frame; there are none"),
        (
            "label,f0\n0,1\n",
            "the column 'sequence' is missing; the first line has label",
        ),
        ("sequence,f0\na,1\n", "Name yours with `label_column`"),
        ("sequence,label\na,0\n", "at least one column of features"),
        (
            "sequence,label,f,f\na,0,1,1\n",
            "two columns have the same name",
        ),
        (
            HEADER + "a,0,1\n",
            "line 2: expected 4 cells, as the first line has; there a",
        ),
        (HEADER + "a,0,1,2,3\n", "there are 5"),
        (
            HEADER + "a,0,1,2\na,0,x,2\n",
            "line 3, column 'f0': expected a number; got 'x'",
        ),
        (HEADER + "a,0,,2\n", "got ''"),
        (HEADER + "a,0,1_000,2\n", "expected a number; got '1_000'"),
        (HEADER + "a,1_0,1,2\n", "expected an integer of at most 64 bits; got '1_0'"),
        (HEADER + f"a,{10**20},1,2\n", "expected an integer of at most 64 bits; got"),
        (HEADER + "a,0," + "x" * 5000 + ",2\n", "got 'xxxxxxxxxxxx...xxxxxxxxxxxxx'."),
        (HEADER + "a," + "9" * 5000 + ",1,2\n", "got '999999999999...9999999999999'."),
        (
            HEADER + "a,zero,1,2\n",
            "column 'label': expected an integer of at most 64 bits; got 'zero'",
        ),
        (HEADER + "a,0.5,1,2\n", "got '0.5'"),
        (HEADER + "a,0,1,2\na,1,1,2\n", "line 3: a sequence has one label; 'a' has 0"),
        (
            HEADER + "a,0,1,2\nb,1,1,2\na,0,1,2\n",
            "line 4: the frames of sequence 'a'",
        ),
        (HEADER + "a,-1,1,2\n", "labels must be in 0.."),
        (HEADER + "a,0,nan,2\n", "sequence 0, timestep 0 holds a NaN"),
        (HEADER + "a,0,0,0\n", "consists of the padding value"),
        (HEADER + 'a,0,"1,2\n', "not a .csv file"),
    ],
)
def test_bad_files(write, text, message):
    path = write(text)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_csv(path)
    assert str(caught.value).startswith(str(path))


def test_one_column_cannot_be_both(write):
    with pytest.raises(DataError, match=r"both name the column 'sequence'\. Give each"):
        load_csv(write(GOOD), label_column="sequence")


def test_a_folder(tmp_path):
    with pytest.raises(DataError, match="expected a regular file; this is a folder"):
        load_csv(tmp_path)


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xff\xfe\x00sequence")
    with pytest.raises(DataError, match=r"not a \.csv file in UTF-8"):
        load_csv(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_csv(tmp_path / "mine.csv")


@settings(deadline=None)
@given(st.text(alphabet='a0,1.\n\r"-é', max_size=60))
def test_any_text_loads_or_gives_one_kind_of_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "mine.csv"
    path.write_bytes((HEADER + text).encode())
    try:
        data = load_csv(path)
    except DataError:
        return
    assert len(data) > 0
