"""A stand-in for cuDNN, written from NVIDIA's documentation."""

import numpy as np
import tensorflow as tf
from support import oracles

from tf_gru_addon import _compat


def pretend_gpu(monkeypatch, *, with_op=False):
    """Makes TensorFlow seem to see a GPU; optionally replaces the op by `gru_op`."""
    monkeypatch.setattr(_compat, "on_cpu", lambda: False)
    if with_op:
        monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", gru_op)


def read_buffer(params, F, U):
    """Splits the buffer as NVIDIA documents it: matrices, then biases; r, z, n."""
    taken = 0

    def take(*shape):
        nonlocal taken
        start, taken = taken, taken + int(np.prod(shape))
        return params[start:taken].reshape(shape)

    W = {gate: take(U, F) for gate in "rzn"}
    R = {gate: take(U, U) for gate in "rzn"}
    bW = {gate: take(U) for gate in "rzn"}
    bR = {gate: take(U) for gate in "rzn"}
    assert taken == len(params), "the buffer is longer than the documentation says"
    return W, R, bW, bR


def documented_gru(x, h0, params, lengths):
    """Runs the GRU of cuDNN's documentation row by row; returns outputs and last state.

    Outputs beyond a row's length are 0, as in cuDNN.
    """
    B, T, F = x.shape
    U = h0.shape[2]
    W, R, bW, bR = read_buffer(params, F, U)
    dtype = np.result_type(x, h0, params)
    outputs, last = np.zeros((B, T, U), dtype), np.zeros((B, 1, U), dtype)

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
    return outputs, last


def gru_op(input, input_h, input_c, params, sequence_lengths, rnn_mode, time_major,
          is_training):  # fmt: skip
    """Stands in for `tf.raw_ops.CudnnRNNV3`, with a gradient by complex steps."""
    assert (rnn_mode, time_major, is_training) == ("gru", False, True)
    assert input.dtype == input_h.dtype == input_c.dtype == params.dtype
    assert sequence_lengths.dtype == tf.int32
    lengths = sequence_lengths.numpy()
    assert lengths.min() >= 1, "cuDNN fails on an empty sequence"
    assert lengths.max() <= input.shape[1]

    @tf.custom_gradient
    def run(*tensors):
        arrays = [tensor.numpy().astype("float64") for tensor in tensors]

        def gradient(d_outputs, d_last):
            def loss(*arrays):
                outputs, last = documented_gru(*arrays, lengths)
                return (outputs * d_outputs).sum() + (last * d_last).sum()

            d_outputs, d_last = (
                d.numpy().astype("float64") for d in (d_outputs, d_last)
            )
            gradients = oracles.gradients(loss, arrays)
            return [tf.constant(g, input.dtype) for g in gradients]

        results = documented_gru(*arrays, lengths)
        return [tf.constant(result, input.dtype) for result in results], gradient

    return *run(input, input_h, params), None, None, None
