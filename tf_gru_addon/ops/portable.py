"""The portable engine: standard TensorFlow ops, with a gradient of its own.

The input products of all timesteps are computed before the loop, one large product per
gate; only the recurrent part is in the loop. The gradient is one loop backward over
time, which gives the gradients of the gates. A few large products then give those of
the weights, where TensorFlow's own gradient would add a small product per timestep.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_gru_addon.ops import gru_step as step
from tf_gru_addon.ops.call import Call, Engine, Result
from tf_gru_addon.ops.gru_step import Gates, Recurrence

Recur = Callable[..., tuple[tf.Tensor | None, tf.Tensor]]
_Body = Callable[[list[tf.Tensor], tf.Tensor], tuple[list[tf.Tensor], tf.Tensor]]


def run(call: Call, recur: Recur | None = None) -> Result:
    """Runs a call.

    Args:
        call: The call.
        recur: The recurrent part, for a runtime that needs its own. It takes the
            projected inputs (three of [T, B, U]), the initial state [B, U], the
            `Recurrence`, the mask [T, B, 1] or None, and `return_sequences`. It returns
            all states [T, B, U] or None, and the last state [B, U].
    """
    inputs, mask = call.inputs, call.mask
    x = _time_major(inputs, call.go_backwards)  # [T, B, F]
    if mask is not None:
        mask = tf.expand_dims(_time_major(mask, call.go_backwards), -1)  # [T, B, 1]
        # Padding, which may be NaN, must not reach the gradient of a weight.
        x = tf.where(mask, x, tf.zeros_like(x))

    biases, recurrent_bias = step.split_bias(call.bias, call.reset_after)
    projected = step.project_inputs(
        x, call.kernel, biases, call.input_masks
    )  # 3 * [T, B, U]
    recurrence = Recurrence(
        kernels=tuple(tf.split(call.recurrent_kernel, 3, axis=1)),
        bias=recurrent_bias,
        masks=call.recurrent_masks,
        reset_after=call.reset_after,
        activation=call.activation,
        recurrent_activation=call.recurrent_activation,
    )
    if recur is None:
        unroll = call.unroll or inputs.shape[1] == 1  # one timestep needs no loop
        recur = functools.partial(_recur, unroll=unroll, keep_gates=call.training)
    h0 = call.initial_state
    states, state = recur(projected, h0, recurrence, mask, call.return_sequences)
    state = _with_shape(state, [inputs.shape[0], h0.shape[1]])
    has_output = _has_output(mask, inputs, call.zero_output_for_mask)
    if call.return_sequences:
        if mask is not None:
            states = tf.where(has_output, states, tf.zeros_like(states))
        outputs = tf.transpose(states, [1, 0, 2])
        return Result(_with_shape(outputs, [*inputs.shape[:2], h0.shape[1]]), state)
    if has_output is None:
        return Result(state, state)
    # A sequence of no timesteps has no output.
    at_last = tf.reduce_any(has_output[-1:], axis=0)
    return Result(tf.where(at_last, state, tf.zeros_like(state)), state)


#: The engine that can run every call.
ENGINE = Engine("portable", run)


def _with_shape(x: tf.Tensor, shape: list[int | None]) -> tf.Tensor:
    """Sets the static shape, which a loop loses and later layers read."""
    if not tf.executing_eagerly():
        x.set_shape(shape)
    return x


def _time_major(x: tf.Tensor, reverse: bool) -> tf.Tensor:
    """Swaps the first two axes, and reverses the timesteps if asked."""
    x = tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
    return tf.reverse(x, [0]) if reverse else x


def _has_output(
    mask: tf.Tensor | None, inputs: tf.Tensor, zero_output_for_mask: bool
) -> tf.Tensor | None:
    """Returns where the output is the state instead of 0, [T, B, 1]; None: everywhere.

    Without `zero_output_for_mask` that is from the first unmasked timestep on: a masked
    timestep repeats the previous output, which equals the state carried on.
    """
    if mask is not None:
        if zero_output_for_mask:
            return mask
        return tf.cumsum(tf.cast(mask, tf.int32)) > 0
    if inputs.shape[1] is None:
        return (tf.shape(inputs)[1] > 0)[tf.newaxis]
    return None


def _scan(
    body: _Body,
    sequences: list[tf.Tensor],
    state: tf.Tensor,
    outputs: int,
    *,
    backwards: bool = False,
    unroll: bool = False,
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Carries `state` through `body` along the first axis of `sequences`.

    Args:
        body: Takes a timestep's inputs and the state; gives the timestep's outputs,
            each of the state's shape, and the state.
        sequences: The inputs, each [T, ...].
        state: The state before the first timestep, [B, U].
        outputs: How many outputs the body gives.
        backwards: Start at the last timestep. The outputs keep the inputs' order.
        unroll: Repeat the body in place of a loop; T must be static.

    Returns:
        The outputs, each [T, B, U], and the last state.
    """
    if unroll:
        rows = list(zip(*(tf.unstack(sequence) for sequence in sequences), strict=True))
        results = []
        for row in reversed(rows) if backwards else rows:
            result, state = body(list(row), state)
            results.append(result)
        results = results[::-1] if backwards else results
        return [tf.stack(column) for column in zip(*results, strict=True)], state

    # A known number stays a Python integer: tf2onnx cannot convert a loop whose
    # condition and `maximum_iterations` share a tensor.
    timesteps = sequences[0].shape[0]
    if timesteps is None:
        timesteps = tf.shape(sequences[0])[0]
    reads = [
        tf.TensorArray(s.dtype, timesteps, element_shape=s.shape[1:]).unstack(s)
        for s in sequences
    ]
    writes = [
        tf.TensorArray(state.dtype, timesteps, element_shape=state.shape)
        for _ in range(outputs)
    ]

    def loop_body(t: Any, state: Any, writes: Any) -> Any:
        i = timesteps - 1 - t if backwards else t
        result, state = body([array.read(i) for array in reads], state)
        writes = [a.write(i, value) for a, value in zip(writes, result, strict=True)]
        return t + 1, state, writes

    _, state, writes = tf.while_loop(
        lambda t, *_: t < timesteps,
        loop_body,
        (tf.constant(0), state, writes),
        # XLA needs the bound to differentiate the loop again.
        maximum_iterations=timesteps,
    )
    return [_stack(array, state) for array in writes], state


