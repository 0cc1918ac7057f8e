"""A `Stream` gives the model's numbers for every way of pushing the frames."""

import itertools
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from support import streams
from support.harness import assert_close, run_python

from tf_gru_addon import GRU, Stream, errors, export, native, streaming

native_only = pytest.mark.skipif(
    not native.status().available, reason=native.status().reason
)


def run(stream, name, x, cuts, mask=None):
    chunks = []
    for start, end in cuts:
        y = stream.push(x[:, start:end], None if mask is None else mask[:, start:end])
        chunks.append(y if isinstance(y, list) else [y])
    return streams.joined(name, chunks)


@pytest.mark.parametrize("name", streams.CASES)
def test_any_chunks_give_the_numbers_of_the_whole_sequence(name):
    x = streams.frames(name)
    expected = streams.outputs(name, x)
    stream = Stream(streams.model(name), 3)
    single = [(t, t + 1) for t in range(x.shape[1])]
    for cuts in (single, [(0, 0), (0, 4), (4, 4), (4, 11)]):
        streams.assert_same(run(stream, name, x, cuts), expected, name)
        stream.reset()


@pytest.mark.parametrize("name", streams.MASKED)
@settings(max_examples=8, deadline=None)
@given(cuts=streams.cuts(), seed=st.integers(0, 1000))
def test_any_mask(name, cuts, seed):
    x = streams.frames(name)
    mask = np.random.default_rng(seed).random(x.shape[:2]) < 0.6
    mask[0] = False
    expected = streams.outputs(name, x, mask)
    x = np.where(mask[..., np.newaxis], x, np.float32("nan")) if name == "gru" else x
    actual = run(Stream(streams.model(name), 3), name, x, cuts, mask)
    streams.assert_same(actual, expected, name)


@settings(max_examples=5, deadline=None)
@given(cuts=streams.cuts(), data=st.data())
def test_rows_are_reset_separately(cuts, data):
    name = "convolutions"
    x = streams.frames(name)
    stream = Stream(streams.model(name), 3)
    chunks = []
    expected = streams.outputs(name, x)[0]
    for start, end in cuts:
        rows = data.draw(st.lists(st.booleans(), min_size=3, max_size=3))
        stream.reset(rows)
        for row in np.flatnonzero(rows):
            if start < x.shape[1]:
                again = streams.outputs(name, x[row : row + 1, start:])[0]
                expected[row, start:] = again[0]
        chunks.append([stream.push(x[:, start:end])])
    assert_close(streams.joined(name, chunks)[0], expected)


@pytest.mark.parametrize("rows", [[1], 1, np.array([1]), [False, True, False]])
def test_rows_by_index_and_by_booleans(rows):
    stream = Stream(streams.model("gru"), 3)
    stream.push(streams.frames("gru"))
    before = stream.state["gru_state"]
    stream.reset(rows)
    after = stream.state["gru_state"]
    assert not after[1].any()
    assert_close(after[[0, 2]], before[[0, 2]])
    stream.reset([])
    assert stream.state["gru_state"][0].any()


@pytest.mark.parametrize("name", ["convolutions", "last_of_zero_outputs", "selu"])
def test_the_state_moves_to_another_stream(name):
    x = streams.frames(name)
    first, second = (Stream(streams.model(name), 3) for _ in range(2))
    early = first.push(x[:, :5])
    second.state = first.state
    chunks = [[early], [second.push(x[:, 5:])]]
    streams.assert_same(streams.joined(name, chunks), streams.outputs(name, x), name)


def test_a_returned_state_is_a_copy():
    stream = Stream(streams.model("gru"), 3)
    state = stream.state
    state["gru_state"][:] = 7
    assert not stream.state["gru_state"].any()


@pytest.mark.parametrize("name", ["dense", "selu"])
def test_a_returned_output_is_not_overwritten(name):
    stream = Stream(streams.model(name), 3)
    x = streams.frames(name)
    first = stream.push(x[:, :1])
    kept = first.copy()
    stream.push(x[:, 1:2])
    assert_close(first, kept)


