"""What a target of an export is."""

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

#: Arrays by the names that they have in a file.
Named = dict[str, np.ndarray]

#: The signatures of files that have any.
WHOLE, STEP = "serving_default", "step"


class Opened(NamedTuple):
    """A file in its runtime.

    Attributes:
        run: Takes the inputs and returns the outputs.
        names: The inputs and the outputs in the model's order, or None where they are
            the model's `endpoint_names`.
    """

    run: Callable[[Named], Named]
    names: tuple[list[str], list[str]] | None = None


@dataclass(frozen=True)
class StepOptions:
    """What a step takes.

    Attributes:
        masked: Whether it has an input `mask`.
        batch_size: The number of rows, or None for any.
        frames: The number of frames, or None for any.
        quantize: How weights are stored: a key of `Target.tolerances`.
        representative: For "int8", typical sequences.
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
    """A kind of file that a model can be written to, and the runtime that runs it.

    Attributes:
        name: The name that users select the target by.
        suffix: The end of the name of a file; empty for a folder.
        runtime: The name of the runtime.
        write: Writes a model for whole sequences. Takes a `prepared` model, the path
            and how to store the weights. Returns the layers whose state is an input
            and an output, after those of the model.
        write_step: Writes one step of a causal model.
        open: Opens a file in the runtime. Takes the path and the signature, `WHOLE` or
            `STEP`. The outputs of a step have the names of `output_names`, and the new
            states the names of the states.
        count_ops: Returns how often each op stands in a file.
        keras_export: Writes a model with Keras' own export of this kind, to a path.
        keras_open: Opens what `keras_export` wrote.
        packages: Import names of the packages that must be installed.
        tolerances: How weights can be stored, for `quantize`, and the largest error
            that this may make.
        step_frames: The number of frames of a step, or None for any number.
        least_frames: The smallest number of frames of a step.
        others: Opens a file for whole sequences in further runtimes. Yields the name of
            each, and the opened file, or a note that says why it cannot be opened.
    """

    name: str
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

    def load(self, path: str | os.PathLike, model: keras.Model) -> Run:
        """Returns what runs a file on whole sequences.

        Args:
            path: What `write` wrote.
            model: The `flat_model` that it was made of, for the order of its inputs and
                outputs.
        """
        return in_order(self.open(Path(path), WHOLE), model)


def in_order(opened: Opened, model: keras.Model) -> Run:
    """Returns what runs an opened file on arrays in the model's order."""
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
    """Returns a name of letters, digits and _ that is not taken, and takes it.

    Args:
        name: The name to make it from.
        taken: The names taken; the result is added. It never begins with "cut_", as the
            tensors of a `cut.Cut` do.
    """
    base = re.sub(r"\W", "_", name)
    base = f"_{base}" if base.startswith("cut_") else base
    candidates = itertools.chain([base], (f"{base}_{n}" for n in itertools.count(1)))
    result = next(each for each in candidates if each not in taken)
    taken.add(result)
    return result
