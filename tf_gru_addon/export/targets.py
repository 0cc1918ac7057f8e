"""The targets by their names, for the command line and for `deploy`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import keras

from tf_gru_addon.export.errors import ExportError
from tf_gru_addon.export.parity import Run
from tf_gru_addon.export.parity_report import ParityReport


class Target(NamedTuple):
    """One way of writing a model.

    Attributes:
        export: Writes it: takes the model, the path, and by name `tolerance`,
            `examples`, `only_examples` and `beside_keras`.
        open: Takes the path and the model, and returns what runs the export.
        suffix: Ends the name of its file; empty for a folder.
        packages: What must be installed.
    """

    export: Callable[..., ParityReport]
    open: Callable[[str | os.PathLike, keras.Model], Run]
    suffix: str
    packages: tuple[str, ...] = ()


def _saved_model() -> Target:
    from tf_gru_addon.export.saved_model import export_saved_model, load_saved_model

    return Target(export_saved_model, lambda path, model: load_saved_model(path), "")


def _onnx() -> Target:
    from tf_gru_addon.export.onnx import PACKAGES, export_onnx, load_onnx

    return Target(export_onnx, lambda path, model: load_onnx(path), ".onnx", PACKAGES)


def _litert() -> Target:
    from tf_gru_addon.export.litert import PACKAGES, export_litert, load_litert
    from tf_gru_addon.export.parity import flat_model

    return Target(
        export_litert,
        lambda path, model: load_litert(path, flat_model(model)),
        ".tflite",
        PACKAGES,
    )


#: Each function imports what its target needs.
TARGETS: dict[str, Callable[[], Target]] = {
    "saved_model": _saved_model,
    "onnx": _onnx,
    "litert": _litert,
}


def target_of(name: str, *, streaming: bool = False) -> Target:
    """Returns the target of a name.

    Args:
        name: A key of `TARGETS`.
        streaming: Whether to write one step, whose states go in and out. What `open`
            returns then runs whole sequences, frame by frame.

    Raises:
        ExportError: There is none.
        ImportError: What it needs is not installed.
    """
    if name not in TARGETS:
        raise ExportError(
            f"format must be one of {', '.join(TARGETS)}; received: {name!r}."
        )
    target = TARGETS[name]()
    return _step(name, target) if streaming else target


def _step(name: str, target: Target) -> Target:
    from tf_gru_addon.export.export_streaming import export_streaming, load_streaming

    def export(model, path, *, beside_keras=False, **options):
        del beside_keras  # Keras has no such export
        return export_streaming(model, path, name, **options)

    def open(path, model):
        return load_streaming(path, model, name)

    return target._replace(export=export, open=open)
