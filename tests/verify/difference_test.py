"""The error measure."""

import math

import numpy as np
import pytest

from tf_gru_addon.verify.difference import difference

INF, NAN = np.inf, np.nan


@pytest.mark.parametrize(
    ("expected", "received", "error"),
    [
        ([0.5, 100.0], [0.501, 100.001], 1e-3),  # absolute up to 1
        ([0.5, 100.0], [0.5, 100.001], 1e-5),  # relative above
        ([INF, -INF, 1.0], [INF, -INF, 1.5], 0.5),
        ([0.0, 2.0], [0.0, NAN], NAN),
        ([NAN, 2.0], [0.0, 2.0], NAN),
        ([NAN, 2.0], [NAN, 2.0], NAN),  # says nothing
        ([INF, 2.0], [-INF, 2.0], NAN),
        ([1.0, 2.0], [INF, 2.0], INF),
        ([3, 1000], [3, 1001], INF),
        ([True, False], [True, False], 0),
        (["a"], ["b"], INF),
        (np.zeros((0, 2)), np.zeros((0, 2)), 0),
    ],
)
def test_the_error_of_outputs(expected, received, error):
    result = difference([np.array(expected)], [np.array(received)])
    assert result == pytest.approx(error, rel=1e-6, nan_ok=True)


def test_the_worst_output_counts_and_nan_is_worse_than_any():
    zeros = [np.zeros(2)] * 3
    assert difference(zeros, [np.zeros(2), np.ones(2), np.zeros(2)]) == 1
    assert math.isnan(difference(zeros, [np.full(2, NAN), np.ones(2), np.zeros(2)]))
    assert difference([], []) == 0
