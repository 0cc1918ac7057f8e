"""A model's graph with its GRUs cut out of it, for a target that has a GRU of its own.

The converters that exist see a GRU as a loop of many ops. So each call of a `GRU` is
taken out of the traced function before they see it: what goes into the call becomes an
output of the function, what comes out of it an input, and the target's own node is put
between the two afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_gru_addon.errors import ExportError
from tf_gru_addon.layers.gru import GRU
from tf_gru_addon.ops import engines
from tf_gru_addon.ops.call import Call, Engine, Result


@dataclass(frozen=True)
class Cut:
    """A call of a `GRU` that was taken out of a function.

    Attributes:
        name: Begins the names of its tensors: outputs of the function are NAME_x (the
            sequences) and, where the call has them, NAME_h (the initial state) and
            NAME_mask; inputs of the function are NAME_y (the call's output) and NAME_s
            (its last state).
        layer: The layer called.
        masked: Whether there is a mask.
        initial_state: "zeros"; "given", by NAME_h; or "kept", where the layer is
            stateful and goes on from its own.
        zero_output_for_mask: As the layer's.
        go_backwards: As the layer's.
        return_sequences: As the layer's.
    """

    name: str
    layer: GRU
    masked: bool
    initial_state: str
    zero_output_for_mask: bool
    go_backwards: bool
    return_sequences: bool


def cut_out(
    model: keras.Model, inputs: list[str], outputs: list[str]
) -> tuple[Any, list[Any], list[Cut]]:
    """Traces a model for inference without its GRUs.

    Args:
        model: A `prepared` model.
        inputs: What the function is to name the model's inputs.
        outputs: What it is to name the model's outputs.

    Returns:
        A `tf.function`, its input signature and the cuts. The function takes the
        model's inputs and those of the cuts; it returns a dict of the model's outputs
        and those of the cuts.

    Raises:
        ExportError: A GRU is called where it cannot be taken out.
    """
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in zip(inputs, model.inputs, strict=True)
    ]
    recorder = _Recorder()
    engine = Engine("recorder", recorder.run, stores_state=False)

    # Traced twice: only the first time tells the inputs of the second.
    @tf.function(autograph=False)
    def run(arguments, results):
        recorder.begin(results)
        with engines.using(engine):
            values = keras.tree.flatten(model(arguments, training=False))
        named = dict(zip(outputs, map(tf.identity, values), strict=True))
        return named | recorder.tensors

    try:
        run.get_concrete_function(specs, {})
        signature = [specs, recorder.result_specs]
        if recorder.cuts:
            run.get_concrete_function(*signature)
    except Exception as error:  # Keras wraps what is raised within a layer
        reason = recorder.refusal or f"{model.name} cannot be traced: {error}"
        raise ExportError(reason) from error
    return run, signature, recorder.cuts


class _Recorder:
    """Runs as an engine that takes down the calls."""

    refusal = ""

    def begin(self, results: dict[str, tf.Tensor]) -> None:
        """Begins a trace, in which the calls return `results`, or else zeros."""
        self.cuts: list[Cut] = []
        self.tensors: dict[str, tf.Tensor] = {}
        self._results = results
        self._graph = tf.compat.v1.get_default_graph()
        self.result_specs: dict[str, tf.TensorSpec] = {}

    def run(self, call: Call) -> Result:
        """Takes down a call, and returns placeholders for its results."""
        layer, sequences = call.layer, call.inputs
        if tf.compat.v1.get_default_graph() is not self._graph:
            self.refusal = (
                f"{layer.name}: this GRU is called inside a loop, a branch or a "
                "tf.function of its own, and cannot be replaced by a node there. Call "
                "it outside."
            )
            raise ExportError(self.refusal)
        given = not call.resumes and not _is_zeros(call.initial_state)
        cut = Cut(
            name=f"cut_{len(self.cuts)}",
            layer=layer,
            masked=call.mask is not None,
            initial_state="kept" if call.resumes else "given" if given else "zeros",
            zero_output_for_mask=call.zero_output_for_mask,
            go_backwards=call.go_backwards,
            return_sequences=call.return_sequences,
        )
        self.cuts.append(cut)
        taken = {
            "x": sequences,
            "h": call.initial_state if given else None,
            "mask": call.mask,
        }
        for end, tensor in taken.items():
            if tensor is not None:
                self.tensors[f"{cut.name}_{end}"] = tf.identity(tensor)
        rows, steps = sequences.shape[:2]
        shape = (
            [rows, steps, layer.units] if call.return_sequences else [rows, layer.units]
        )
        return Result(
            self._result(f"{cut.name}_y", shape, sequences),
            self._result(f"{cut.name}_s", [rows, layer.units], sequences),
        )

    def _result(self, name: str, shape: list, sequences: tf.Tensor) -> tf.Tensor:
        self.result_specs[name] = tf.TensorSpec(shape, sequences.dtype, name=name)
        if self._results:
            return self._results[name]
        sizes = tf.concat([tf.shape(sequences)[: len(shape) - 1], shape[-1:]], axis=0)
        return tf.ensure_shape(tf.zeros(sizes, sequences.dtype), shape)


def _is_zeros(tensor: tf.Tensor) -> bool:
    if tensor.op.type in ("Cast", "Identity"):
        return _is_zeros(tensor.op.inputs[0])
    if tensor.op.type == "Fill":
        tensor = tensor.op.inputs[1]
    value = tf.get_static_value(tensor)
    return value is not None and not np.any(value)
