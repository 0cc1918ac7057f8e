"""The step of a causal model as a SavedModel, a LiteRT file or an ONNX file.

Each target is two functions: one writes the step, the other opens what was written in
its real runtime.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon.ops.engines import use_engine
from tf_gru_addon.streaming.steps import GruStep
from tf_gru_addon.streaming.streaming_model import StreamingModel

Arrays = dict[str, np.ndarray]
#: From the step's inputs, by name, to its outputs, by name: states as they are named.
StepRun = Callable[[Arrays], Arrays]

_OUTPUT = "output"
_NEXT = "next_"  # ONNX lets no output have the name of an input


@dataclass(frozen=True)
class Options:
    """What a step is to take.

    Attributes:
        masked: Whether it has an input `mask`.
        batch_size: The number of rows, or None for any.
        frames: The number of frames, or None for any.
        quantize: How LiteRT stores weights, a key of `litert.TOLERANCES`.
        representative: For "int8", typical sequences.
    """

    masked: bool = False
    batch_size: int | None = None
    frames: int | None = None
    quantize: str = "none"
    representative: np.ndarray | None = None


def output_names(streaming: StreamingModel) -> list[str]:
    """Returns the names of a step's outputs, without the states."""
    count = len(streaming.causal.outputs)
    return [_OUTPUT] if count == 1 else [f"{_OUTPUT}_{i}" for i in range(count)]


def write_saved_model(streaming: StreamingModel, options: Options, path: Path) -> None:
    """Writes a folder with the signatures `step` and `initial_states`."""
    module = tf.Module()
    step = _step_function(streaming, options)
    initial_states = tf.function(
        streaming.initial_states,
        input_signature=[tf.TensorSpec([], tf.int32, "batch_size")],
    ).get_concrete_function()
    module.variables_of_step = list(step.variables)
    tf.saved_model.save(
        module, str(path), signatures={"step": step, "initial_states": initial_states}
    )


def open_saved_model(path: Path) -> StepRun:
    """Returns the step of a SavedModel."""
    loaded = tf.saved_model.load(str(path))
    step = loaded.signatures["step"]

    def run(inputs: Arrays) -> Arrays:
        results = step(**{name: tf.constant(x) for name, x in inputs.items()})
        return {name: y.numpy() for name, y in results.items()}

    run.loaded = loaded  # what was loaded lives no longer than this
    return run


def saved_model_ops(path: Path) -> dict[str, int]:
    """Returns how often each op stands in the step."""
    step = tf.saved_model.load(str(path)).signatures["step"]
    graph = step.graph.as_graph_def()
    nodes = list(graph.node)
    for function in graph.library.function:
        nodes += function.node_def
    return dict(Counter(node.op for node in nodes))


def write_litert(streaming: StreamingModel, options: Options, path: Path) -> None:
    """Writes a file with the signature `step`, of built-in ops."""
    from tf_gru_addon.export.litert import convert_to_litert

    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved_model"
        write_saved_model(streaming, options, saved)
        content = convert_to_litert(
            streaming.model.name,
            saved,
            "step",
            options.quantize,
            _representative_steps(streaming, options),
        )
    path.write_bytes(content)


def _representative_steps(
    streaming: StreamingModel, options: Options
) -> Iterator[Arrays]:
    """Yields the inputs of the steps that typical sequences take."""
    if options.representative is None:
        return
    x = options.representative
    rows = options.batch_size or 1
    for start in range(0, len(x) - rows + 1, rows):
        states = streaming.initial_states(rows)
        for t in range(x.shape[1]):
            inputs = {"frames": x[start : start + rows, t : t + 1]}
            yield inputs | {name: state.numpy() for name, state in states.items()}
            _, states = streaming.step(inputs["frames"], states)


def open_litert(path: Path) -> StepRun:
    """Returns the step of a LiteRT file, run by ai-edge-litert."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    runner = interpreter.get_signature_runner("step")

    def run(inputs: Arrays) -> Arrays:
        return {name: np.array(y) for name, y in runner(**inputs).items()}

    run.interpreter = interpreter  # the runner holds it not
    return run


def litert_ops(path: Path) -> dict[str, int]:
    """Returns how often each op stands in a LiteRT file."""
    from tf_gru_addon.export.litert_file import count_ops

    return count_ops(path.read_bytes())


def write_onnx(streaming: StreamingModel, options: Options, path: Path) -> None:
    """Writes a file with a GRU node for each GRU."""
    from tf_gru_addon.export.onnx_graph import onnx_model

    proto, _ = onnx_model(_step_model(streaming, options))
    path.write_bytes(proto.SerializeToString())


def open_onnx(path: Path) -> StepRun:
    """Returns the step of an ONNX file, run by ONNX Runtime."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(path), settings, providers=["CPUExecutionProvider"]
    )
    names = [each.name.removeprefix(_NEXT) for each in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        return dict(zip(names, session.run(None, inputs), strict=True))

    return run


def onnx_ops(path: Path) -> dict[str, int]:
    """Returns how often each op stands in an ONNX file."""
    import onnx

    from tf_gru_addon.export.onnx_graph import count_ops

    return count_ops(onnx.load(str(path)).graph)


def _step_function(streaming: StreamingModel, options: Options):
    """Returns a concrete function of named tensors: the step."""
    frames, states, *mask = streaming.signature(
        options.masked, options.batch_size, options.frames
    )
    names = output_names(streaming)

    @tf.function(autograph=False)
    def step(frames, mask=None, **states):
        with use_engine("portable"):
            outputs, new = streaming.causal.run(tf.identity(frames), states, mask)
        named = dict(zip(names, outputs, strict=True)) | new
        return {name: tf.identity(y) for name, y in named.items()}

    arguments = {"mask": mask[0]} if mask else {}
    return step.get_concrete_function(frames=frames, **arguments, **states)


class _StepLayer(keras.layers.Layer):
    """The step as a layer, in which an export finds the GRUs."""

    def __init__(self, streaming: StreamingModel, masked: bool):
        super().__init__(name="step", dtype="float32", autocast=False)
        self._causal, self._masked = streaming.causal, masked
        self.layers = []
        for step in self._causal.steps:
            self.layers += step.runs if isinstance(step, GruStep) else [step.layer]

    def call(self, tensors):
        """Runs the frames, the mask if there is one, and the states."""
        frames, *states = tensors
        mask = states.pop(0) if self._masked else None
        states = dict(zip(self._causal.states, states, strict=True))
        outputs, new = self._causal.run(tf.identity(frames), states, mask)
        return [*outputs, *(new[name] for name in states)]


def _step_model(streaming: StreamingModel, options: Options) -> keras.Model:
    """Returns a model of the frames, the mask, and the states: the step."""
    frames, states, *mask = streaming.signature(
        options.masked, options.batch_size, options.frames
    )
    inputs = [
        keras.Input(batch_shape=spec.shape, dtype=spec.dtype.name, name=spec.name)
        for spec in (frames, *mask, *states.values())
    ]
    names = [*output_names(streaming), *(_NEXT + name for name in states)]
    results = _StepLayer(streaming, options.masked)(inputs)
    outputs = [
        keras.layers.Identity(name=name, dtype=y.dtype)(y)
        for name, y in zip(names, results, strict=True)
    ]
    return keras.Model(inputs, outputs, name=streaming.model.name)
