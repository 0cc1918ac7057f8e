"""The error for an install without the extra `[export]`."""

from __future__ import annotations

import importlib.util

from tf_gru_addon.packages import install_command


def require_extra(what: str, *packages: str) -> None:
    """Raises an ImportError that says what to install if a package is missing.

    Args:
        what: What needs the packages, in the plural.
        *packages: Import names.
    """
    missing = [each for each in packages if importlib.util.find_spec(each) is None]
    if missing:
        names = ", ".join(map(repr, missing))
        verb = "is" if len(missing) == 1 else "are"
        raise ImportError(
            f"{what} need {names}, which {verb} not installed. "
            f"Run: {install_command(*missing, extra='export')}",
            name=missing[0],
        )
