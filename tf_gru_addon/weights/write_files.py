"""Writing files of GRU weights: as a whole or not at all, and verified."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tf_gru_addon.files import unfinished_folder
from tf_gru_addon.weights import (
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

Stack = tuple[GRULayer, ...]


def write_weights(
    path: str | os.PathLike,
    stack: GRUWeights | GRULayer | Iterable[GRULayer],
    format: str,
) -> None:
    """Writes a file of weights, and reads it back before it is there.

    The file is there as a whole or not at all, and none is ever overwritten.

    Args:
        path: The file. Of "torch", the ending says how: `.safetensors`, `.npz`, or else
            as `torch.save` does.
        stack: The layers, a layer, or one GRU's weights.
        format: "npz", "torch", "onnx", "tf1", "cudnn_gru" or "keras2".

    Raises:
        FileExistsError: Something is there already.
        WeightsError: The format cannot hold the weights; the message says why.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_weights, write_weights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), np.ones(6), False)
        >>> write_weights("model.ckpt", weights, "tf1")
        >>> read_weights("model.ckpt")[0].forward == weights
        True
    """
    if format not in _WRITERS:
        raise WeightsError(
            f"format must be one of {', '.join(_WRITERS)}; received: {format!r}."
        )
    stack = as_stack(stack)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: there is no such folder.")
    with unfinished_folder(path) as folder:
        unfinished = folder / path.name
        _WRITERS[format](unfinished, stack)
        _verify(unfinished, stack)
        files = sorted(folder.iterdir())
        targets = [path.with_name(file.name) for file in files]
        for target in (path, *targets):
            if target.exists():
                raise FileExistsError(f"{target} exists already. Choose another name.")
        for file, target in zip(files, targets, strict=True):
            _move(file, target)


def _verify(path: Path, stack: Stack) -> None:
    """Raises unless a file that was written holds the same layers."""
    first = stack[0]
    file = inspect_weights(path, reset_after=first.reset_after)
    (read,) = file.grus.values()
    if file.activations_known and len(read) == len(stack):
        for one, other in zip(read, stack, strict=True):
            require = ("activation", "recurrent_activation", "direction")
            if any(getattr(one, key) != getattr(other, key) for key in require):
                raise WeightsError(f"{path.name}: what was written reads differently.")
    pairs = [
        (one.with_bias().fold_biases(), other.with_bias().fold_biases())
        for a, b in zip(read, stack, strict=True)
        for one, other in zip(a.directions, b.directions, strict=True)
    ]
    if any(one != other for one, other in pairs):
        raise WeightsError(f"{path.name}: what was written reads differently.")


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
    weights = _only(stack, "A TensorFlow 1 cell")
    tf1.write_tf1_checkpoint(path, {"rnn/gru_cell": weights})


def _write_keras2(path: Path, stack: Stack) -> None:
    weights = _only(stack, "A Keras 2 weights file", activations=False)
    keras_h5.write_keras2_h5(path, weights)


def _write_cudnn_gru(path: Path, stack: Stack) -> None:
    weights = _only(stack, "CuDNNGRU")
    keras_h5.write_keras2_h5(path, weights, cudnn=True)


def _only(stack: Stack, who: str, *, activations: bool = True) -> GRUWeights:
    if len(stack) > 1 or stack[0].direction != "forward":
        raise WeightsError(
            f"{who} is one GRU that runs forward; received {len(stack)} layer(s), "
            f"{stack[0].direction}. Write each by itself."
        )
    if activations:
        require_activations(stack[0], who)
    return stack[0].forward


_WRITERS: dict[str, Callable[[Path, Stack], None]] = {
    "npz": _write_npz,
    "torch": _write_torch,
    "onnx": _write_onnx,
    "tf1": _write_tf1,
    "cudnn_gru": _write_cudnn_gru,
    "keras2": _write_keras2,
}
