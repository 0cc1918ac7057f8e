"""A model's graph without its GRUs, for a target that has its own GRU op.

A converter would see a GRU as a loop of many ops. So each call of a `GRU` is removed
from the traced function first: the call's inputs become outputs of the function, and
its results become inputs. After the conversion, the target's own node connects them.
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
    """A call of a `GRU` that was removed from a function.

    Attributes:
        name: The prefix of the names of its tensors. The function has the outputs
            NAME_x (the sequences) and, if the call has them, NAME_h (the initial state)
            and NAME_mask. It has the inputs NAME_y (the call's output) and NAME_s (its
            last state).
        layer: The layer.
        masked: Whether the call has a mask.
        initial_state: "zeros", "given" (NAME_h), or "kept" (the layer is stateful and
            starts from its own state).
        zero_output_for_mask: The layer's option.
        go_backwards: The layer's option.
        return_sequences: The layer's option.
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
        inputs: The function's names of the model's inputs.
        outputs: The function's names of the model's outputs.

    Returns:
        A `tf.function`, its input signature and the cuts. The function takes the inputs
        of the model and of the cuts, and returns a dict of the outputs of the model and
        of the cuts.

    Raises:
        ExportError: A GRU is called where it cannot be removed.
    """
    specs = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name=name)
        for name, tensor in zip(inputs, model.inputs, strict=True)
    ]
    recorder = _Recorder()
    engine = Engine("recorder", recorder.run, stores_state=False)

    # Traced twice: the first trace finds the inputs that the second one needs.
    @tf.function(autograph=False)
    def run(
        arguments: list[tf.Tensor], results: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
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
    except Exception as error:  # Keras wraps errors that a layer raises
        reason = recorder.refusal or f"{model.name} cannot be traced: {error}"
        raise ExportError(reason) from error
    return run, signature, recorder.cuts


class _Recorder:
    """An engine that records the calls.

    Attributes:
        cuts: The calls.
        tensors: The inputs of the calls, by name.
        result_specs: The results of the calls, by name.
        refusal: Why a call cannot be removed, if one cannot.
    """

    refusal = ""

    def begin(self, results: dict[str, tf.Tensor]) -> None:
        """Begins a trace, in which the calls return `results`, or zeros."""
        self.cuts: list[Cut] = []
        self.tensors: dict[str, tf.Tensor] = {}
        self._results = results
        self._graph = tf.compat.v1.get_default_graph()
        self.result_specs: dict[str, tf.TensorSpec] = {}

    def run(self, call: Call) -> Result:
        """Records a call, and returns placeholders for its results."""
        layer, sequences = call.layer, call.inputs
        if tf.compat.v1.get_default_graph() is not self._graph:
            self.refusal = (
                f"{layer.name}: this GRU is called inside a loop, a branch or a "
                "tf.function of its own, where no node can replace it. Call it outside "
                "of it."
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

    def _result(
        self, name: str, shape: list[int | None], sequences: tf.Tensor
    ) -> tf.Tensor:
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
