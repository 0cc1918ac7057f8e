"""All code that depends on versions or private names of TensorFlow and Keras.

No other module may import `keras.src` or `tensorflow.python`. This module is imported
first and checks the environment, so that a missing or unsuitable installation raises
an error that says what to do.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import Any, NamedTuple

from tf_gru_addon.packages import install_command
from tf_gru_addon.version import MIN_KERAS, MIN_TENSORFLOW


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _check_environment() -> None:
    """Raises ImportError unless TensorFlow, and Keras 3 on it, are installed."""
    if importlib.util.find_spec("tensorflow") is None:
        raise ImportError(
            f"tf_gru_addon needs TensorFlow {MIN_TENSORFLOW} or later, and found none. "
            f"Install a build: {install_command('tensorflow-cpu', extra='cpu')} for "
            f"CPUs, {install_command('tensorflow[and-cuda]', extra='gpu')} for NVIDIA "
            "GPUs, or any other TensorFlow."
        )
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if backend != "tensorflow":
        raise ImportError(
            "tf_gru_addon runs on Keras' TensorFlow backend, and the environment "
            f"variable KERAS_BACKEND is {backend!r}. Set KERAS_BACKEND=tensorflow, or "
            "unset it, before Keras is first imported."
        )
    import tensorflow as tf

    if _release(tf.__version__) < _release(MIN_TENSORFLOW):
        raise ImportError(
            f"tf_gru_addon needs TensorFlow {MIN_TENSORFLOW} or later, and found "
            f"{tf.__version__}. Upgrade it: pip install --upgrade tensorflow."
        )
    try:
        import keras
    except ImportError as error:
        raise ImportError(
            "tf_gru_addon needs Keras 3 on TensorFlow, and importing Keras failed: "
            f"{error}. Install it: pip install keras. If it is configured for another "
            "backend, set the environment variable KERAS_BACKEND=tensorflow, or change "
            "`backend` in keras.json."
        ) from error

    if _release(keras.__version__) < _release(MIN_KERAS):
        raise ImportError(
            f"tf_gru_addon needs Keras {MIN_KERAS} or later, and found "
            f"{keras.__version__}. Upgrade it: pip install --upgrade keras."
        )
    if keras.backend.backend() != "tensorflow":
        raise ImportError(
            "tf_gru_addon runs on Keras' TensorFlow backend, and Keras is configured "
            f"for {keras.backend.backend()!r}. Set the environment variable "
            "KERAS_BACKEND=tensorflow, or change `backend` in keras.json."
        )
    if os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true"):
        warnings.warn(
            "TF_USE_LEGACY_KERAS is set, so tf.keras is Keras 2, whose models cannot "
            "hold the Keras 3 layers of tf_gru_addon. Build models with `import "
            "keras`, or unset TF_USE_LEGACY_KERAS.",
            stacklevel=2,
        )


_check_environment()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras.src.layers.rnn.dropout_rnn_cell import (  # noqa: E402
    DropoutRNNCell as KerasDropoutRNNCell,
)
from keras.src.ops.node import Node  # noqa: E402
from keras.src.ops.symbolic_arguments import SymbolicArguments  # noqa: E402
from keras.src.utils.tracking import Tracker  # noqa: E402
from tensorflow.python.eager import context  # noqa: E402
from tensorflow.python.ops import control_flow_util  # noqa: E402
from tensorflow.python.ops.control_flow_v2_func_graphs import (  # noqa: E402
    CondBranchFuncGraph,
    WhileBodyFuncGraph,
    WhileCondFuncGraph,
)
from tensorflow.python.saved_model import save_context  # noqa: E402
from tensorflow.python.trackable.base import TrackableReference  # noqa: E402

__all__ = [
    "KerasDropoutRNNCell",
    "LayerCall",
    "TrackableReference",
    "enclosing_graphs",
    "in_export",
    "in_xla",
    "is_graph_object",
    "keras_2",
    "layer_calls",
    "layers_of",
    "mask_of",
    "on_cpu",
    "refuse_legacy_keras",
    "running_trainer",
    "set_mask",
    "sublayers",
]


def enclosing_graphs() -> list[tf.Graph]:
    """Returns the graphs being built, from the innermost to the function's.

    All but the last are nested bodies of loops and branches. In eager execution the
    list is empty.
    """
    if tf.executing_eagerly():
        return []
    graphs = [tf.compat.v1.get_default_graph()]
    while isinstance(
        graphs[-1], (CondBranchFuncGraph, WhileBodyFuncGraph, WhileCondFuncGraph)
    ):
        graphs.append(graphs[-1].outer_graph)
    return graphs


def in_xla() -> bool:
    """Returns whether XLA will compile the current graph (`jit_compile=True`)."""
    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    return bool(control_flow_util.GraphOrParentsInXlaContext(graph))


def in_export() -> bool:
    """Returns whether the current graph is traced for a SavedModel or other export."""
    if tf.executing_eagerly():
        return False
    if save_context.in_save_context():
        return True
    # Only the stack shows Keras' exports to ONNX, LiteRT and OpenVINO.
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("keras.src.export."):
            return True
        frame = frame.f_back
    return False


def on_cpu() -> bool:
    """Returns whether an op created now will run on the CPU, as far as is known."""
    if not tf.config.get_visible_devices("GPU"):
        return True
    if tf.executing_eagerly():
        device = context.context().device_name or ""
    else:
        device = tf.no_op().device
    return "CPU" in device.upper()


def refuse_legacy_keras(layer_name: str, arguments: Any) -> None:
    """Raises TypeError if Keras 2 (tf_keras) calls a layer of Keras 3.

    Keras 2 passes placeholders and states that a Keras 3 layer does not understand, and
    the resulting error would not name the cause.

    Args:
        layer_name: The name of the layer, for the message.
        arguments: The arguments of the call, in any nested structure.
    """
    if "tf_keras" not in sys.modules:
        return
    remedy = (
        "Build the model with `import keras` (Keras 3); if `tf.keras` is Keras 2 here, "
        "unset TF_USE_LEGACY_KERAS before TensorFlow is first imported."
    )
    for argument in tf.nest.flatten(arguments):
        if type(argument).__module__.startswith("tf_keras."):
            raise TypeError(
                f"{layer_name} is a Keras 3 layer, and was called with a "
                f"{type(argument).__name__} of Keras 2 (tf_keras). {remedy}"
            )
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(
            ("tf_keras.src.layers.", "tf_keras.src.engine.base_layer")
        ):
            raise TypeError(
                f"{layer_name} is a Keras 3 layer, and a layer of Keras 2 (tf_keras) "
                f"is calling it. {remedy}"
            )
        frame = frame.f_back


def keras_2() -> Any:
    """Returns the package tf_keras, which is Keras 2, or None if it is missing."""
    try:
        import tf_keras
    except ImportError:
        return None
    return tf_keras


def sublayers(layer: Any) -> list[Any]:
    """Returns the layers that a Keras layer or model holds directly.

    These are the layers in its attributes, in lists and dicts there, and in its graph.
    """
    return list(layer._layers)


def is_graph_object(value: Any) -> bool:
    """Whether an object is a layer, or refers to layers to describe a model's graph."""
    graph = (keras.Operation, keras.KerasTensor, Node, SymbolicArguments, Tracker)
    return isinstance(value, graph)


