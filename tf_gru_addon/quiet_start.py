"""Hides the log messages that TensorFlow's libraries print while they load."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType

#: Copies everything but notices. It ignores Ctrl-C, and ends when the last writer has
#: closed the pipe.
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
    """Hides TensorFlow's notices (log level I) in this process.

    Warnings and errors are still shown. TF_CPP_MIN_LOG_LEVEL=0 in the environment shows
    everything.
    """
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    if level != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, with a loader that hides notices during the import."""

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

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _notices_hidden() -> Iterator[None]:
    """Pipes file descriptor 2, standard error, through a filter.

    The libraries print their first notices before they read TF_CPP_MIN_LOG_LEVEL. The
    filter is a separate process, so that it still shows the last message of a library
    that aborts.
    """
    try:
        terminal = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    command = [sys.executable, "-I", "-S", "-c", _FILTER]
    read_end, write_end = os.pipe()
    with subprocess.Popen(command, stdin=read_end, stdout=terminal):
        os.close(read_end)
        os.dup2(write_end, 2)
        os.close(write_end)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
