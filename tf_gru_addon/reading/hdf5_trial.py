"""Reads an HDF5 file in a subprocess, because the library may crash.

The HDF5 library trusts the indices of its newer layouts: damaged ones make it write out
of bounds, and the process dies. Keras' files have no such index. If a file has one, a
subprocess reads all of it first.
"""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
import tempfile
from pathlib import Path

from tf_gru_addon.reading.budget import Budget, FileRefusedError

#: The indices of the newer layouts: fractal heaps, B-trees, and arrays of chunks.
INDICES = rb"FRHP|BTHD|FAHD|EAHD"

# Do not import the package itself: it would import TensorFlow, which takes seconds.
_PROGRAM = """
import json, sys, types
sys.path = json.loads(sys.argv[1])
package = sys.modules["tf_gru_addon"] = types.ModuleType("tf_gru_addon")
package.__path__ = [sys.argv[2]]
from tf_gru_addon.reading.hdf5 import read_all
read_all(sys.stdin.buffer, int(sys.argv[3]))
"""


def try_out(
    content: bytes | mmap.mmap | memoryview, budget: Budget, seconds: float = 30
) -> None:
    """Runs `hdf5.read_all` on a file in a subprocess.

    It only detects crashes and endless loops; the reader in this process reports any
    other fault of the file.

    Args:
        content: The bytes of the file.
        budget: The file's budget.
        seconds: The time limit.

    Raises:
        FileRefusedError: The subprocess crashes, or exceeds the time limit.
    """
    package = str(Path(__file__).parents[1])
    arguments = [json.dumps(sys.path), package, str(budget.size)]
    try:
        with tempfile.TemporaryFile() as stream:
            stream.write(content)
            stream.seek(0)
            code = subprocess.run(
                [sys.executable, "-I", "-c", _PROGRAM, *arguments],
                stdin=stream,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        raise FileRefusedError(
            f"the HDF5 library has not read it within {seconds} seconds. The file is "
            "damaged."
        ) from None
    if code < 0:
        raise FileRefusedError(
            f"the HDF5 library crashes on it (signal {-code}). The file is damaged."
        )
