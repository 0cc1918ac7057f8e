"""Frameworks that cannot share a process with TensorFlow.

PaddlePaddle crashes the process if TensorFlow was imported before it. A format has such
a framework run a script in a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from tf_gru_addon.weights.errors import WeightsError
from tf_gru_addon.weights.format import Peer, Stack

_SECONDS = 300


def peer_in_process(name: str, package: str, script: str) -> Peer:
    """Returns a framework that runs in a process of its own.

    Args:
        name: Its name, as messages show it: "PaddlePaddle".
        package: The package to import.
        script: A script that runs a GRU. Its arguments are the file of weights, that of
            the inputs (batch, timesteps, features), where it writes the outputs, both
            `.npy`, and the features, the units, the layers and the directions.
    """

    def module() -> SimpleNamespace | None:
        if importlib.util.find_spec(package) is None:
            return None
        done = _python(f"import {package}; print({package}.__version__)")
        if done.returncode:
            return None
        return SimpleNamespace(__version__=done.stdout.split()[-1])

    def run(path: Path, stack: Stack, x: np.ndarray) -> np.ndarray:
        sizes = (stack[0].features, stack[0].units, len(stack))
        with tempfile.TemporaryDirectory() as folder:
            inputs, outputs = Path(folder, "x.npy"), Path(folder, "y.npy")
            np.save(inputs, x.astype(np.float32))
            directions = len(stack[0].directions)
            done = _python(script, path, inputs, outputs, *sizes, directions)
            if done.returncode:
                reason = done.stderr.strip().splitlines()[-1:]
                raise WeightsError(f"its process failed: {''.join(reason)}")
            y: np.ndarray = np.load(outputs)
        return y.astype(np.float64)

    return Peer(name, module, run)


def _python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    # Isolated, and then with this process' path: Python would otherwise import modules
    # from the current folder, where a stranger's files may be.
    script = f"import json, sys; sys.path = json.loads(sys.argv.pop(1))\n{script}"
    options = [sys.executable, "-I", "-W", "ignore", "-c", script, json.dumps(sys.path)]
    command = [*options, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
