"""How much memory a file may take.

A file of a few kilobytes can claim terabytes: in a header, through compression, or by
naming one array a thousand times. A reader therefore takes what a file claims from a
budget before it reads, decompresses or pads anything.

The budget is `FACTOR` times the file's size, plus `FLOOR`:

- Trained weights hardly compress (random float32 numbers shrink by a tenth), and Keras,
  PyTorch and ONNX store them as they are: for these a factor of 2 would do. Data sets
  that are zero-padded before they are compressed shrink most: sequences of 50 timesteps
  on average, padded to 2,000, by about 40. Deflate cannot reach more than 1,032.
  100 lets through what people write, and stops what only unfolds.
- The floor is for small files. A few kilobytes of zeros, such as the biases of a new
  model, may well unfold by 1,000. 64 MiB is harmless on any machine that can load
  TensorFlow.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

FACTOR = 100
FLOOR = 1 << 26

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileRefusedError(ValueError):
    """A file that is not read: what it is, or what it claims, cannot be right."""


class Budget:
    """The bytes that the content of one file may take in memory, all in all.

    Args:
        size: The file's size in bytes.
    """

    def __init__(self, size: int):
        self.size = size
        self.limit = FACTOR * size + FLOOR
        self._left = self.limit

    @classmethod
    def of(cls, path: str | os.PathLike) -> Budget:
        """Returns the budget of a file.

        Raises:
            FileNotFoundError: There is no such file.
            FileRefusedError: It is no regular file.
        """
        return cls(require_regular(path))

    def grow(self, size: int) -> None:
        """Adds another file of `size` bytes, which belongs to the first."""
        self.size += size
        self.limit += FACTOR * size
        self._left += FACTOR * size

    def take(self, count: int, what: str) -> None:
        """Takes bytes that are about to be read.

        Args:
            count: How many.
            what: What they are, for the error: "its array 'kernel'".

        Raises:
            FileRefusedError: So many are not left.
        """
        if count > self._left:
            raise FileRefusedError(
                f"{what} claims {count} bytes, and what a file of {self.size} bytes "
                f"holds may take {self.limit} in all. It is damaged, or not what it "
                "seems."
            )
        self._left -= count


def require_regular(path: str | os.PathLike) -> int:
    """Returns the size of a regular file.

    A pipe or a device can be read for ever; it is not even opened.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is a folder, a pipe, a device or a socket.
    """
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file.") from None
    except (OSError, ValueError) as error:  # a loop of links, a null in the name
        raise FileRefusedError(f"it cannot be opened ({error}).") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "a special file")
        raise FileRefusedError(f"expected a regular file; this is {kind}.")
    return status.st_size
