"""Comparing two forms of a model: in parts, in form, in several runtimes."""

import keras
import numpy as np
import pytest

from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import compare, tolerance


def _compare(received, arrays, expected=lambda arrays: arrays, **options):
    """Compares with a model that returns its input."""
    x = keras.Input(batch_shape=[None] * arrays[0].ndim, dtype=arrays[0].dtype.name)
    model = flat_model(keras.Model(x, keras.layers.Identity(dtype=x.dtype)(x)))
    return compare(expected, received, {"one": arrays}, model, **options)


def test_large_examples_are_compared_in_full():
    shift = np.zeros((1000, 2))
    shift[600, 1] = 0.5
    seen = []

    def received(arrays):
        start = sum(seen)
        seen.append(len(arrays[0]))
        return [arrays[0] + shift[start : start + seen[-1]]]

    assert _compare(received, [np.zeros((1000, 2))]).cases == (("one", 0.5),)
    assert sum(seen) == 1000
    assert max(seen) < 1000


def _raise(arrays):
    raise RuntimeError("no such kernel")


@pytest.mark.parametrize(
    ("received", "problem"),
    [
        (lambda a: [a[0].T], r"shape \(3, 2\) where the model's has \(2, 3\)"),
        (lambda a: [a[0][:, :1]], r"shape \(2, 1\) where"),  # which would broadcast
        (lambda a: [a[0], a[0]], "it has 2 outputs where the model has 1"),
        (lambda a: [a[0].astype("int32")], "the dtype int32 where .* has float32"),
        (_raise, "the export does not run: no such kernel"),
    ],
)
def test_outputs_of_another_form(received, problem):
    comparison = _compare(received, [np.zeros((2, 3), "float32")])
    assert comparison.cases == (("one", np.inf),)
    assert comparison.failure == ("one", np.inf)
    with pytest.raises(AssertionError, match=f"case 'one': .*{problem}"):
        assert comparison.passed, comparison.reason
    assert any(comparison.problems["one"] in row for row in comparison.rows())


def test_several_forms_are_compared_with_one_run_of_the_model():
    runs = []

    def expected(arrays):
        runs.append(1)
        return arrays

    x = [np.zeros((2, 3), "float32")]
    others = {"right: ": lambda a: a, "wrong: ": lambda a: [a[0] + 1e-3]}
    comparison = _compare(lambda a: a, x, expected, tolerance=1, others=others)
    errors = dict(comparison.cases)
    assert list(errors) == ["one", "right: one", "wrong: one"]
    assert list(errors.values()) == pytest.approx([0, 0, 1e-3])
    assert len(runs) == 1


def test_the_tolerance_depends_on_the_dtype_unless_given():
    x = [np.zeros((2, 3), "float32")]
    assert _compare(lambda a: a, x).tolerance == tolerance([keras.layers.Identity()])
    assert _compare(lambda a: a, x, tolerance=0.5).tolerance == 0.5
    layers = [keras.layers.Identity(dtype=d) for d in ("float64", "mixed_float16")]
    assert tolerance(layers[:1]) < 1e-8 < 1e-2 < tolerance(layers)
