"""What a sequence computation is, and what an engine is that runs one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from tf_gru_addon import _compat
from tf_gru_addon.activations import Activation
from tf_gru_addon.ops.gru_step import Masks


@dataclass(frozen=True, kw_only=True)
class Call:
    """One GRU over one batch of sequences: its tensors and its options.

    All floating-point tensors have the dtype of `inputs`. The gates are in the order
    z, r, h. Where a call is only described and not run, `tf.TensorSpec` objects of
    unknown shape can stand in for the tensors: see `Engine.why_not`.

    Attributes:
        inputs: x, (batch, timesteps, features), floating point.
        initial_state: The state before the first timestep, (batch, units).
        kernel: W, (features, 3 * units).
        recurrent_kernel: U, (units, 3 * units).
        bias: None, or (3 * units,), or with `reset_after` (2, 3 * units): the input
            biases and the recurrent biases.
        reset_after: Whether the reset gate is applied after the recurrent product of
            the candidate (True) or before it (False).
        activation: The activation of the candidate.
        recurrent_activation: The activation of z and r.
        mask: None, or booleans (batch, timesteps). Where False, the state is carried
            on and the input is ignored.
        input_masks: None, or one or three dropout masks of the inputs, each (batch,
            features).
        recurrent_masks: None, or one or three dropout masks of the state, each (batch,
            units).
        zero_output_for_mask: Whether the output of a masked timestep is 0 instead of
            the previous output.
        go_backwards: Whether to start at the last timestep. The outputs are in the
            order of computation.
        return_sequences: Whether to return the outputs of all timesteps.
        unroll: Whether to build the timesteps one after the other instead of a loop;
            for engines that have a loop in the graph.
        training: Whether to keep what the gradient needs. If False, a gradient is
            still possible, and repeats part of the forward pass.
        use_cudnn: True, False or "auto": whether cuDNN is demanded, ruled out, or
            neither.
        layer: The layer that makes the call, if any. Only an engine that records calls
            reads it.
        resumes: Whether `initial_state` is what a stateful layer kept from its previous
            batch. Only an engine that records calls reads it.
    """

    inputs: tf.Tensor
    initial_state: tf.Tensor
    kernel: tf.Tensor
    recurrent_kernel: tf.Tensor
    bias: tf.Tensor | None
    reset_after: bool
    activation: Activation
    recurrent_activation: Activation
    mask: tf.Tensor | None = None
    input_masks: Masks = None
    recurrent_masks: Masks = None
    zero_output_for_mask: bool = False
    go_backwards: bool = False
    return_sequences: bool = True
    unroll: bool = False
    training: bool = False
    use_cudnn: bool | str = "auto"
    layer: Any = None
    resumes: bool = False


class Result(NamedTuple):
    """What a call gives.

    Attributes:
        outputs: (batch, timesteps, units), or without `return_sequences` the output of
            the last timestep, (batch, units).
        state: The last state, (batch, units).
    """

    outputs: tf.Tensor
    state: tf.Tensor


def _nothing(call: Call) -> list[str]:
    del call
    return []


@dataclass(frozen=True)
class Engine:
    """One way of running a call.

    Attributes:
        name: The name that users select the engine by.
        run: Runs a call.
        why_not: Returns the reasons why the engine cannot run a call made here and now;
            empty if it can. It reads the options, the dtype of `inputs`, and which
            tensors there are and how many, but no shape and no value.
        stores_state: Whether a stateful layer stores the state that `run` returns.
    """

    name: str
    run: Callable[[Call], Result]
    why_not: Callable[[Call], list[str]] = _nothing
    stores_state: bool = True


def why_not_custom_ops() -> list[str]:
    """Returns the reasons against ops other than TensorFlow's portable ones, here."""
    why = []
    if _compat.in_xla():
        why.append("XLA (jit_compile=True) compiles the call")
    if _compat.in_export():
        why.append("the call is traced for export")
    return why
