"""Every candidate of the benchmarks computes the same numbers."""

import sys

import numpy as np
import pytest
from support import oracles
from support.harness import assert_close

from benchmarks import memory, options, report, speed
from benchmarks.peers import PEERS
from benchmarks.problem import SHAPES, Shape, problem
from benchmarks.timing import CALLS, in_turn, summary

GIVEN = problem(Shape(2, 4, 3, 5))
H0 = np.zeros((2, 5))


def _outputs(x, kernel, recurrent_kernel, bias):
    return oracles.gru(x, H0, kernel, recurrent_kernel, bias, reset_after=True)[0]


def _arrays():
    return [np.float64(array) for array in (GIVEN.inputs, *GIVEN.weights)]


@pytest.mark.peer
@pytest.mark.filterwarnings("default")  # of the peers' own
@pytest.mark.parametrize("name", speed.makers(GIVEN, training=False))
def test_a_forward_pass_equals_the_oracles(name):
    candidate = speed.makers(GIVEN, training=False)[name]()
    (outputs,) = candidate.read(candidate.run())
    assert_close(outputs, _outputs(*_arrays()))


@pytest.mark.peer
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", speed.makers(GIVEN, training=True))
def test_a_training_step_gives_the_oracles_gradients(name):
    candidate = speed.makers(GIVEN, training=True)[name]()
    expected = oracles.gradients(
        lambda *arrays: (_outputs(*arrays) * GIVEN.upstream).sum(), _arrays()
    )
    gradients = candidate.read(candidate.run())
    for gradient, array in zip(gradients, expected[:3], strict=True):
        assert_close(gradient, array)


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    for missing in ("torch", "onnxruntime", "openvino", "jax"):
        monkeypatch.setitem(sys.modules, missing, None)
    shape = Shape(2, 4, 3, 5)
    found = speed.compare(shape, training=False, rounds=1)
    assert [found["times"][name] for name in PEERS] == [None] * 4
    assert found["times"]["Keras"]["raw"] > 0
    table = report.speed({str(shape): found}, passes=1)
    assert table.count("not installed") == 4


def test_a_candidate_with_other_numbers_is_refused():
    right = [np.ones((2, 3), np.float32)]
    speed.check("x", right, right)
    with pytest.raises(RuntimeError, match="x differs from Keras by 1"):
        speed.check("x", [1.01 * right[0]], right)
    with pytest.raises(RuntimeError, match="x differs from Keras by nan"):
        speed.check("x", [np.nan * right[0]], right)
    with pytest.raises(RuntimeError, match=r"x gives the shape \(3, 2\)"):
        speed.check("x", [right[0].T], right)


def test_functions_take_turns():
    calls = []
    functions = {name: lambda name=name: calls.append(name) for name in "abc"}
    times = in_turn(functions, rounds=6)
    assert {name: len(found) for name, found in times.items()} == {
        "a": 6,
        "b": 6,
        "c": 6,
    }
    block = CALLS + 1  # one to warm up
    firsts = calls[-18 * block :: block]
    rounds = ["".join(firsts[i : i + 3]) for i in range(0, 18, 3)]
    assert {"".join(sorted(names)) for names in rounds} == {"abc"}
    assert len(set(rounds)) > 2  # not always in one order


def test_the_overhead_is_subtracted_in_each_round():
    found = summary([5.0, 7.0, 6.0], [1.0, 3.0, 2.0])
    assert found == {"raw": 6.0, "net": 4.0, "spread": 0.0}


def test_a_net_time_below_the_noise_is_none():
    assert summary([1.0, 1.2, 0.9], [1.0, 1.0, 1.0])["net"] is None
    assert summary([1.0, 9.0, 0.9])["net"] == 1.0


@pytest.mark.parametrize("shape", [*SHAPES, memory.SHAPE])
def test_lengths_average_one_half(shape):
    lengths = options.lengths(shape.batch, shape.timesteps)
    assert lengths.shape == (shape.batch,)
    assert abs(lengths.mean() / shape.timesteps - 0.5) <= 0.5 / shape.timesteps
    assert shape.batch == 1 or lengths.max() == shape.timesteps
