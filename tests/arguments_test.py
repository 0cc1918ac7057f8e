import fractions
import math
from pathlib import Path

import numpy as np
import pytest

from tf_gru_addon import arguments


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_a_boolean_becomes_a_python_bool(value):
    assert arguments.boolean("flag", value) is bool(value)


@pytest.mark.parametrize("value", ["False", "", 0, 1, 1.0, None, [], np.int64(1)])
def test_other_values_are_not_booleans(value):
    with pytest.raises(ValueError, match=r"flag must be True or False; received: "):
        arguments.boolean("flag", value)


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_an_integer_becomes_a_python_int(value):
    result = arguments.integer("count", value, 1)
    assert (result, type(result)) == (3, int)


@pytest.mark.parametrize("value", [0, -1, 3.0, "3", True, np.True_, None, [3]])
def test_other_values_are_not_integers(value):
    with pytest.raises(ValueError, match="count must be an integer of at least 1"):
        arguments.integer("count", value, 1)


@pytest.mark.parametrize(
    "value", [0, 0.5, 1, np.float32(0.5), fractions.Fraction(1, 2)]
)
def test_a_number_becomes_a_float(value):
    result = arguments.number("rate", value, 0, 1)
    assert (result, type(result)) == (float(value), float)


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf, "1", True, None, 1j])
def test_other_values_are_not_numbers(value):
    with pytest.raises(ValueError, match="rate must be a finite number of at least 0 "):
        arguments.number("rate", value, 0, 1)


def test_a_number_without_an_upper_bound_must_be_finite():
    assert arguments.number("tolerance", 1e300, 0) == 1e300
    with pytest.raises(ValueError, match="tolerance must be a finite number of at"):
        arguments.number("tolerance", math.inf, 0)


@pytest.mark.parametrize("value", ["a/b", Path("a/b")])
def test_a_path_becomes_a_pathlib_path(value):
    assert arguments.path("path", value) == Path("a/b")


@pytest.mark.parametrize("value", [None, "", 3, b"a", "a\0b", ["a"]])
def test_other_values_are_not_paths(value):
    with pytest.raises(ValueError, match="path must be a path: text that is not empty"):
        arguments.path("path", value)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], "float32"),
        (np.ones(2, "float64"), "float32"),
        (np.ones(2, "float32"), "bfloat16"),
        ([True, False], "int32"),
        ([0, 1], bool),
        (np.int64(3), "int32"),
    ],
)
def test_arrays(value, dtype):
    result = arguments.array("x", value, dtype)
    assert result.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(result.astype("float64"), value)


@pytest.mark.parametrize(
    ("value", "dtype", "received"),
    [
        ("x", "float32", "received one of str"),
        (None, "float32", "received one of object"),
        ([1j], "float32", "received one of complex128"),
        ([0.5], "int32", "received one of float64"),
        ([0.5], bool, "received one of float64"),
        ([2], bool, "received one of int64"),
        ([[1], [1, 2]], "float32", "received something else: .*inhomogeneous"),
    ],
)
def test_wrong_arrays_are_refused(value, dtype, received):
    name = np.dtype(dtype).name
    with pytest.raises(ValueError, match=f"x must be an array of {name}; {received}"):
        arguments.array("x", value, dtype)


def test_an_error_of_a_library_names_the_argument():
    assert arguments.converted("size", int, "3", "a size") == 3
    message = "^size must be the name or the config of a size, or one itself; received"
    for value in ("three", None):
        with pytest.raises(ValueError, match=message) as error:
            arguments.converted("size", int, value, "a size")
        assert isinstance(error.value.__cause__, ValueError | TypeError)
