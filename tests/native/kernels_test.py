"""The kernels, called through their C ABI."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import kernels, oracles
from support.harness import assert_close

from tf_gru_addon import native

pytestmark = pytest.mark.skipif(
    not native.status().available, reason=f"native: {native.status().reason}"
)


def test_the_kernels_need_no_tensorflow():
    arrays = kernels.example()
    outputs, state = kernels.forward(arrays)
    expected, _, last = oracles.gru(*arrays, reset_after=True)
    assert_close(outputs, expected)
    assert_close(state, last)


def test_indices_beyond_32_bits():
    """More than 2**31 inputs, most of them in pages that are never touched."""
    features = 4096
    timesteps = 2**31 // features + 3
    try:
        x = np.zeros((1, timesteps, features), "float32")
    except MemoryError:
        pytest.skip("this process may not have 8.6 GB of addresses")
    x[0, -3:] = np.random.default_rng(0).normal(size=(3, features))
    h0, *weights = kernels.example(batch=1, timesteps=0, features=features, units=1)[1:]
    weights[0] /= 10
    outputs, state = kernels.forward([x, h0, *weights])
    tail, last = kernels.forward([x[:, -3:], outputs[:, -4], *weights])
    assert np.ptp(tail) > 0.1
    np.testing.assert_array_equal(outputs[:, -3:], tail)
    np.testing.assert_array_equal(state, last)


_GROWTH = """
import os
from support import kernels
import numpy as np

library, rng = kernels.library(), np.random.default_rng(0)

def call():
    batch, timesteps, features, units = rng.integers(1, [40, 20, 20, 90])
    arrays = kernels.example(0, batch, timesteps, features, units)
    d = np.zeros((batch, timesteps, units), "float32")
    kernels.train(library, arrays, d, arrays[1])

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

for _ in range(4):
    before = resident()
    for _ in range(500):
        call()
    print(resident() - before)
"""


@pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="this system has no /proc"
)
def test_calls_of_many_shapes_leave_nothing_behind():
    """Runs in its own process: threads of other tests use memory in this one."""
    paths = [str(Path(kernels.__file__).parents[1]), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", _GROWTH],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=True,
    )
    _, *growths = map(int, done.stdout.split())
    # If each pass leaked its workspace, the growth would exceed 3 MB.
    assert min(growths) < 2**20
