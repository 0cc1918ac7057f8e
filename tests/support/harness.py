"""Tools that the tests share."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import tf_gru_addon

PACKAGE = Path(tf_gru_addon.__file__).parent

#: By dtype: the relative tolerance of a sequence's outputs and gradients, measured
#: against the largest number of the array.
TOLERANCE = {
    "float64": 1e-11,
    "float32": 3e-5,
    "float16": 1e-2,
    "bfloat16": 6e-2,
}


def assert_close(actual, expected, dtype="float32", what=""):
    """Fails unless the arrays agree to the dtype's tolerance, shapes included."""
    actual = np.asarray(actual, np.float64)
    expected = np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, (what, actual.shape, expected.shape)
    assert np.isfinite(actual).all(), what
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    error = float(np.abs(actual - expected).max(initial=0)) / scale
    assert error <= TOLERANCE[dtype], (what, error)


def op_types(function):
    """Returns the op types in a concrete function and the functions it calls."""
    graph_def = function.graph.as_graph_def()
    nodes = list(graph_def.node)
    for library_function in graph_def.library.function:
        nodes += library_function.node_def
    return {node.op for node in nodes}


def random_ops(function):
    """Returns the random op types in a concrete function."""
    return {op for op in op_types(function) if "Random" in op}


#: The start of a script that imports the package's modules without TensorFlow.
LIGHT = f"""
import sys, types
for name in ("tf_gru_addon", "tf_gru_addon.training"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [{str(PACKAGE.parent)!r} + "/" + name.replace(".", "/")]
"""


def run_python(code, *arguments, env=None, check=True):
    """Runs code in a fresh process with no warning silenced, and returns it."""
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **(env or {})},
        timeout=300,
    )
    if check:
        assert process.returncode == 0, process.stderr
    return process
