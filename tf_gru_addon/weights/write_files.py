"""Writing files of GRU weights: as a whole or not at all, and verified."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tf_gru_addon import arguments
from tf_gru_addon.files import unfinished_folder
from tf_gru_addon.weights import (
    keras3_h5,
    keras_h5,
    npz_file,
    onnx_nodes,
    tf1,
    torch_state_dict,
)
from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.files import inspect_weights
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights
from tf_gru_addon.weights.limits import require_activations
from tf_gru_addon.weights.packages import require_package
from tf_gru_addon.weights.read_back import read_back
from tf_gru_addon.weights.weights_file import ACTIVATIONS

Stack = tuple[GRULayer, ...]


def write_weights(
    path: str | os.PathLike,
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
    format: str,
) -> None:
    """Writes a file of weights, and reads it back before it is there.

    It is read by this package, and by the framework that the file is for if that is
    installed, whose outputs are compared too. The file is there as a whole or not at
    all, and none is ever overwritten.

    Args:
        path: The file. Of "torch", the ending says how: `.safetensors`, `.npz`, or else
            as `torch.save` does. That of "keras3" must end with `.weights.h5`, by which
            Keras knows it, and no other may.
        stack: The layers, a layer, or one GRU's weights.
        format: "npz", "torch", "onnx", "tf1", "keras3", "keras2" or "cudnn_gru".

    Raises:
        FileExistsError: Something is there already.
        WeightsError: The format cannot hold the weights, or what was written reads
            differently; the message says why.
        ValueError: An argument is of another type.

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
    path: str | os.PathLike,
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
    format: str,
) -> str:
    """Does what `write_weights` does, and returns by what the file was read back."""
    path = arguments.path("path", path)
    if not isinstance(format, str) or format not in _WRITERS:
        raise WeightsError(
            f"format must be one of {', '.join(_WRITERS)}; received: {format!r}."
        )
    for_keras_3 = path.name.endswith(".weights.h5")
    if for_keras_3 != (format == "keras3") and (for_keras_3 or format == "keras3"):
        raise WeightsError(
            f"{path}: Keras 3 takes a name that ends with .weights.h5, and no other, "
            f"for weights of its own; received the format {format!r}. Change one of "
            "the two."
        )
    stack = as_stack(stack)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder.")
    with unfinished_folder(path) as folder:
        unfinished = folder / path.name
        _WRITERS[format](unfinished, stack)
        _verify(unfinished, stack, format)
        reader = read_back(unfinished, stack, format)
        files = sorted(folder.iterdir())
        targets = [path.with_name(file.name) for file in files]
        for target in (path, *targets):
            if target.exists():
                raise FileExistsError(f"{target} exists already. Choose another name.")
        for file, target in zip(files, targets, strict=True):
            _move(file, target)
    return reader


def _verify(path: Path, stack: Stack, format: str) -> None:
    """Raises unless a file that was written holds the same layers."""
    file = inspect_weights(path, reset_after=stack[0].reset_after)
    read = [
        (layer, file.unstated.get(name, ()))
        for name, layers in file.grus.items()
        for layer in layers
    ]
    for layer in stack:
        # Keras 3 names the layers, and so orders them, by their classes.
        places = range(len(read) if format == "keras3" else min(1, len(read)))
        found = next((i for i in places if _same(layer, *read[i])), None)
        if found is None:
            raise WeightsError(f"{path.name}: what was written reads differently.")
        del read[found]
    if read:
        raise WeightsError(f"{path.name}: what was written reads differently.")


def _same(one: GRULayer, other: GRULayer, unstated: tuple[str, ...]) -> bool:
    """Whether two layers compute the same, as far as it is stated."""
    return (
        one.direction == other.direction
        and all(
            getattr(one, key) == getattr(other, key)
            for key in ACTIVATIONS
            if key not in unstated
        )
        and all(
            # Some formats always have biases, or add up those of a gate.
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


def _write_torch(path: Path, stack: Stack) -> None:
    arrays = torch_state_dict.torch_arrays(stack)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        require_package("safetensors", ".safetensors files")
        from safetensors.numpy import save_file

        save_file(arrays, path)
    else:
        tensors = torch_state_dict.to_torch(stack)
        import torch

        torch.save(tensors, path)


def _write_npz(path: Path, stack: Stack) -> None:
    with path.open("wb") as stream:  # NumPy would add .npz to a path
        np.savez(stream, **npz_file.to_npz_arrays(stack))


def _write_onnx(path: Path, stack: Stack) -> None:
    path.write_bytes(onnx_nodes.to_onnx(stack).SerializeToString())


def _write_tf1(path: Path, stack: Stack) -> None:
    # The candidate's activation of a GRUCell is its own; a checkpoint does not hold it.
    only = ACTIVATIONS if stack[0].reset_after else ("recurrent_activation",)
    weights = _only(stack, "A TensorFlow 1 cell", only)
    tf1.write_tf1_checkpoint(path, {"rnn/gru_cell": weights})


def _write_keras2(path: Path, stack: Stack) -> None:
    weights = _only(stack, "A Keras 2 weights file", ())
    keras_h5.write_keras2_h5(path, weights)


def _write_cudnn_gru(path: Path, stack: Stack) -> None:
    weights = _only(stack, "CuDNNGRU")
    keras_h5.write_keras2_h5(path, weights, cudnn=True)


def _write_keras3(path: Path, stack: Stack) -> None:
    keras3_h5.write_keras3_h5(path, stack)


def _only(stack: Stack, who: str, fixed: tuple[str, ...] = ACTIVATIONS) -> GRUWeights:
    """Returns the weights of a stack that is one GRU, as a format has it.

    Args:
        stack: The stack.
        who: The format, for the errors.
        fixed: The activations that it has no choice of.
    """
    if len(stack) > 1 or stack[0].direction != "forward":
        raise WeightsError(
            f"{who} is one GRU that runs forward; received {len(stack)} layer(s), "
            f"{stack[0].direction}. Write each by itself, or as npz, torch, onnx or "
            "keras3."
        )
    require_activations(stack[0], who, fixed)
    return stack[0].forward


_WRITERS: dict[str, Callable[[Path, Stack], None]] = {
    "npz": _write_npz,
    "torch": _write_torch,
    "onnx": _write_onnx,
    "tf1": _write_tf1,
    "keras3": _write_keras3,
    "keras2": _write_keras2,
    "cudnn_gru": _write_cudnn_gru,
}
