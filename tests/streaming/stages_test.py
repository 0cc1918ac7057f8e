"""How a `Stream` runs each step, and the memory that it uses."""

import gc
import tracemalloc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import streams
from support.harness import assert_close

from tf_gru_addon import GRU, Stream, native
from tf_gru_addon.layers import keras2_masks
from tf_gru_addon.streaming.causal import read
from tf_gru_addon.streaming.stream import NumpyRunner

native_only = pytest.mark.skipif(
    not native.status().available, reason=native.status().reason
)

#: By case: the classes of the layers that TensorFlow runs beside the native engine.
CALLED = {
    "normalizations": ["UnitNormalization"],
    "residual": ["Multiply"],
    "images": ["TimeDistributed", "TimeDistributed"],
    "after_the_last": ["RepeatVector", "Bidirectional", "GlobalMaxPooling1D"],
    "selu": ["GRU"],
    "bfloat16": ["GRU"],
}


@native_only
@pytest.mark.parametrize("name", streams.CASES)
def test_called_lists_the_layers_that_tensorflow_runs(name):
    stream = Stream(streams.model(name))
    steps = read(streams.model(name)).steps
    kinds = {step.layer.name: type(step.layer).__name__ for step in steps}
    assert [kinds[layer] for layer in stream.called] == CALLED.get(name, [])
    assert (stream.why_called is None) == (name not in ("selu", "bfloat16"))


def test_why_tensorflow_runs_every_layer():
    assert "lacks selu" in Stream(streams.model("selu")).why_called
    assert "half computes in bfloat16" in Stream(streams.model("bfloat16")).why_called


@native_only
def test_no_tensorflow_op_runs():
    stream = Stream(streams.model("dense"), 3)
    x = streams.frames("dense")
    expected = streams.outputs("dense", x)
    with tf.Graph().as_default() as graph:  # collects the ops of every call
        y = stream.push(x)
        assert not graph.get_operations()
        tf.constant(0)
        assert graph.get_operations()
    assert_close(y, expected[0])


PIECES = ["gru", "zero_outputs", "last_of_zero_outputs", "after_the_last", "dense"]


@native_only
@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("masked", [True, False])
def test_a_long_chunk_in_pieces_gives_the_same_bits(name, masked):
    x = streams.frames(name)
    mask = np.random.default_rng(3).random(x[:, 2:].shape[:2]) < 0.4 if masked else None
    causal = read(streams.model(name))
    results = []
    for piece in (None, 4, 1):
        runner = NumpyRunner(causal, 3, piece)
        chunks = (x[:, :2], None), (x[:, 2:], mask)
        outputs = [np.copy(y) for chunk in chunks for y in runner.run(*chunk)]
        results.append([*outputs, *runner.states.values()])
    for other in results[1:]:
        for a, e in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(a, e)


@native_only
def test_buffers_do_not_grow_with_the_number_of_lengths():
    """A stream keeps buffers for at most four lengths, none for chunks in pieces."""
    model = streams.sequential(
        GRU(64, return_sequences=True),
        keras.layers.Dense(16, activation="softmax"),
        keras.layers.Dense(8),
    )
    stream = Stream(model, 2)
    assert stream.called == ()

    def held(length):
        stream.push(np.zeros((2, length, streams.FEATURES), "float32"))
        return tracemalloc.get_traced_memory()[0]

    lengths = np.random.default_rng(0).permutation(np.arange(1, 201))
    tracemalloc.start()
    try:
        sizes = [held(length) for length in [*lengths, 50_000, 50_001, 50_002, 1]]
    finally:
        tracemalloc.stop()
    a_frame = 4 * 2 * (streams.FEATURES + 64 + (64 + 16) + (16 + 16))  # bytes
    assert max(sizes) < 4 * 200 * a_frame + 2**19
    assert sizes[-1] > 2 * a_frame  # so the measurement covers the buffers


@native_only
def test_a_dropped_runner_leaves_no_array_behind():
    """It forms no reference cycle, so no garbage collection is necessary."""
    causal = read(streams.model("dense"))
    gc.collect()
    gc.disable()
    try:
        runner = NumpyRunner(causal, 1)
        runner.run(streams.frames("dense", 1), None)
        kept = [weakref.ref(each) for each in (*runner.states.values(), *runner.stages)]
        assert all(each() is not None for each in kept)
        del runner
        assert all(each() is None for each in kept)
    finally:
        gc.enable()


def test_huge_numbers_raise_no_warning():
    for name in ("dense", "residual", "normalizations"):
        x = streams.frames(name)
        x[0] = 1e30
        x[1] = -np.inf
        y = Stream(streams.model(name), 3).push(x)
        assert np.isfinite((y[0] if isinstance(y, list) else y)[2]).all()


def test_a_failure_inside_a_step_keeps_all_states():
    stream = Stream(streams.model("embedding"), 3)
    stream.push(streams.frames("embedding"))
    (before,) = stream.state.values()
    with pytest.raises(ValueError, match="must be from 0 to 6; received 7 to 7"):
        stream.push(np.full((3, 1), 7, "int32"))
    with pytest.raises(ValueError, match="received -1 to -1"):
        stream.push(np.full((3, 1), -1, "int32"))
    (after,) = stream.state.values()
    assert_close(after, before)


@pytest.mark.parametrize("kind", ["Concatenate", "Add", "Average"])
def test_merging_layers_of_models_from_keras_2(kind):
    x = keras.Input((None, 3))
    h = keras.layers.Masking()(x)
    h = getattr(keras2_masks, kind)()([h, GRU(3, return_sequences=True)(h)])
    model = keras.Model(x, GRU(2, return_sequences=True)(h))
    stream = Stream(model)
    frames = np.random.default_rng(0).normal(size=(1, 6, 3)).astype("float32")
    frames[:, 2:4] = 0
    y = np.concatenate([stream.push(frames[:, t : t + 1]) for t in range(6)], axis=1)
    np.testing.assert_allclose(y, model(frames), atol=1e-6)
    if native.status().available:
        assert (stream.called != ()) == (kind == "Average")
