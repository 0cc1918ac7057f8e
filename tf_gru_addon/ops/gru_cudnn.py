"""A sequence through cuDNN, on GPUs.

cuDNN takes sequences that begin at their first timestep and are at least one long. A
mask says at run time which timesteps count: those of a row are gathered to its front,
and the outputs are gathered back.
"""

import tensorflow as tf

from tf_gru_addon.activations import Activation
from tf_gru_addon.ops.gru_step import Masks


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


def gru_cudnn(
    inputs: tf.Tensor,
    initial_state: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    *,
    reset_after: bool,
    activation: Activation,
    recurrent_activation: Activation,
    mask: tf.Tensor | None = None,
    input_masks: Masks = None,
    recurrent_masks: Masks = None,
    zero_output_for_mask: bool = False,
    go_backwards: bool = False,
    return_sequences: bool = True,
    unroll: bool = False,
    training: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Runs a GRU over a sequence; arguments and results as of `gru_portable`.

    `engines` says what of them cuDNN can do: `reset_after` with a bias, tanh and
    sigmoid, no recurrent mask, and one input mask.
    """
    del reset_after, activation, recurrent_activation, recurrent_masks, unroll, training
    x = inputs if input_masks is None else inputs * input_masks[0][:, tf.newaxis]
    timesteps = tf.shape(x)[1]
    if go_backwards:
        x = tf.reverse(x, [1])
        mask = None if mask is None else tf.reverse(mask, [1])
    if mask is None:
        lengths = tf.repeat(timesteps, tf.shape(x)[0])
    else:
        x = tf.where(mask[..., tf.newaxis], x, tf.zeros_like(x))
        # A stable sort of "is masked" moves the unmasked timesteps to the front.
        front = tf.argsort(tf.cast(~mask, tf.int32), axis=1, stable=True)  # [B, T]
        x = tf.gather(x, front, batch_dims=1)
        lengths = tf.maximum(1, tf.reduce_sum(tf.cast(mask, tf.int32), axis=1))

    outputs, state, _, _, _ = tf.raw_ops.CudnnRNNV3(
        input=x,
        input_h=initial_state[:, tf.newaxis],
        input_c=tf.zeros([], x.dtype),
        params=cudnn_parameters(kernel, recurrent_kernel, bias),
        sequence_lengths=lengths,
        rnn_mode="gru",
        time_major=False,
        # What a gradient needs is kept in training mode alone.
        is_training=True,
    )
    state = state[:, 0]
    if mask is not None:
        seen = tf.cumsum(tf.cast(mask, tf.int32), axis=1)  # [B, T]
        back = tf.maximum(0, seen - 1)
        outputs = tf.gather(outputs, back, batch_dims=1)
        has_output = mask if zero_output_for_mask else seen > 0
        outputs = tf.where(has_output[..., tf.newaxis], outputs, 0)
        state = tf.where(seen[:, -1:] > 0, state, initial_state)
    return (outputs if return_sequences else outputs[:, -1]), state