def test_nan_stays_in_its_row():
    stream = Stream(streams.model("dense"), 3)
    x = streams.frames("dense")
    x[1, 4] = np.nan
    y = stream.push(x)
    assert np.isnan(y[1, 4:]).all()
    assert np.isfinite(np.delete(y, 1, axis=0)).all()
    stream.reset([1])
    assert np.isfinite(stream.push(streams.frames("dense"))).all()


def test_refresh_takes_the_current_weights():
    model = streams.sequential(GRU(2, return_sequences=True))
    x = np.ones((1, 6, streams.FEATURES), "float32")
    stream = Stream(model)
    y = stream.push(x[:, :3])
    kept = [w.copy() for w in model.get_weights()]
    model.set_weights([w + 0.5 for w in kept])
    stream.refresh()
    assert np.abs(stream.push(x[:, 3:]) - model(x)[:, 3:]).max() > 1e-3
    model.set_weights(kept)
    stream.reset()
    stream.refresh()
    assert_close(stream.push(x[:, :3]), y)


def test_threads_may_share_a_stream():
    name = "dense"
    x = streams.frames(name)
    stream = Stream(streams.model(name), 3)
    state = stream.push(x) is not None and stream.state
    stream.reset()

    def work():
        for _ in range(20):
            for n in (1, 2, 0, 3, 5):
                stream.push(np.zeros((3, n, streams.FEATURES), "float32"))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stream.reset()
    stream.push(x)
    for key, value in stream.state.items():
        assert_close(value, state[key])


def test_many_chunk_sizes():
    x = streams.frames("gru", 3, 45)
    ends = np.cumsum([0, *range(10)])
    cuts = list(itertools.pairwise(ends))
    streams.assert_same(
        run(Stream(streams.model("gru"), 3), "gru", x, cuts),
        streams.outputs("gru", x),
        "gru",
    )


def test_the_repr_names_the_stream_and_its_engine():
    text = repr(Stream(streams.model("selu"), 3))
    assert text.startswith("Stream(model='sequential")
    assert ", batch_size=3, layers=['gru" in text
    assert "runs='TensorFlow: gru" in text
    assert text.endswith(": the native engine lacks selu')")


@native_only
def test_the_repr_names_the_layers_that_tensorflow_runs():
    text = repr(Stream(streams.model("dense")))
    assert text.endswith("], runs='native engine and NumPy')"), text
    text = repr(Stream(streams.model("images")))
    assert "runs='native engine and NumPy, TensorFlow for time_dist" in text


SIGNALS = """
import os, signal, threading, time, warnings
import keras, numpy as np, tf_gru_addon

warnings.simplefilter("ignore", DeprecationWarning)  # os.fork, of threads
model = keras.Sequential([keras.Input((None, 8)), tf_gru_addon.GRU(256)])
stream = tf_gru_addon.Stream(model, 4)
x = np.zeros((4, 400_000, 8), "float32")
stream.push(x[:, :10_000])
start = time.monotonic()
stream.push(x[:, :10_000])
whole = 40 * (time.monotonic() - start)
before = stream.state
sent = []

def interrupt():
    time.sleep(0.3)
    sent.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt).start()
try:
    stream.push(x)
except KeyboardInterrupt:
    print(whole, time.monotonic() - sent[0])
for name, state in stream.state.items():
    assert (state == before[name]).all()
stream.push(x[:, :1])

model = keras.Sequential([keras.Input((None, 8)), tf_gru_addon.GRU(64)])
stream = tf_gru_addon.Stream(model)
x = np.random.default_rng(0).normal(size=(1, 2000, 8)).astype("float32")
expected = stream.push(x[:, :9])
stop = threading.Event()

def work():
    while not stop.is_set():
        stream.push(x)

thread = threading.Thread(target=work)
thread.start()
locked = 0
for _ in range(12):
    locked += stream._lock.locked()
    child = os.fork()
    if child == 0:
        stream.reset()
        same = (stream.push(x[:, :9]) == expected).all()
        os._exit(0 if same else 1)
    end = time.monotonic() + 20
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            stop.set()
            raise SystemExit("a child hangs")
        time.sleep(0.002)
    assert os.waitstatus_to_exitcode(found[1]) == 0
stop.set()
thread.join()
print(locked)
"""


