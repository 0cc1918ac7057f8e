"""The errors of runs."""

from __future__ import annotations

from tf_gru_addon.errors import Error
from tf_gru_addon.errors import RunError as RunError


class WorkdirError(Error, ValueError):
    """The working directory cannot be used; nothing in it was changed."""
