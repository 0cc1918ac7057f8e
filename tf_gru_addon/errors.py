"""What can go wrong wherever files are written."""

from __future__ import annotations


class RunError(RuntimeError):
    """Work that began well and cannot go on: a full disk, a loss that is NaN."""
