"""What can go wrong in a run."""

from __future__ import annotations

from tf_gru_addon.errors import RunError as RunError
from tf_gru_addon.errors import TfGruAddonError


class WorkdirError(TfGruAddonError, ValueError):
    """The working directory is not what the command expects; nothing was touched."""
