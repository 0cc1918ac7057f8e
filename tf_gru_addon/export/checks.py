"""The arguments of an export, checked before anything is written."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.parity import require_new
from tf_gru_addon.flat_model import flat_model
from tf_gru_addon.verify import (
    Arrays,
    Comparison,
    Run,
    compare,
    example_inputs,
    run_model,
    why_not,
)

_ROWS = 256  # rows of an example that the model is tried on


class Checked(NamedTuple):
    """The checked arguments of an export.

    Attributes:
        model: The `flat_model`.
        path: The file or folder to write.
        tolerance: The largest error allowed.
        cases: The inputs to compare on, by name.
    """

    model: keras.Model
    path: Path
    tolerance: float
    cases: dict[str, Arrays]

    def compare(
        self,
        received: Run,
        expected: Run | None = None,
        others: Mapping[str, Run] | None = None,
    ) -> Comparison:
        """Compares an export with the model.

        Args:
            received: Runs the export.
            expected: Runs the model; None calls the model itself.
            others: Runs the export in further runtimes, by the prefix of their cases.
        """
        if expected is None:
            expected = functools.partial(run_model, self.model)
        return compare(
            expected, received, self.cases, self.model, self.tolerance, others
        )


def check(
    model: Any,
    path: str | os.PathLike[str],
    *,
    tolerance: float,
    examples: Mapping[str, Arrays] | None = None,
    only_examples: bool = False,
    beside_keras: bool = True,
) -> Checked:
    """Checks the arguments that all exports take.

    Args:
        model: The model to export.
        path: The file or folder to write.
        tolerance: The largest error allowed, unless rounding alone makes a larger one.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.
        beside_keras: Whether to measure Keras' own export too.

    Raises:
        ExportError: An argument is invalid, or `path` exists.
    """
    with refusing():
        tolerance = arguments.number("tolerance", tolerance, 0)
        arguments.boolean("beside_keras", beside_keras)
        path = arguments.path("path", path)
    flat = flat_model(model)
    cases = cases_of(flat, examples, only_examples)
    require_new(path)
    return Checked(flat, path, tolerance, cases)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turns a ValueError from a check in `arguments` into an ExportError."""
    try:
        yield
    except ValueError as error:
        raise ExportError(str(error)) from None


def cases_of(
    model: keras.Model, examples: Any, only_examples: bool
) -> dict[str, Arrays]:
    """Returns the inputs to compare on: random ones and the given examples.

    Args:
        model: A `flat_model`.
        examples: More inputs to compare on: lists of one array per model input, by
            name.
        only_examples: Whether to compare on `examples` alone, without random inputs.

    Raises:
        ExportError: `examples` does not fit the model, or the model runs on no input.
    """
    with refusing():
        only_examples = arguments.boolean("only_examples", only_examples)
    given = _examples(model, examples)
    if only_examples and not given:
        raise ExportError(
            "only_examples=True leaves nothing to compare on without `examples`."
        )
    return given if only_examples else {**example_inputs(model), **given}


def _examples(model: keras.Model, examples: Any) -> dict[str, Arrays]:
    """Returns the given examples in the dtypes of the model's inputs."""
    count = len(model.inputs)
    each = "one array" if count == 1 else f"{count} arrays, one for each input"
    expected = f"examples must be a dict from a name to a list of {each}"
    if examples is None:
        return {}
    if not isinstance(examples, Mapping):
        raise ExportError(f"{expected}; received a {type(examples).__name__}.")
    result = {}
    for name, arrays in examples.items():
        if not isinstance(name, str):
            raise ExportError(f"{expected}; received the name {name!r}.")
        if not isinstance(arrays, list | tuple) or len(arrays) != count:
            received = type(arrays).__name__
            if isinstance(arrays, list | tuple):
                received += f" of {len(arrays)}"
            raise ExportError(f"{expected}; {name!r} is a {received}.")
        result[name] = [
            array_of(f"examples[{name!r}][{i}]", x, tensor)
            for i, (x, tensor) in enumerate(zip(arrays, model.inputs, strict=True))
        ]
        rows = [len(x) for x in result[name]]
        if len(set(rows)) > 1:
            raise ExportError(
                f"examples[{name!r}] must have as many rows for each input; received "
                f"{', '.join(map(str, rows))}."
            )
        few = [x[:_ROWS] for x in result[name]]
        if reason := why_not(model, few):
            raise ExportError(
                f"examples[{name!r}]: {model.name} itself does not run on it: {reason}"
            )
    return result


def array_of(name: str, value: Any, tensor: keras.KerasTensor) -> np.ndarray:
    """Returns a value as an array with the dtype of a model's input.

    Args:
        name: The name of the argument, for errors.
        value: The argument.
        tensor: The model's input.

    Raises:
        ExportError: The dtype or the shape does not fit, or the array is empty.
    """
    shape, dtype = tensor.shape, keras.backend.standardize_dtype(tensor.dtype)
    with refusing():
        array = arguments.array(name, value, dtype)
    fits = array.ndim == len(shape) and all(
        fixed in (None, size) for fixed, size in zip(shape, array.shape, strict=True)
    )
    if not fits or not array.size:
        sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ExportError(
            f"{name} must have the shape ({sizes}) and not be empty, for the input "
            f"{tensor.name!r}; received {array.shape}."
        )
    return array
