"""TensorFlow's checkpoints, which are several files."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from tf_gru_addon.reading.budget import Budget, require_regular


def checkpoint_budget(prefix: str | os.PathLike) -> Budget:
    """Returns the budget of a checkpoint: that of its files together.

    Args:
        prefix: What TensorFlow calls the checkpoint: the files' name without `.index`
            and `.data-00000-of-00001`; or, of the oldest, the file itself.

    Raises:
        FileRefusedError: One of them is no regular file.
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
