"""Reading an HDF5 file in a process of its own, which may crash.

The HDF5 library trusts the indices of its newer layouts: damaged ones make it write
where it must not, and the process dies. Keras' files have no such index. Where a file
has one, another process reads all of it first.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tf_gru_addon.reading.budget import Budget, FileRefusedError

#: The indices of the newer layouts: fractal heaps, B-trees, and arrays of chunks.
INDICES = rb"FRHP|BTHD|FAHD|EAHD"
_SECONDS = 30

# The package itself is not imported: that takes TensorFlow, and seconds.
_PROGRAM = """
import json, sys, types
sys.path = json.loads(sys.argv[1])
package = sys.modules["tf_gru_addon"] = types.ModuleType("tf_gru_addon")
package.__path__ = [sys.argv[2]]
from tf_gru_addon.reading.hdf5 import read_all
read_all(sys.stdin.buffer, int(sys.argv[3]))
"""


def try_out(content: Any, budget: Budget) -> None:
    """Has `hdf5.read_all` read a file in a process of its own.

    Any other fault of the file is left to the reader in this process.

    Args:
        content: The bytes of the file, or what has a buffer of them.
        budget: The file's budget.

    Raises:
        FileRefusedError: The process crashes, or does not come to an end.
    """
    package = str(Path(__file__).parents[1])
    arguments = [json.dumps(sys.path), package, str(budget.size)]
    try:
        with tempfile.TemporaryFile() as stream:
            stream.write(content)
            stream.seek(0)
            code = subprocess.run(
                [sys.executable, "-c", _PROGRAM, *arguments],
                stdin=stream,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        raise FileRefusedError(
            f"the HDF5 library is not done with it after {_SECONDS} seconds. It is "
            "damaged."
        ) from None
    if code < 0:
        raise FileRefusedError(
            f"the HDF5 library crashes on it (signal {-code}). It is damaged."
        )
