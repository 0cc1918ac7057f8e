"""The cuDNN engine: the op's inputs in a graph, and training with it.

`every_engine_test.py` tests its numbers.
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import calls
from support.cudnn import pretend_gpu
from support.harness import assert_close, op_types

import tf_gru_addon
from tf_gru_addon.ops.cudnn import ENGINE

B, T, F, U = 2, 3, 4, 2


def test_the_op_accepts_its_inputs():
    """The real op and its gradient are traced with unknown sizes."""
    call = calls.make_call(*calls.numbers(shape=(B, T, F, U)), "float32")
    shapes = [(None, None, F), (None, U)]
    specs = [tf.TensorSpec(shape) for shape in shapes]

    @tf.function(input_signature=[*specs, tf.TensorSpec((None, None), tf.bool)])
    def f(x, h0, mask):
        moved = dataclasses.replace(call, inputs=x, initial_state=h0, mask=mask)
        output, state, *gradients = calls.results(ENGINE, moved)
        return output, state, gradients

    function = f.get_concrete_function()
    assert {"CudnnRNNV3", "CudnnRNNBackpropV3"} <= op_types(function)
    output, state, gradients = function.structured_outputs
    assert output.shape.as_list()[2] == U
    assert state.shape.as_list()[1] == U
    assert [g.shape.rank for g in gradients] == [3, 2, 2, 2, 2]


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
@pytest.mark.parametrize("name", ["holes", "wholly_masked_row"])
def test_a_layer_trains_on_it(monkeypatch, ran, name, dtype):
    """Trains in both directions, and compares with the portable engine."""
    pretend_gpu(monkeypatch, with_op=True)
    layer = keras.layers.Bidirectional(
        tf_gru_addon.GRU(U, return_sequences=True, dtype=dtype), dtype=dtype
    )
    x = np.random.default_rng(1).normal(size=(B, T, F))
    mask = np.array(calls.MASKS[name], bool)
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
