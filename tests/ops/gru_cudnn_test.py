"""What the cuDNN engine hands to cuDNN, read by an independent reader in NumPy.

No GPU is here: a function that knows only cuDNN's documentation stands in for the op,
and must come to the oracle's numbers.
"""

import numpy as np
import oracles
import pytest
import tensorflow as tf
from harness import assert_close

from tf_gru_addon.ops.gru_cudnn import gru_cudnn

B, T, F, U = 3, 5, 4, 2
MASKS = {
    "none": None,
    "right_padded": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "left_padded": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 1, 1]],
    "wholly_masked_row": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]],
}


def read_buffer(params, F, U):
    """Cuts the buffer as NVIDIA documents it: matrices, then biases; r, z, n."""
    params = list(params)

    def take(*shape):
        count = int(np.prod(shape))
        array = np.array(params[:count]).reshape(shape)
        del params[:count]
        return array

    W = {gate: take(U, F) for gate in "rzn"}
    R = {gate: take(U, U) for gate in "rzn"}
    bW = {gate: take(U) for gate in "rzn"}
    bR = {gate: take(U) for gate in "rzn"}
    assert not params, "the buffer is longer than the documentation says"
    return W, R, bW, bR


def cudnn(input, input_h, input_c, params, sequence_lengths, rnn_mode, time_major,
          is_training):  # fmt: skip
    """The GRU of cuDNN's documentation, a row at a time."""
    assert (rnn_mode, time_major) == ("gru", False)
    x, h0, lengths = input.numpy(), input_h.numpy(), sequence_lengths.numpy()
    assert lengths.min() >= 1, "cuDNN fails on an empty sequence"
    B, T, F = x.shape
    U = h0.shape[2]
    W, R, bW, bR = read_buffer(params.numpy(), F, U)
    outputs, last = np.zeros((B, T, U)), np.zeros((B, 1, U))

    def sigmoid(a):
        return 1 / (1 + np.exp(-a))

    for b in range(B):
        h = h0[b, 0]
        for t in range(lengths[b]):
            r = sigmoid(W["r"] @ x[b, t] + bW["r"] + R["r"] @ h + bR["r"])
            i = sigmoid(W["z"] @ x[b, t] + bW["z"] + R["z"] @ h + bR["z"])
            n = np.tanh(W["n"] @ x[b, t] + bW["n"] + r * (R["n"] @ h + bR["n"]))
            h = (1 - i) * n + i * h
            outputs[b, t] = h
        last[b, 0] = h
    return tf.constant(outputs), tf.constant(last), None, None, None


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("zero_output_for_mask", [True, False])
@pytest.mark.parametrize("go_backwards", [True, False])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_against_the_documented_layout(
    monkeypatch, name, zero_output_for_mask, go_backwards, return_sequences
):
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn)
    rng = np.random.default_rng(0)
    shapes = [(B, T, F), (B, U), (F, 3 * U), (U, 3 * U), (2, 3 * U)]
    arrays = [rng.normal(size=shape) for shape in shapes]
    dropped = 2.0 * rng.integers(0, 2, (B, F))
    mask = None if MASKS[name] is None else np.array(MASKS[name], bool)
    if mask is not None:
        arrays[0][~mask] = np.nan
    output, state = gru_cudnn(
        *(tf.constant(array) for array in arrays),
        reset_after=True,
        activation=tf.tanh,
        recurrent_activation=tf.sigmoid,
        mask=None if mask is None else tf.constant(mask),
        input_masks=[tf.constant(dropped)],
        zero_output_for_mask=zero_output_for_mask,
        go_backwards=go_backwards,
        return_sequences=return_sequences,
    )
    outputs, last, last_state = oracles.gru(
        *arrays,
        reset_after=True,
        mask=mask,
        input_masks=[dropped],
        zero_output_for_mask=zero_output_for_mask,
        go_backwards=go_backwards,
    )
    assert_close(output, outputs if return_sequences else last, "float64")
    assert_close(state, last_state, "float64")