def _stack(array: tf.TensorArray, element: tf.Tensor) -> tf.Tensor:
    if tf.executing_eagerly():
        return array.stack()
    # `array.stack()` fails for 0 timesteps if the batch size is unknown.
    stacked = tf.raw_ops.TensorListStack(
        input_handle=array.flow,
        element_shape=tf.shape(element),
        element_dtype=element.dtype,
    )
    return tf.ensure_shape(stacked, [None, *element.shape])


def _forward(
    x: list[tf.Tensor],
    h0: tf.Tensor,
    p: Recurrence,
    mask: tf.Tensor | None,
    unroll: bool,
    keep_gates: bool,
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns a list of the states and, if kept, the gates; and the last state."""

    def body(row: list[tf.Tensor], h: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        new, gates = step.gru_step(row[:3], h, p)
        if mask is not None:
            new = tf.where(row[3], new, h)
        return [new, *(gates if keep_gates else ())], new

    sequences = x if mask is None else [*x, mask]
    return _scan(body, sequences, h0, 5 if keep_gates else 1, unroll=unroll)


def _backward(
    d_states: tf.Tensor | None,
    d_state: tf.Tensor,
    h: tf.Tensor,
    gates: Gates,
    p: Recurrence,
    mask: tf.Tensor | None,
    unroll: bool,
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of the projected inputs, and of the initial state.

    Args:
        d_states: Gradient of the states, [T, B, U]; None if only the last was used.
        d_state: Gradient of the last state, [B, U].
        h: The state before each timestep, [T, B, U].
        gates: The gates of all timesteps, each [T, B, U].
        p: The recurrence.
        mask: None, or booleans [T, B, 1].
        unroll: Whether to build the timesteps one after the other instead of a loop.
    """
    transposed = p._replace(kernels=tuple(tf.transpose(u) for u in p.kernels))

    def body(row: list[tf.Tensor], dh: tf.Tensor) -> Any:
        h, *gates = row[:5]
        rest = row[5:]
        if d_states is not None:
            dh += rest.pop(0)
        if mask is None:
            return step.gru_step_gradient(dh, h, Gates(*gates), transposed)
        zero = tf.zeros_like(dh)
        active, carried = tf.where(rest[0], dh, zero), tf.where(rest[0], zero, dh)
        d_x, dh = step.gru_step_gradient(active, h, Gates(*gates), transposed)
        return d_x, dh + carried

    optional = [sequence for sequence in (d_states, mask) if sequence is not None]
    sequences = [h, *gates, *optional]
    return _scan(body, sequences, d_state, 3, backwards=True, unroll=unroll)


def _recur(
    x: list[tf.Tensor],
    h0: tf.Tensor,
    p: Recurrence,
    mask: tf.Tensor | None,
    return_sequences: bool,
    unroll: bool,
    keep_gates: bool,
) -> tuple[tf.Tensor | None, tf.Tensor]:
    """The recurrent part of a sequence, with its gradient.

    Args:
        x: The projected inputs of z, r, h, each [T, B, U].
        h0: The state before the first timestep, [B, U].
        p: The recurrence.
        mask: None, or booleans [T, B, 1].
        return_sequences: Whether to return all states.
        unroll: Whether to build the timesteps one after the other instead of a loop.
        keep_gates: Whether to keep the gates for the gradient.

    Returns:
        The states [T, B, U], or None; and the last state [B, U].
    """
    if not (step.derivative(p.activation) and step.derivative(p.recurrent_activation)):
        # The derivative is not known: TensorFlow differentiates the loop.
        (states,), state = _forward(x, h0, p, mask, unroll, keep_gates=False)
        return states if return_sequences else None, state

    @tf.custom_gradient
    def recur(
        x_z: Any, x_r: Any, x_h: Any, h0: Any, U_z: Any, U_r: Any, U_h: Any, bias: Any
    ) -> Any:
        x = [x_z, x_r, x_h]
        q = p._replace(kernels=(U_z, U_r, U_h), bias=None if p.bias is None else bias)
        (states, *gates), state = _forward(x, h0, q, mask, unroll, keep_gates)

        def gradient(*upstream: Any) -> Any:
            d_states = upstream[0] if return_sequences else None
            h = tf.concat([h0[tf.newaxis], states], axis=0)[:-1]
            kept = Gates(*gates) if keep_gates else step.gru_gates(x, h, q)
            d_x, d_h0 = _backward(d_states, upstream[-1], h, kept, q, mask, unroll)
            d_kernels, d_bias = _weight_gradients(d_x, h, kept, q)
            if d_bias is None:
                d_bias = tf.zeros_like(bias)
            return *d_x, d_h0, *d_kernels, d_bias

        return ((states, state) if return_sequences else (state,)), gradient

    # A custom gradient takes only tensors, so an empty one stands for no bias.
    bias = tf.zeros([0], h0.dtype) if p.bias is None else p.bias
    results = recur(*x, h0, *p.kernels, bias)
    return (results[0] if return_sequences else None), results[-1]


def _weight_gradients(
    d_x: list[tf.Tensor], h: tf.Tensor, gates: Gates, p: Recurrence
) -> tuple[list[tf.Tensor], tf.Tensor | None]:
    """Returns the gradients of the three recurrent kernels and of the bias."""
    h_z, h_r, h_h = step.masked(h, p.masks)
    d_z, d_r, d_h = d_x
    if p.reset_after:
        d_h = d_h * gates.reset
    else:
        h_h = gates.product

    def product(operand: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
        units = operand.shape[-1]
        return tf.matmul(
            tf.reshape(operand, [-1, units]),
            tf.reshape(gradient, [-1, units]),
            transpose_a=True,
        )

    d_kernels = [product(h_z, d_z), product(h_r, d_r), product(h_h, d_h)]
    return d_kernels, None if p.bias is None else tf.reduce_sum(d_h, axis=[0, 1])
