"""TensorFlow's checkpoints, which consist of several files."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from tf_gru_addon.reading.budget import Budget, require_regular


def checkpoint_budget(prefix: str | os.PathLike[str]) -> Budget:
    """Returns the budget of a checkpoint, from the total size of its files.

    Args:
        prefix: The checkpoint's path: its files' name without `.index` and
            `.data-00000-of-00001`. In the oldest format, it is the only file.

    Raises:
        FileRefusedError: A file is not a regular file.
    """
    prefix = Path(prefix)
    name = glob.escape(prefix.name)
    files = [
        *prefix.parent.glob(f"{name}.index"),
        *prefix.parent.glob(f"{name}.data-*"),
    ]
    if not files and prefix.exists():
        files = [prefix]
    return Budget(sum(map(require_regular, files)))
