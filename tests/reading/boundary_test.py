"""Exceptions of libraries become errors of the package that name the file."""

import pytest

from tf_gru_addon.reading import FileRefusedError, boundary
from tf_gru_addon.weights import WeightsError


class Panic(BaseException):
    """An exception like those of Rust's libraries."""


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (Panic("rust"), r"^a.bin: damaged \(Panic: rust\). Get it again.$"),
        (MemoryError(), r"damaged \(it does not fit into memory\)"),
        (RecursionError("stack"), r"damaged \(it is nested too deeply\)"),
        (AssertionError(), r"damaged \(AssertionError\)"),
        (ValueError("\x1b[31mred\x1b[0m\n\x07"), r"\(ValueError: red \\x07\)"),
        (ValueError("x" * 9999), r"\(ValueError: x{297}\.\.\.\)"),
        (FileRefusedError("it is bad."), r"^a.bin: it is bad\.$"),
        (WeightsError("it is bad."), r"^a.bin: it is bad\.$"),
        (WeightsError("a.bin: it is bad."), r"^a.bin: it is bad\.$"),
    ],
)
def test_exceptions_become_errors_that_name_the_file(problem, message):
    with (
        pytest.raises(WeightsError, match=message),
        boundary("a.bin", WeightsError, "damaged", "Get it again."),
    ):
        raise problem


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, FileNotFoundError])
def test_exceptions_that_pass_unchanged(error):
    with pytest.raises(error), boundary("a.bin", WeightsError, "damaged"):
        raise error