def running_trainer(layers: list[Any]) -> str | None:
    """Returns a running fit, evaluate or predict of a model with one of the layers.

    It looks in all threads, and so finds one that runs the caller in a callback.

    Args:
        layers: The layers. The model must hold one of them or be one of them.

    Returns:
        The model's name and the method, as in "model.fit", or None.
    """
    wanted = {id(layer) for layer in layers}
    for top in sys._current_frames().values():
        frame: FrameType | None = top
        while frame is not None:
            module = frame.f_globals.get("__name__", "")
            name = frame.f_code.co_name
            if module.startswith("keras.src.") and name in (
                "fit",
                "evaluate",
                "predict",
            ):
                trainer = frame.f_locals.get("self")
                if isinstance(trainer, keras.Model) and (
                    wanted & {id(trainer), *map(id, layers_of(trainer))}
                ):
                    return f"{trainer.name}.{name}"
            frame = frame.f_back
    return None


def layers_of(layer: Any) -> Iterator[Any]:
    """Yields each layer that a model or layer holds, at any depth, once.

    Args:
        layer: The model or layer; it is not among those yielded.
    """
    seen = {id(layer)}
    stack = sublayers(layer)[::-1]
    while stack:
        held = stack.pop()
        if id(held) not in seen:
            seen.add(id(held))
            yield held
            stack += sublayers(held)[::-1]


