r"""The equations of the GRU, one timestep, forward and backward.

Cho et al. 2014 (https://arxiv.org/abs/1406.1078) in the two conventions of Keras, with
the update gate z, the reset gate r and the candidate c, `sigma` the recurrent
activation and `phi` the activation:

    z  = sigma(x Wz + h Uz + bz)
    r  = sigma(x Wr + h Ur + br)
    c  = phi(x Wh + (r * h) Uh + bh)                          reset_after=False
    c  = phi(x Wh + bh_input + r * (h Uh + bh_recurrent))     reset_after=True
    h' = z * h + (1 - z) * c

A recurrent dropout mask multiplies `h` only as the operand of a product, never the
state that is carried on. The three gates have separate tensors, in the order z, r, c:
slicing one tensor along its last axis would cost a copy per timestep.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_gru_addon import activations
from tf_gru_addon.activations import Activation

#: Dropout masks: none, one that the gates share, or one for each of z, r, h.
Masks = list[tf.Tensor] | None


class Recurrence(NamedTuple):
    """The part of a GRU that acts on the state.

    Attributes:
        kernels: The three recurrent kernels, each (U, U).
        bias: The candidate's recurrent bias (U,), or None. Only with `reset_after`;
            every other bias is in the projected inputs.
        masks: Recurrent dropout masks, each (B, U).
        reset_after: Where the reset gate is applied.
        activation: The candidate's activation.
        recurrent_activation: The activation of the gates.
    """

    kernels: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    bias: tf.Tensor | None
    masks: Masks
    reset_after: bool
    activation: Activation
    recurrent_activation: Activation


class Gates(NamedTuple):
    """The intermediate values of a timestep that its gradient needs, each [..., B, U].

    Attributes:
        update: z.
        reset: r.
        candidate: c.
        product: With `reset_after`, h Uh + bh_recurrent; else r * h, with h masked.
    """

    update: tf.Tensor
    reset: tf.Tensor
    candidate: tf.Tensor
    product: tf.Tensor


def affine(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Returns x [..., N] times kernel [N, M] plus bias [M], as one matrix product."""
    y = tf.matmul(x if x.shape.rank == 2 else tf.reshape(x, [-1, x.shape[-1]]), kernel)
    if bias is not None:
        y = tf.nn.bias_add(y, bias)
    if x.shape.rank == 2:
        return y
    leading = [
        static if static is not None else dynamic
        for static, dynamic in zip(
            x.shape[:-1], tf.unstack(tf.shape(x)[:-1]), strict=True
        )
    ]
    return tf.reshape(y, [*leading, kernel.shape[-1]])


def split_bias(
    bias: tf.Tensor | None, reset_after: bool
) -> tuple[list[tf.Tensor | None], tf.Tensor | None]:
    """Returns the three biases of the projected inputs, and the candidate's recurrent.

    The recurrent biases of z and r are added to their input biases, because only the
    sum matters.

    Args:
        bias: None, or (3*U,), or with `reset_after` (2, 3*U).
        reset_after: The convention.

    Returns:
        A list of three biases, each (U,) or None; and a bias (U,), or None.
    """
    if bias is None:
        return [None, None, None], None
    if not reset_after:
        return tf.split(bias, 3), None
    (z, r, h), (recurrent_z, recurrent_r, recurrent_h) = (
        tf.split(row, 3) for row in tf.unstack(bias)
    )
    return [z + recurrent_z, r + recurrent_r, h], recurrent_h


def project_inputs(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    biases: list[tf.Tensor | None],
    masks: Masks = None,
) -> list[tf.Tensor]:
    """Returns x Wg + bg for the gates z, r, h.

    Args:
        inputs: x, shape [..., B, F].
        kernel: W, shape [F, 3*U].
        biases: The three biases, each [U] or None.
        masks: Dropout masks, each [B, F].
    """
    return [
        affine(x, w, b)
        for x, w, b in zip(
            masked(inputs, masks), tf.split(kernel, 3, axis=1), biases, strict=True
        )
    ]


def _times(x: tf.Tensor, mask: tf.Tensor | None) -> tf.Tensor:
    return x if mask is None else x * mask


def masked(x: tf.Tensor, masks: Masks) -> list[tf.Tensor]:
    """Returns the operand of each gate's product: `x` times the gate's mask."""
    operands = [_times(x, mask) for mask in masks or [None]]
    return operands if len(operands) == 3 else operands * 3


