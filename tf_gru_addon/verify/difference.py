"""How far the outputs of two forms of a model are apart."""

from __future__ import annotations

import itertools
import math

import numpy as np

from tf_gru_addon.verify.inputs import Arrays

_HALF = ("bfloat16", "float16")  # `run_model` returns such outputs as float32


def difference(expected: Arrays, received: Arrays) -> float:
    """Returns the largest error of outputs, which must have the same form.

    The error of a number is absolute up to 1 and relative above. Equal infinities
    have no error. Integers, booleans and strings must be equal.

    Args:
        expected: The model's outputs.
        received: Those of the other form, of the same shapes.

    Returns:
        The error: infinite where values without a magnitude differ, NaN where a number
        is NaN, even in both.
    """
    pairs = zip(expected, received, strict=True)
    return max(itertools.starmap(_largest_error, pairs), key=severity, default=0.0)


def _largest_error(expected: np.ndarray, received: np.ndarray) -> float:
    if expected.dtype.kind != "f":
        return 0.0 if np.array_equal(expected, received) else math.inf
    expected, received = expected.astype(np.float64), received.astype(np.float64)
    with np.errstate(invalid="ignore"):
        errors = np.abs(received - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.max(errors, where=expected != received, initial=0.0))


def difference_of_form(expected: Arrays, received: Arrays) -> str:
    """Returns how outputs differ in number, shape or dtype; "" if they do not.

    Args:
        expected: The model's outputs.
        received: Those of the other form.
    """
    if len(expected) != len(received):
        return f"it has {len(received)} outputs where the model has {len(expected)}"
    for index, (wanted, got) in enumerate(zip(expected, received, strict=True)):
        output = "the output" if len(expected) == 1 else f"output {index}"
        if wanted.shape != got.shape:
            return (
                f"{output} has the shape {got.shape} where the model's has "
                f"{wanted.shape}"
            )
        if got.dtype != wanted.dtype and got.dtype.name not in _HALF:
            return (
                f"{output} has the dtype {got.dtype.name} where the model's has "
                f"{wanted.dtype.name}"
            )
    return ""


def severity(error: float) -> float:
    """Returns a sort key that makes NaN the worst error.

    Args:
        error: An error.
    """
    return math.inf if math.isnan(error) else error