class LayerCall(NamedTuple):
    """A call in the graph of a Sequential or functional model.

    Attributes:
        layer: The layer called, or an operation of `keras.ops`.
        args: The positional arguments, which include symbolic tensors.
        kwargs: The keyword arguments, without a mask that the inputs carry themselves.
        outputs: The symbolic tensors that the call returned.
    """

    layer: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[keras.KerasTensor]


def layer_calls(model: keras.Model) -> list[LayerCall]:
    """Returns the calls that lead from a model's inputs to its outputs.

    Each call comes after the calls whose outputs it needs.

    Args:
        model: A Sequential or functional model that is built.
    """
    seen = {id(tensor) for tensor in model.inputs}
    calls = []

    def visit(tensor: keras.KerasTensor) -> None:
        if id(tensor) in seen:
            return
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        args, kwargs = node.arguments.args, dict(node.arguments.kwargs)
        if _same_masks(kwargs.get("mask"), keras.tree.map_structure(mask_of, args)):
            del kwargs["mask"]
        for needed in keras.tree.flatten((args, kwargs)):
            if isinstance(needed, keras.KerasTensor):
                visit(needed)
        seen.update(id(output) for output in node.output_tensors)
        calls.append(LayerCall(layer, args, kwargs, node.output_tensors))

    for tensor in model.outputs:
        visit(tensor)
    return calls


def _same_masks(first: Any, second: Any) -> bool:
    """Returns whether two structures hold the same masks, and at least one."""
    first, second = (
        [x for x in keras.tree.flatten(each) if x is not None]
        for each in (first, second)
    )
    return (
        bool(first)
        and len(first) == len(second)
        and all(_alike(x, y) for x, y in zip(first, second, strict=True))
    )


def _alike(first: Any, second: Any) -> bool:
    """Returns whether two symbolic tensors are the same, or made by equal operations.

    A model loaded from a file makes each mask twice: once in the layers, once in the
    graph.
    """
    if first is second:
        return True
    tensors = [isinstance(x, keras.KerasTensor) for x in (first, second)]
    if not all(tensors):
        return not any(tensors) and bool(np.all(first == second))
    (one, i, k), (other, j, n) = first._keras_history, second._keras_history
    if type(one) is not type(other) or k != n or isinstance(one, keras.Layer):
        return one is other and (i, k) == (j, n)
    arguments = [op._inbound_nodes[m].arguments for op, m in ((one, i), (other, j))]
    taken = [keras.tree.flatten((each.args, each.kwargs)) for each in arguments]
    return (
        _settings(one) == _settings(other)
        and len(taken[0]) == len(taken[1])
        and all(_alike(x, y) for x, y in zip(*taken, strict=True))
    )


def _settings(operation: Any) -> dict[str, Any]:
    """Returns the settings of an operation of `keras.ops`."""
    own = vars(operation).items()
    return {key: x for key, x in own if not key.startswith("_") and key != "name"}


def mask_of(tensor: tf.Tensor) -> tf.Tensor | None:
    """Returns the mask that Keras' layers find on a tensor."""
    return getattr(tensor, "_keras_mask", None)


def set_mask(tensor: tf.Tensor, mask: tf.Tensor | None) -> None:
    """Puts a mask on a tensor, where Keras' layers find it."""
    tensor._keras_mask = mask
