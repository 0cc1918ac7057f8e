"""The interface of an export target."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.streaming.streaming_model import StreamingModel
from tf_gru_addon.verify import Arrays, Run

#: Arrays by their names in a file.
Named = dict[str, np.ndarray]

#: The names of the signatures, in files that have signatures.
WHOLE, STEP = "serving_default", "step"


class Opened(NamedTuple):
    """A file in its runtime.

    Attributes:
        run: Runs the file: takes the inputs and returns the outputs.
        names: The names of the inputs and of the outputs in the model's order. None
            means the model's `endpoint_names`.
    """

    run: Callable[[Named], Named]
    names: tuple[list[str], list[str]] | None = None


@dataclass(frozen=True)
class StepOptions:
    """The options of a step.

    Attributes:
        masked: Whether the step has an input `mask`.
        batch_size: The number of rows; None for any number.
        frames: The number of frames; None for any number.
        quantize: How to store the weights: a key of `Target.tolerances`.
        representative: Typical sequences, for `quantize="int8"`.
    """

    masked: bool = False
    batch_size: int | None = None
    frames: int | None = None
    quantize: str = "none"
    representative: np.ndarray | None = None


def _none(path: Path) -> Iterator[tuple[str, Opened | str]]:
    yield from ()


@dataclass(frozen=True)
class Target:
    """A file format for deployment, and the runtime that runs such files.

    Attributes:
        name: The name that users select the target by; also the name of its module.
        file: What is written, for the documentation.
        whole: The contents for whole sequences, for the documentation.
        step: The contents for one step, for the documentation.
        suffix: The file name extension; empty for a folder.
        runtime: The name of the runtime.
        write: Writes a model for whole sequences. Takes a `prepared` model, the path
            and how to store the weights. Returns the layers whose state is an
            additional input and output, after those of the model.
        write_step: Writes one step of a causal model.
        open: Opens a file in the runtime. Takes the path and the signature, `WHOLE` or
            `STEP`. The outputs of a step are named by `output_names`, and the new
            states have the names of the states.
        count_ops: Counts the ops in a file, by name.
        keras_export: Writes a model to a path with Keras' own export to this format.
        keras_open: Opens a file that `keras_export` wrote.
        packages: Import names of the required packages.
        tolerances: The ways to store weights, for `quantize`, and the default tolerance
            of each.
        step_frames: The number of frames of a step; None for any number.
        least_frames: The smallest number of frames of a step.
        others: Opens a file for whole sequences in further runtimes. Yields the name of
            each runtime with the opened file, or with a note that says why the runtime
            cannot open it.
    """

    name: str
    file: str
    whole: str
    step: str
    suffix: str
    runtime: str
    write: Callable[[keras.Model, Path, str], list[GRU]]
    write_step: Callable[[StreamingModel, StepOptions, Path], None]
    open: Callable[[Path, str], Opened]
    count_ops: Callable[[Path], dict[str, int]]
    keras_export: Callable[[keras.Model, Path], None]
    keras_open: Callable[[Path, keras.Model], Run]
    packages: tuple[str, ...] = ()
    tolerances: Mapping[str, float] = field(default_factory=lambda: {"none": 1e-5})
    step_frames: int | None = None
    least_frames: int = 1
    others: Callable[[Path], Iterator[tuple[str, Opened | str]]] = _none

    def load(self, path: str | os.PathLike[str], model: keras.Model) -> Run:
        """Returns a function that runs a file on whole sequences.

        Args:
            path: A file or folder that `write` wrote.
            model: The `flat_model` it was made from, for the order of inputs and
                outputs.
        """
        return in_order(self.open(Path(path), WHOLE), model)


def in_order(opened: Opened, model: keras.Model) -> Run:
    """Returns a function that runs an opened file on arrays in the model's order."""
    inputs, outputs = opened.names or endpoint_names(model)

    def run(arrays: Arrays) -> Arrays:
        results = opened.run(dict(zip(inputs, arrays, strict=True)))
        return [results[name] for name in outputs]

    return run


def endpoint_names(model: keras.Model) -> tuple[list[str], list[str]]:
    """Returns the names of a signature's inputs and outputs, in the model's order.

    Args:
        model: A `flat_model`.
    """
    inputs: set[str] = set()
    outputs: set[str] = set()
    return (
        [unique_name(tensor.name, inputs) for tensor in model.inputs],
        [unique_name(name, outputs) for name in model.output_names],
    )


def unique_name(name: str, taken: set[str]) -> str:
    """Returns a name of letters, digits and _ that is not in use.

    The name never begins with "cut_", the prefix of the tensors of a `cut.Cut`.

    Args:
        name: The original name.
        taken: The names in use. The result is added.
    """
    base = re.sub(r"\W", "_", name)
    base = f"_{base}" if base.startswith("cut_") else base
    candidates = itertools.chain([base], (f"{base}_{n}" for n in itertools.count(1)))
    result = next(each for each in candidates if each not in taken)
    taken.add(result)
    return result
