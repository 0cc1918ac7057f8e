"""What an export refuses."""

from __future__ import annotations

import typing

from tf_gru_addon.errors import TfGruAddonError

if typing.TYPE_CHECKING:
    from tf_gru_addon.export.parity import ParityReport


class ExportError(TfGruAddonError, ValueError):
    """A model that a target cannot hold, or an export whose numbers differ.

    Args:
        message: what is wrong, naming the layer, and what to do.
        report: of an export that was written and differs from its model; else None,
            and nothing was written.
    """

    def __init__(self, message: str, report: ParityReport | None = None):
        super().__init__(message)
        self.report = report
