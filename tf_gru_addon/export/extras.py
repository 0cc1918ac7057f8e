"""What an install without the extra `[export]` says."""

from __future__ import annotations

import importlib.util

from tf_gru_addon.packages import install_command


def require_extra(what: str, *packages: str) -> None:
    """Raises ImportError, which says what to install, unless the packages are here.

    Args:
        what: What needs them, in the plural.
        *packages: Their import names.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ImportError(
                f"{what} need {package!r}, which is not installed. "
                f"Run: {install_command(package, extra='export')}",
                name=package,
            )