@pytest.fixture(scope="module")
def signals():
    """The output of a process that interrupts a push, and then forks during pushes."""
    return run_python(SIGNALS).stdout.split()


@native_only
def test_an_interrupt_ends_a_long_push_and_keeps_the_states(signals):
    whole, waited = map(float, signals[:2])
    assert waited < min(whole / 4, 1.5), (whole, waited)


@native_only
def test_a_child_forked_while_another_thread_pushes_can_push(signals):
    assert int(signals[2]) > 3  # the number of forks at which the lock was held


def test_lists_and_other_dtypes():
    stream = Stream(streams.model("gru"), 3)
    x = streams.frames("gru")
    expected = stream.push(x)
    for other in (x.astype("float64"), x.tolist(), np.asfortranarray(x)):
        stream.reset()
        assert_close(stream.push(other), expected)
    every = np.ones(x.shape[:2], int)
    stream.reset()
    assert_close(stream.push(tf.constant(x), every), expected)


X = np.zeros((3, 1, streams.FEATURES), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X[:1],), r"frames must have the shape \(3, n, 3\).* received \(1, 1, 3\)"),
        ((X[..., :2],), r"received \(3, 1, 2\)"),
        ((X[:, 0],), r"received \(3, 3\)"),
        (("abc",), r"frames must be an array of float32"),
        ((X + 1j,), r"frames must be an array of float32; .*complex"),
        (([[1, 2], [3]],), r"frames must be an array of float32"),
        (
            (X, [[True]]),
            r"mask must have the shape .* here \(3, 1\); received \(1, 1\)",
        ),
    ],
)
def test_wrong_arguments_leave_the_state(arguments, message):
    stream = Stream(streams.model("gru"), 3)
    stream.push(streams.frames("gru"))
    before = stream.state
    with pytest.raises(ValueError, match=message):
        stream.push(*arguments)
    assert_close(stream.state["gru_state"], before["gru_state"])


@pytest.mark.parametrize("batch_size", [0, -1, 1.0, True, None])
def test_batch_sizes(batch_size):
    with pytest.raises(ValueError, match="batch_size must be a positive integer"):
        Stream(streams.model("gru"), batch_size)


@pytest.mark.parametrize("rows", [[3], [-1], [True], 0.5, "all"])
def test_rows_out_of_range(rows):
    with pytest.raises(ValueError, match="rows must be 3 booleans, or indices from 0"):
        Stream(streams.model("gru"), 3).reset(rows)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, r"must be a dict of \['gru_state'\].*received: None"),
        ({}, r"received: \[\]"),
        ({"gru_state": np.zeros((1, 5))}, r"the shape \(3, 5\); received \(1, 5\)"),
        ({"gru_state": "x"}, "must be an array of float32"),
    ],
)
def test_wrong_states(state, message):
    with pytest.raises(ValueError, match=message):
        Stream(streams.model("gru"), 3).state = state


def test_a_layer_that_is_not_causal_is_refused():
    model = streams.sequential(keras.layers.Bidirectional(GRU(2), name="both"))
    with pytest.raises(errors.ExportError, match=r"^both: this Bidirectional"):
        Stream(model)


WITHOUT_NATIVE = """
import numpy as np, keras, tf_gru_addon
model = keras.Sequential([keras.Input((None, 3)), tf_gru_addon.GRU(4)])
stream = tf_gru_addon.Stream(model)
assert "TF_GRU_ADDON_NATIVE is 0" in stream.why_called, stream.why_called
assert stream.called, stream.called
x = np.ones((1, 5, 3), "float32")
for t in range(5):
    y = stream.push(x[:, t : t + 1])
assert np.allclose(y, model(x), atol=1e-6)
"""


def test_without_the_native_engine():
    run_python(WITHOUT_NATIVE, env={"TF_GRU_ADDON_NATIVE": "0"})


def test_export_keeps_its_former_names():
    assert export.Stream is streaming.Stream is Stream
    assert export.StreamingModel is streaming.StreamingModel
    assert export.ExportError is errors.ExportError
