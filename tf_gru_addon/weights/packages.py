"""Packages that a format needs, and that this one does not require."""

from __future__ import annotations

import importlib

from tf_gru_addon.packages import install_command


def require_package(name: str, what: str) -> None:
    """Checks that a package is there.

    Args:
        name: Its name, to import and to install.
        what: What needs it.

    Raises:
        ImportError: It is not; the message says how to install it.
    """
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{what} need the package {name} ({error}). Install it: "
            f"{install_command(name)}."
        ) from error
