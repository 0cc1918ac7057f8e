"""Reading files of weights by the frameworks that they are for, and running those.

A file that this package reads back may still be one that its framework refuses, or
reads differently. So the framework loads it into a GRU, and the outputs are compared
with those of this package, computed in float64.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.gru_layer import GRULayer
from tf_gru_addon.weights.tf1 import to_tf1_variables

Stack = tuple[GRULayer, ...]

#: The largest error, relative to the largest output. Rounding in float32 stays far
#: below it; weights in another order are far above.
_TOLERANCE = 1e-3
#: Outputs above this may be infinite in float32.
_LARGEST = 1e30


class _Peer(NamedTuple):
    """A framework, and how it loads and runs a file.

    Attributes:
        name: Its name.
        package: Imports it, and returns it or None.
        run: Takes the file, the stack and the inputs (batch, timesteps, features), and
            gives the outputs; None where the framework can load the file but has no
            GRU to run.
        states_activations: Whether the file states activations. Others are run with
            tanh and sigmoid.
    """

    name: str
    package: Callable[[], Any]
    run: Callable[[Path, Stack, np.ndarray], np.ndarray | None]
    states_activations: bool = False


def read_back(path: Path, stack: Stack, format: str) -> str:
    """Has a file read, and run, by the framework that it is for.

    Args:
        path: The file that was written.
        stack: What it is to hold.
        format: Its format.

    Returns:
        By what it was read, in words.

    Raises:
        WeightsError: The framework does not load it, or comes to other outputs.
    """
    if format == "npz":  # of this package, which has read it
        return "this package"
    peer = _PEERS[format]
    package = peer.package()
    if package is None:
        return f"this package alone, as {peer.name} is not installed"
    who = f"{peer.name} {package.__version__}"
    if not peer.states_activations:
        stack = tuple(GRULayer(layer.forward, layer.backward) for layer in stack)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 4, stack[0].features))
    try:
        outputs = peer.run(path, stack, x)
    except Exception as error:
        raise WeightsError(
            f"{path.name}: {who} does not load what was written "
            f"({type(error).__name__}: {error})."
        ) from error
    if outputs is not None:
        expected = _expected(stack, x)
        largest = np.abs(expected).max()
        error = np.abs(outputs - expected).max() / max(largest, 1e-6)
        if largest < _LARGEST and not error <= _TOLERANCE:
            raise WeightsError(
                f"{path.name}: {who} loads what was written, but computes other "
                f"outputs, which differ by {error:.2g} of the largest."
            )
    return who


def _expected(stack: Stack, x: np.ndarray) -> np.ndarray:
    """Returns the outputs of a stack, in float64."""
    import tensorflow as tf

    from tf_gru_addon import activations
    from tf_gru_addon.ops import portable
    from tf_gru_addon.ops.call import Call

    with tf.device("CPU"):
        y = tf.constant(x, tf.float64)
        for layer in stack:
            sides = []
            for weights in layer.directions:
                backwards = weights is layer.backward
                bias = weights.bias
                call = Call(
                    inputs=y,
                    initial_state=tf.zeros([len(x), layer.units], tf.float64),
                    kernel=tf.constant(weights.kernel, tf.float64),
                    recurrent_kernel=tf.constant(weights.recurrent_kernel, tf.float64),
                    bias=None if bias is None else tf.constant(bias, tf.float64),
                    reset_after=weights.reset_after,
                    activation=activations.get(layer.activation),
                    recurrent_activation=activations.get(layer.recurrent_activation),
                    go_backwards=backwards,
                )
                side = portable.run(call).outputs
                sides.append(side[:, ::-1] if backwards else side)
            y = tf.concat(sides, axis=-1)
        return y.numpy()


def _importer(name: str) -> Callable[[], Any]:
    def package() -> Any:
        try:
            return importlib.import_module(name)
        except ImportError:
            return None

    return package


def _run_torch(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import torch

    if path.suffix == ".npz":
        with np.load(path) as file:
            tensors = {name: torch.from_numpy(file[name]) for name in file.files}
    elif path.suffix == ".safetensors":
        from safetensors.torch import load_file

        tensors = load_file(path)
    else:
        tensors = torch.load(path, weights_only=True)
    first = stack[0]
    gru = torch.nn.GRU(
        first.features,
        first.units,
        num_layers=len(stack),
        bias=first.use_bias,
        batch_first=True,
        bidirectional=first.direction == "bidirectional",
        dtype=torch.float64,
    )
    gru.load_state_dict(tensors)
    with torch.no_grad():
        return gru(torch.from_numpy(x))[0].numpy()


def _run_onnx(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import onnx
    import onnxruntime
    from onnx import numpy_helper

    model = onnx.load(path, format="protobuf")
    onnx.checker.check_model(model)
    # ONNX Runtime has kernels for float32 alone.
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor).astype("float32")
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feed = {"X": x.transpose(1, 0, 2).astype("float32")}
    (y,) = session.run(["Y"], feed)  # (timesteps, directions, batch, units)
    return y.transpose(2, 0, 1, 3).reshape(*x.shape[:2], -1)


def _run_tf1(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray | None:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path))
    cell = {
        name: reader.get_tensor(f"rnn/gru_cell/{name}")
        for name in to_tf1_variables(stack[0].forward)
    }
    if stack[0].reset_after:
        return None  # CudnnCompatibleGRUCell has left with TensorFlow 1
    with tf.device("CPU"):
        cell = {name: tf.cast(array, tf.float32) for name, array in cell.items()}
        h = tf.zeros([len(x), stack[0].units])
        outputs = []
        for inputs in tf.unstack(tf.constant(x, tf.float32), axis=1):
            *_, h = tf.raw_ops.GRUBlockCell(
                x=inputs,
                h_prev=h,
                w_ru=cell["gates/kernel"],
                b_ru=cell["gates/bias"],
                w_c=cell["candidate/kernel"],
                b_c=cell["candidate/bias"],
            )
            outputs.append(h)
        return tf.stack(outputs, axis=1).numpy()


def _keras_2() -> Any:
    from tf_gru_addon import _compat

    return _compat.keras_2()


def _run_keras_2(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    return _run_keras(_keras_2(), path, stack, x)


def _run_keras_3(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    import keras

    return _run_keras(keras, path, stack, x)


def _run_keras(keras: Any, path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
    layers = [keras.Input((None, stack[0].features), dtype="float64")]
    for layer in stack:
        gru = keras.layers.GRU(
            layer.units,
            use_bias=layer.use_bias,
            reset_after=layer.reset_after,
            return_sequences=True,
            dtype="float64",
        )
        if layer.direction == "bidirectional":
            gru = keras.layers.Bidirectional(gru, dtype="float64")
        layers.append(gru)
    model = keras.Sequential(layers)
    model.load_weights(str(path))
    return np.asarray(model(x))


_KERAS_2 = _Peer("tf_keras", _keras_2, _run_keras_2)
_PEERS = {
    "torch": _Peer("PyTorch", _importer("torch"), _run_torch),
    "onnx": _Peer("ONNX Runtime", _importer("onnxruntime"), _run_onnx, True),
    "tf1": _Peer("TensorFlow", _importer("tensorflow"), _run_tf1),
    "keras3": _Peer("Keras", _importer("keras"), _run_keras_3),
    "keras2": _KERAS_2,
    "cudnn_gru": _KERAS_2,
}
