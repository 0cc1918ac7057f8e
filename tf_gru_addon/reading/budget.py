"""Limits the memory that the content of a file may take.

A file of a few kilobytes can claim terabytes: in a header, through compression, or by
referring to one array a thousand times. A reader therefore takes the claimed bytes from
a budget before it reads, decompresses or pads anything.

The budget is `FACTOR` times the file's size, plus `FLOOR`:

- Trained weights hardly compress (random float32 numbers by a tenth), and Keras,
  PyTorch and ONNX store them uncompressed: a factor of 2 would be enough for them.
  Zero-padded data sets compress best: sequences of 50 timesteps on average, padded to
  2,000, by a factor of about 40. The maximum of deflate is 1,032. A factor of 100
  accepts real files and refuses decompression bombs.
- The floor is for small files. A few kilobytes of zeros, such as the biases of a new
  model, can compress by a factor of 1,000. 64 MiB is harmless on any machine that can
  load TensorFlow.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tf_gru_addon.errors import Error

FACTOR = 100
FLOOR = 1 << 26

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class FileRefusedError(Error, ValueError):
    """A file that is refused, because of its type or of the sizes that it claims."""


class Budget:
    """The number of bytes that the content of one file may take in memory.

    Args:
        size: The file's size in bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.limit = FACTOR * size + FLOOR
        self._left = self.limit

    @classmethod
    def of(cls, path: str | os.PathLike[str]) -> Budget:
        """Returns the budget of a file.

        Raises:
            FileNotFoundError: The file does not exist.
            FileRefusedError: It is not a regular file.
        """
        return cls(require_regular(path))

    def grow(self, size: int) -> None:
        """Adds the budget of another file of `size` bytes that belongs to this one."""
        self.size += size
        self.limit += FACTOR * size
        self._left += FACTOR * size

    def take(self, count: int, what: str) -> None:
        """Takes bytes from the budget, before they are read.

        Args:
            count: The number of bytes.
            what: Their description, for the error: "its array 'kernel'".

        Raises:
            FileRefusedError: The budget has fewer bytes left.
        """
        if count > self._left:
            raise FileRefusedError(
                f"{what} claims {count} bytes, but the content of a file of "
                f"{self.size} bytes may take at most {self.limit}. It is damaged, or "
                "not what it seems."
            )
        self._left -= count


def require_regular(path: str | os.PathLike[str]) -> int:
    """Returns the size of a regular file.

    The file is not opened, because reading a pipe or a device may never end.

    Raises:
        FileNotFoundError: The file does not exist.
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
