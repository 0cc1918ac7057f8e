"""Hides the notices that TensorFlow's libraries print while they load."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

#: Copies what is no notice. It ignores Ctrl-C, which reaches it too, and ends when the
#: last writer has closed the pipe.
_FILTER = r"""
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
notice = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog")
for line in sys.stdin.buffer:
    if not notice.match(line):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()
"""


def hide_notices() -> None:
    """Hides TensorFlow's notices (level I) from this process, as a command line does.

    Warnings and errors are shown. The environment variable TF_CPP_MIN_LOG_LEVEL still
    says otherwise: 0 shows all.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if level != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as Python does, and hides its notices while it is imported."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with _notices_hidden():
                execute(module)

        spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def _notices_hidden() -> Iterator[None]:
    """Sends the standard error of this process through a filter.

    The libraries print their first notices before they read TF_CPP_MIN_LOG_LEVEL, to
    the file descriptor 2. The filter is a process of its own, so that the message of a
    library that aborts is still shown.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", _FILTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=terminal) as process:
        os.dup2(process.stdin.fileno(), 2)
        process.stdin.close()
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
