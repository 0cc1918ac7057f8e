"""The error for an installation without the extra `[train]`."""

from __future__ import annotations

from tf_gru_addon.packages import install_command


def missing_extra(error: ImportError) -> ImportError:
    """Returns the error to raise when a package of the extra `[train]` is missing."""
    return ImportError(
        f"Config files and the command line need {error.name!r}, which is not "
        f"installed. Run: {install_command(error.name or 'yaml', extra='train')}",
        name=error.name,
    )
