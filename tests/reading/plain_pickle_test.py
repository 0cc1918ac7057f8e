"""Pickles are read without executing them."""

import collections
import contextlib
import pickle
import pickletools

import numpy as np
import pytest
from support.fuzzing import bounded, damaged

from tf_gru_addon.reading import FileRefusedError
from tf_gru_addon.reading.plain_pickle import read_pickle

CONTENT = {
    "float": np.arange(6, dtype="f4").reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">f8"),
    "half": np.float16([0.5]),
    "integers": np.arange(3),
    "truth": np.array([True, False]),
    "scalar": np.array(1.5),
    "empty": np.zeros((0, 3)),
    "plain": ["text", 3, 2.5, None, True, 1 << 40, b"bytes", (1, (2,), ()), []],
    5: {"dict": {}},
}


def write(tmp_path, content, protocol=4):
    path = tmp_path / "a.pdparams"
    if not isinstance(content, bytes):
        content = pickle.dumps(content, protocol)
    path.write_bytes(content)
    return path


def same(one, other):
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[k], other[k]) for k in one)
    return type(one) is type(other) and one == other


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickles_of_python_3(tmp_path, protocol):
    content = dict(CONTENT)
    if protocol == 2:
        content["plain"] = [v for v in content["plain"] if not isinstance(v, bytes)]
    assert same(read_pickle(write(tmp_path, content, protocol)), content)
    ordered = collections.OrderedDict(content)
    assert same(read_pickle(write(tmp_path, ordered, protocol)), content)


def test_a_pickle_of_python_2(tmp_path):
    # {"w": array([1, 2], "f4")}, its bytes as the text of Python 2
    content = (
        b"\x80\x02}U\x01wcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x08\x00\x00\x80?\x00\x00\x00@tbs."
    )
    assert same(read_pickle(write(tmp_path, content)), {"w": np.float32([1, 2])})


def test_shared_and_circular_content(tmp_path):
    shared = [np.ones(2)]
    content = {"a": shared, "b": shared}
    content["self"] = content
    read = read_pickle(write(tmp_path, content))
    assert read["a"] is read["b"]
    assert read["self"] is read


class Runs:
    """Would run a function when unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Runs(print, ("run",)), "an object of builtins.print"),
        (Runs(eval, ("1",)), "an object of builtins.eval"),
        (Runs(getattr, ({}, "pop")), "an object of builtins.getattr"),
        (Runs(np.load, ("a",)), "an object of numpy.load"),
        (Runs(collections.OrderedDict, ([("a", 1)],)), "a dict made of"),
        (Runs(np.dtype, ("O",)), r"a dtype made of \('O',\)"),
        (np.array([None]), "a dtype made of"),
        (np.array(["text"]), "a dtype made of"),
        (np.zeros(2, [("a", "f4")]), "a dtype made of"),
        (np.float32(1.5), "an object of numpy.*.scalar"),
        ({(1, 2): 3}, "a key of the type tuple"),
        ({1, 2}, "(opcode EMPTY_SET|an object of builtins.set)"),
        (np.ndarray, "a type in place of data"),
    ],
)
def test_pickles_that_are_never_loaded(tmp_path, capsys, value, message):
    for protocol in (2, 4):
        path = write(tmp_path, [value] if protocol == 4 else {"a": value}, protocol)
        with pytest.raises(FileRefusedError, match=message.replace("builtins", r"\w+")):
            read_pickle(path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not a pickle"),
        (b"(dp0\n.", "it is not a pickle"),
        (b"\x80\x04}", "exhausted before seeing STOP"),
        (b"\x80\x04(.", "a mark without its items"),
        (b"\x80\x04K\x01K\x01K\x01s.", "keys of no dict"),
        (b"\x80\x04K\x01K\x01a.", "items of no list"),
        (b"\x80\x04K\x01}b.", "it sets the state of a int"),
        (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n)R.", "has no numbers"),
        (b"\x80\x02cos\nsystem\nU\x02ls\x85R.", "an object of os.system"),
        (b"\x80\x02ios\nsystem\n(.", "the pickle opcode INST"),
        (b"\x80\x02P1\n.", "the pickle opcode PERSID"),
        (b"\x80\x04\x82\x01.", "the pickle opcode EXT1"),
    ],
)
def test_damaged_pickles(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_pickle(write(tmp_path, content))


def edited(array, name, value):
    """Returns the pickle of an array with another opcode argument."""
    content = pickle.dumps(array, 4)
    places = [p for op, v, p in pickletools.genops(content) if (op.name, v) == name]
    return content[: places[0]] + value + content[places[0] + len(value) :]


def test_shapes_that_do_not_match_the_data(tmp_path):
    array = np.zeros((7, 9), "f4")
    content = edited(array, ("BININT1", 7), b"K\xff")
    with pytest.raises(FileRefusedError, match=r"the shape \(255, 9\) of float32"):
        read_pickle(write(tmp_path, content))


@pytest.mark.parametrize(
    "content",
    [
        b"}r\xff\xff\xff\x7f",  # a memo with 2**31 entries
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x00",  # bytes
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x00",  # text
        b"}\x95\xff\xff\xff\xff\xff\xff\xff\x00",  # a frame
        b"(" * 10_000 + b"t" * 10_000,  # nested tuples
    ],
)
def test_huge_claims_take_no_memory(tmp_path, content):
    path = write(tmp_path, b"\x80\x04" + content + b".")
    with (
        bounded(seconds=5, gibibytes=0.5),
        contextlib.suppress(ValueError, RecursionError),
    ):
        read_pickle(path)


def test_damaged_pickles_run_nothing_and_take_no_memory(tmp_path):
    content = pickle.dumps(CONTENT, 4)
    rng = np.random.default_rng(0)
    errors = set()
    with bounded(seconds=60):
        for _, wrong in damaged(content, content[::-1], rng, count=100):
            path = write(tmp_path, wrong)
            try:
                read_pickle(path)
            except Exception as error:
                errors.add(type(error))
    assert FileRefusedError in errors
    assert not errors & {MemoryError, ImportError, TimeoutError}
