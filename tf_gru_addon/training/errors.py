"""What can go wrong in a run."""

from __future__ import annotations


class WorkdirError(ValueError):
    """The working directory is not what the command expects; nothing was touched."""


class RunError(RuntimeError):
    """A run that began well and cannot go on: a full disk, a loss that is NaN."""
