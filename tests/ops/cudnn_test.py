"""What the cuDNN engine hands to cuDNN, read by an independent reader in NumPy.

No GPU is here: a function that knows only cuDNN's documentation stands in for the op,
and must come to the oracle's numbers.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls, oracles
from support.harness import assert_close, op_types

import tf_gru_addon
from tf_gru_addon import _compat
from tf_gru_addon.ops import cudnn

gru_cudnn = functools.partial(calls.run, cudnn.ENGINE)

B, T, F, U = 3, 5, 4, 2
MASKS = {
    "none": None,
    "right_padded": [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]],
    "left_padded": [[0, 0, 1, 1, 1], [0, 1, 1, 1, 1], [1, 1, 1, 1, 1]],
    "holes": [[1, 0, 1, 0, 1], [0, 1, 0, 1, 0], [1, 1, 0, 1, 1]],
    "wholly_masked_row": [[0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]],
    "all_masked": [[0, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
}


def read_buffer(params, F, U):
    """Cuts the buffer as NVIDIA documents it: matrices, then biases; r, z, n."""
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
    """The GRU of cuDNN's documentation, a row at a time: outputs and last state.

    Outputs beyond a row's length are 0, as cuDNN has them.
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


def cudnn(input, input_h, input_c, params, sequence_lengths, rnn_mode, time_major,
          is_training):  # fmt: skip
    """Stands in for the op, with a gradient by complex steps."""
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
    tensors = [tf.constant(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output, state = gru_cudnn(
            *tensors,
            reset_after=True,
            activation=tf.tanh,
            recurrent_activation=tf.sigmoid,
            mask=None if mask is None else tf.constant(mask),
            input_masks=[tf.constant(dropped)],
            zero_output_for_mask=zero_output_for_mask,
            go_backwards=go_backwards,
            return_sequences=return_sequences,
        )
        loss = tf.reduce_sum(tf.sin(output)) + tf.reduce_sum(state**2)
    actual = [output, state, *tape.gradient(loss, tensors)]

    def oracle(*arrays):
        outputs, last, state = oracles.gru(
            *arrays,
            reset_after=True,
            mask=mask,
            input_masks=[dropped],
            zero_output_for_mask=zero_output_for_mask,
            go_backwards=go_backwards,
        )
        return (outputs if return_sequences else last), state

    def oracle_loss(*arrays):
        output, state = oracle(*arrays)
        return np.sin(output).sum() + (state**2).sum()

    expected = [*oracle(*arrays), *oracles.gradients(oracle_loss, arrays)]
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert_close(a, e, "float64", f"result {i}")


def test_the_op_takes_what_it_is_given():
    """It is traced as it is, with its gradient, for other sizes than those known."""
    shapes = [(None, None, F), (None, U), (F, 3 * U), (U, 3 * U), (2, 3 * U)]
    specs = [tf.TensorSpec(shape) for shape in shapes]

    @tf.function(input_signature=[*specs, tf.TensorSpec((None, None), tf.bool)])
    def f(x, h0, kernel, recurrent_kernel, bias, mask):
        tensors = [x, h0, kernel, recurrent_kernel, bias]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            output, state = gru_cudnn(
                *tensors,
                reset_after=True,
                activation=tf.tanh,
                recurrent_activation=tf.sigmoid,
                mask=mask,
            )
        return output, state, tape.gradient([output, state], tensors)

    function = f.get_concrete_function()
    assert {"CudnnRNNV3", "CudnnRNNBackpropV3"} <= op_types(function)
    output, state, gradients = function.structured_outputs
    assert output.shape.as_list()[2] == U
    assert state.shape.as_list()[1] == U
    assert [g.shape.rank for g in gradients] == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize("name", MASKS)
def test_a_layer_trains_on_it_with_any_mask(monkeypatch, ran, name, dtype):
    """In both directions, beside the portable engine."""
    monkeypatch.setattr(tf.raw_ops, "CudnnRNNV3", cudnn)
    monkeypatch.setattr(_compat, "on_cpu", lambda: False)
    layer = keras.layers.Bidirectional(
        tf_gru_addon.GRU(U, return_sequences=True, dtype=dtype), dtype=dtype
    )
    x = np.random.default_rng(1).normal(size=(B, T, F))
    mask = None if MASKS[name] is None else np.array(MASKS[name], bool)
    results = []
    for engine in ("auto", "portable"):
        with tf_gru_addon.use_engine(engine), tf.GradientTape() as tape:
            output = layer(x, mask=mask, training=True)
            loss = tf.reduce_sum(tf.cast(output, "float64") ** 2)
        results.append([output, *tape.gradient(loss, layer.trainable_weights)])
    assert ran == ["cudnn"] * 2 + ["portable"] * 2
    tolerance = dtype.removeprefix("mixed_")
    for a, e in zip(*results, strict=True):
        assert_close(a, e, tolerance)
