"""What a file format of GRU weights declares."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tf_gru_addon.reading import boundary, require_regular
from tf_gru_addon.reading.checkpoint import checkpoint_budget
from tf_gru_addon.reading.zip_file import open_zip
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.layouts import Layouts
from tf_gru_addon.weights.weights_file import WeightsFile

Stack = tuple[GRULayer, ...]
Reader = Callable[[Path, bool | None], WeightsFile]


class Candidate:
    """A file whose format is to be recognised.

    Args:
        path: The file; for a TensorFlow checkpoint the name without `.index`.

    Attributes:
        path: The file.
        start: The first 64 bytes; empty if only a checkpoint's parts exist.
    """

    def __init__(self, path: Path):
        self.path = path
        self.start = b""
        if path.is_file():
            require_regular(path)
            with path.open("rb") as stream:
                self.start = stream.read(64)

    @functools.cached_property
    def zip_names(self) -> frozenset[str] | None:
        """The names of a zip file's members; None for any other file."""
        if self.variables is not None or not self.start.startswith(b"PK"):
            return None
        with open_zip(self.path) as file:
            return frozenset(file.names)

    @functools.cached_property
    def variables(self) -> frozenset[str] | None:
        """The names of a TensorFlow checkpoint's variables; None for any other file."""
        name = self.path.name
        if not name or not self.path.with_name(f"{name}.index").exists():
            return None
        import tensorflow as tf

        what = "not a TensorFlow checkpoint, or a damaged one"
        with boundary(self.path, WeightsError, what):
            checkpoint_budget(self.path)
            reader = tf.train.load_checkpoint(str(self.path))
            return frozenset(reader.get_variable_to_shape_map())


@dataclass(frozen=True)
class Peer:
    """The framework that a format is for: it loads and runs what was written.

    Args:
        name: Its name, as messages show it: "PyTorch".
        module: The module to import; or a function that returns it, or None if it is
            not installed. Its `__version__` is shown.
        run: Takes the file, the stack and the inputs (batch, timesteps, features),
            float64, and returns the outputs (batch, timesteps, units). It returns None
            if the framework loads the file but has no GRU to run.
    """

    name: str
    module: str | Callable[[], Any]
    run: Callable[[Path, Stack, np.ndarray], np.ndarray | None]

    def package(self) -> Any:
        """Returns the imported framework; None if it is not installed."""
        if callable(self.module):
            return self.module()
        try:
            return importlib.import_module(self.module)
        except ImportError:
            return None


@dataclass(frozen=True)
class Format:
    """A file format. `tf_gru_addon/weights/formats/` has one module for each.

    Args:
        name: The name, for `write_weights` and `--format`.
        file: What the file is, for the documentation's table (Markdown).
        suffixes: The file names for which `convert` chooses this format.
        why_not: Takes a `Candidate`, and returns why the file is not of this format, in
            a few words, or None if it is. It never needs a package that is not
            installed. None if another format reads these files.
        read: Takes the path and `reset_after` (the caller's, or None), and returns the
            GRUs of the file. None with `why_not`.
        write: Takes a path and a stack, and writes the file, or raises `WeightsError`
            for a stack that the format cannot hold. None if it is only read.
        cannot_hold: What makes `write` raise, for the table; "" if nothing does.
        gate_order: The order of the gates, in the framework's own names.
        activations: "stated": the file says which. "fixed": the format has tanh and
            sigmoid only. "unstated": whoever loads the file has to know them.
        exclusive_suffix: A suffix that this format needs and no other may write.
        keeps_order: Whether reading the file gives the layers in the stack's order.
        peer: The framework that loads and runs what was written; None for this package.
        packages: What reading or writing needs and this package does not require. The
            functions call `require_package`, whose error names a missing one.
        layouts: The picture of the arrays, for the documentation.
    """

    name: str
    file: str
    suffixes: tuple[str, ...] = ()
    why_not: Callable[[Candidate], str | None] | None = None
    read: Reader | None = None
    write: Callable[[Path, Stack], None] | None = None
    cannot_hold: str = ""
    gate_order: str = "z r h"
    activations: Literal["stated", "fixed", "unstated"] = "stated"
    exclusive_suffix: str | None = None
    keeps_order: bool = True
    peer: Peer | None = None
    packages: tuple[str, ...] = ()
    layouts: Layouts = field(default_factory=dict)
