"""A sequence through cuDNN, on GPUs.

cuDNN takes sequences that begin at their first timestep and are at least one long. A
mask says at run time which timesteps count: those of a row are gathered to its front,
and the outputs are gathered back.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from tf_gru_addon import _compat
from tf_gru_addon.activations import name_of
from tf_gru_addon.ops.call import Call, Engine, Result, why_not_custom_ops


def cudnn_parameters(
    kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor
) -> tf.Tensor:
    """Returns the weights as cuDNN's one buffer for one layer and direction.

    The gates stand in the order r, z, h. All matrices come first, three of the inputs
    and three of the state, each transposed and flattened; then the biases likewise.

    Args:
        kernel: (features, 3 * units), the gates in the order z, r, h.
        recurrent_kernel: (units, 3 * units).
        bias: (2, 3 * units), the input biases and the recurrent ones.
    """

    def in_cudnn_order(array):  # [N, 3*U] -> 3 * [N, U]
        z, r, h = tf.split(array, 3, axis=-1)
        return [r, z, h]

    matrices = [*in_cudnn_order(kernel), *in_cudnn_order(recurrent_kernel)]
    biases = [part for row in tf.unstack(bias) for part in in_cudnn_order(row)]
    flat = [tf.reshape(tf.transpose(matrix), [-1]) for matrix in matrices]
    return tf.concat([*flat, *biases], axis=0)


def why_not(call: Call) -> list[str]:
    """Returns the reasons why cuDNN cannot run a call; see `Engine.why_not`."""
    why = why_not_custom_ops()
    if _compat.on_cpu():
        why.append("no GPU is visible, or the call is in a CPU device scope")
    if call.use_cudnn is False:
        why.append("use_cudnn is False")
    if call.inputs.dtype not in (tf.float16, tf.float32, tf.float64):
        why.append(f"it lacks the dtype {call.inputs.dtype.name}")
    if not call.reset_after:
        why.append("it lacks reset_after=False")
    if call.bias is None:
        why.append("it lacks use_bias=False")
    if call.activation not in (keras.activations.tanh, tf.tanh):
        why.append(f"it lacks the activation {name_of(call.activation)}")
    if call.recurrent_activation not in (keras.activations.sigmoid, tf.sigmoid):
        name = name_of(call.recurrent_activation)
        why.append(f"it lacks the recurrent_activation {name}")
    if call.recurrent_masks:
        why.append("it lacks recurrent dropout")
    if len(call.input_masks or []) > 1:
        why.append("it lacks a separate dropout mask for each gate")
    return why


def run(call: Call) -> Result:
    """Runs a call for which `why_not` gives no reason."""
    x, mask = call.inputs, call.mask
    if call.input_masks:
        x *= call.input_masks[0][:, tf.newaxis]
    if call.go_backwards:
        x = tf.reverse(x, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    if mask is None:
        lengths = tf.repeat(tf.shape(x)[1], tf.shape(x)[0])
    else:
        x = tf.where(mask[..., tf.newaxis], x, tf.zeros_like(x))
        # A stable sort of "is masked" moves the unmasked timesteps to the front.
        front = tf.argsort(tf.cast(~mask, tf.int32), axis=1, stable=True)  # [B, T]
        x = tf.gather(x, front, batch_dims=1)
        lengths = tf.maximum(1, tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))

    outputs, state, _, _, _ = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=call.initial_state[:, tf.newaxis],
        input_c=tf.zeros([], x.dtype),
        params=cudnn_parameters(call.kernel, call.recurrent_kernel, call.bias),
        sequence_lengths=lengths,
        rnn_mode="gru",
        time_major=False,
        # cuDNN keeps what a gradient needs only in training mode.
        is_training=True,
    )
    state = state[:, 0]
    if mask is not None:
        seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1)  # [B, T]
        back = tf.maximum(0, seen - 1)
        outputs = tf.gather(outputs, back, batch_dims=1)
        has_output = mask if call.zero_output_for_mask else seen > 0
        outputs = tf.where(has_output[..., tf.newaxis], outputs, 0)
        state = tf.where(seen[:, -1:] > 0, state, call.initial_state)
    return Result(outputs if call.return_sequences else outputs[:, -1], state)


#: The engine that runs on NVIDIA GPUs.
ENGINE = Engine("cudnn", run, why_not)
