"""Writing files of GRU weights: completely or not at all, and verified."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tf_gru_addon import arguments
from tf_gru_addon.files import unfinished_folder
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.files import inspect_weights
from tf_gru_addon.weights.format import Format, Stack
from tf_gru_addon.weights.formats import FORMATS, written
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.read_back import read_back
from tf_gru_addon.weights.weights_file import ACTIVATIONS


def write_weights(
    path: str | os.PathLike[str],
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
    format: str,
) -> None:
    """Writes a file of weights, and verifies it before it appears under its name.

    This package reads the file back. If the framework that the file is for is
    installed, it loads and runs the file too, and the outputs are compared. Nothing is
    ever overwritten, and a file that fails is removed.

    Args:
        path: The file. For "torch", the suffix selects the container: `.safetensors`,
            `.npz`, or otherwise that of `torch.save`. For "keras3" it must be
            `.weights.h5`, by which Keras recognises its own files; no other format may
            have it.
        stack: The layers, a layer, or one GRU's weights.
        format: The format: "npz", "torch", "onnx", "keras3", ... The table in
            `docs/weights.md` lists all.

    Raises:
        FileExistsError: A file of this name exists.
        FileNotFoundError: Its folder does not exist.
        WeightsError: The format cannot hold the weights, or what was written reads
            differently; the message says why.
        ValueError: An argument has the wrong type.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_weights, write_weights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> write_weights("model.ckpt", weights, "tf1")
        >>> read_weights("model.ckpt")[0].forward == weights
        True
    """
    write_and_read_back(path, stack, format)


def write_and_read_back(
    path: str | os.PathLike[str],
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
    format: str,
) -> str:
    """Writes a file like `write_weights`, and returns what read it back, in words."""
    path = arguments.path("path", path)
    form = FORMATS.get(format) if isinstance(format, str) else None
    if form is None or form.write is None:
        raise WeightsError(
            f"format must be one of {', '.join(written())}; received: {format!r}."
        )
    _check_suffix(path, form)
    stack = as_stack(stack)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder.")
    with unfinished_folder(path) as folder:
        unfinished = folder / path.name
        form.write(unfinished, stack)
        _verify(unfinished, stack, form)
        reader = read_back(unfinished, stack, form)
        files = sorted(folder.iterdir())
        targets = [path.with_name(file.name) for file in files]
        for target in (path, *targets):
            if target.exists():
                raise FileExistsError(f"{target} exists already. Choose another name.")
        for file, target in zip(files, targets, strict=True):
            _move(file, target)
    return reader


def _check_suffix(path: Path, form: Format) -> None:
    """Checks that a path ends as its format requires, and as no other does."""
    for other in FORMATS.values():
        suffix = other.exclusive_suffix
        if suffix is None or path.name.endswith(suffix) == (other is form):
            continue
        raise WeightsError(
            f"{path}: a file of the format {other.name!r} must end with {suffix}, and "
            f"one of another format must not; received the format {form.name!r}. "
            "Change the name or the format."
        )


def _verify(path: Path, stack: Stack, form: Format) -> None:
    """Checks that a file that was written holds the same layers."""
    file = inspect_weights(path, reset_after=stack[0].reset_after)
    read = [
        (layer, file.unstated.get(name, ()))
        for name, layers in file.grus.items()
        for layer in layers
    ]
    for layer in stack:
        places = range(min(1, len(read)) if form.keeps_order else len(read))
        found = next((i for i in places if _same(layer, *read[i])), None)
        if found is None:
            raise WeightsError(f"{path.name}: what was written reads differently.")
        del read[found]
    if read:
        raise WeightsError(f"{path.name}: what was written reads differently.")


def _same(one: GRULayer, other: GRULayer, unstated: tuple[str, ...]) -> bool:
    """Whether two layers compute the same, as far as the file states it."""
    return (
        one.direction == other.direction
        and all(
            getattr(one, key) == getattr(other, key)
            for key in ACTIVATIONS
            if key not in unstated
        )
        and all(
            # Some formats always have a bias, or add up a gate's two.
            a == b or a.with_bias().fold_biases() == b.with_bias().fold_biases()
            for a, b in zip(one.directions, other.directions, strict=True)
        )
    )


def _move(file: Path, target: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    try:
        os.link(file, target)  # unlike a rename, it never overwrites
    except FileExistsError:
        raise FileExistsError(f"{target} exists already.") from None
    except OSError:  # a file system without links
        os.rename(file, target)