def gru_gates(x: list[tf.Tensor], h: tf.Tensor, p: Recurrence) -> Gates:
    """Returns the gates of a timestep, or of many at once.

    Args:
        x: The projected inputs of z, r, h, each [..., B, U].
        h: The state before the timestep, [..., B, U].
        p: The recurrence.
    """
    x_z, x_r, x_h = x
    h_z, h_r, h_h = masked(h, p.masks)
    U_z, U_r, U_h = p.kernels
    r = p.recurrent_activation(x_r + affine(h_r, U_r))
    if p.reset_after:
        product = affine(h_h, U_h, p.bias)
        c = p.activation(x_h + r * product)
        after = product
    else:
        product = r * h_h
        after = affine(product, U_h)
        c = p.activation(x_h + after)
    # Only the new state needs z. Its product starts after c's, so that the products do
    # not compete for the same threads.
    with tf.control_dependencies([after]):
        z = p.recurrent_activation(x_z + affine(h_z, U_z))
    return Gates(z, r, c, product)


def gru_step(
    x: list[tf.Tensor], h: tf.Tensor, p: Recurrence
) -> tuple[tf.Tensor, Gates]:
    """Returns the state after a timestep [B, U], and its gates.

    Args:
        x: The projected inputs of z, r, h, each [B, U].
        h: The state before the timestep, [B, U].
        p: The recurrence.
    """
    gates = gru_gates(x, h, p)
    z, c = gates.update, gates.candidate
    return z * h + (1 - z) * c, gates


def gru_step_gradient(
    dh: tf.Tensor, h: tf.Tensor, gates: Gates, p: Recurrence
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Returns the gradients of a timestep.

    Args:
        dh: Gradient of the state after the timestep, [B, U].
        h: The state before it, [B, U].
        gates: The gates that `gru_gates` returned.
        p: The recurrence, with each kernel transposed.

    Returns:
        The gradients of the projected inputs of z, r, h, and of the state before the
        timestep.
    """
    z, r, c, product = gates
    U_z, U_r, U_h = p.kernels
    masks = p.masks or [None]
    mask_z, mask_r, mask_h = masks if len(masks) == 3 else masks * 3
    d_sigma = _DERIVATIVES[p.recurrent_activation]
    d_phi = _DERIVATIVES[p.activation]
    d_z = dh * (h - c) * d_sigma(z)
    d_c = dh * (1 - z) * d_phi(c)
    if p.reset_after:
        d_r = d_c * product * d_sigma(r)
        d_h = _times(tf.matmul(d_c * r, U_h), mask_h)
    else:
        d_product = tf.matmul(d_c, U_h)
        d_r = d_product * _times(h, mask_h) * d_sigma(r)
        d_h = _times(d_product * r, mask_h)
    d_h += _times(tf.matmul(d_z, U_z), mask_z)
    d_h += _times(tf.matmul(d_r, U_r), mask_r)
    return [d_z, d_r, d_c], dh * z + d_h


def _sigmoid(y: tf.Tensor) -> tf.Tensor:
    return y * (1 - y)


def _tanh(y: tf.Tensor) -> tf.Tensor:
    return 1 - y * y


def _relu(y: tf.Tensor) -> tf.Tensor:
    return tf.cast(y > 0, y.dtype)


def _hard(slope: float) -> Callable[[tf.Tensor], tf.Tensor]:
    def of_output(y: tf.Tensor) -> tf.Tensor:
        return slope * tf.cast((y > 0) & (y < 1), y.dtype)

    return of_output


#: The derivative of an activation as a function of its output.
_DERIVATIVES: dict[Activation, Callable[[tf.Tensor], tf.Tensor]] = {
    keras.activations.sigmoid: _sigmoid,
    tf.sigmoid: _sigmoid,
    keras.activations.tanh: _tanh,
    tf.tanh: _tanh,
    keras.activations.relu: _relu,
    tf.nn.relu: _relu,
    keras.activations.linear: tf.ones_like,
    activations.hard_sigmoid: _hard(0.2),
    keras.activations.hard_sigmoid: _hard(1 / 6),
}


def derivative(
    activation: Activation,
) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """Returns an activation's derivative as a function of its output, if known."""
    return _DERIVATIVES.get(activation)
