"""The error of the command line."""

from __future__ import annotations

from tf_gru_addon.errors import Error


class UsageError(Error, ValueError):
    """A command line that is not understood."""
