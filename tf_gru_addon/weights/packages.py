"""Optional packages that a format needs."""

from __future__ import annotations

import importlib

from tf_gru_addon.packages import install_command


def require_package(name: str, what: str) -> None:
    """Checks that an optional package is installed.

    Args:
        name: The package's name, to import and to install.
        what: What needs it, as the error names it: "PyTorch's files".

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{what} need the package {name} ({error}). Install it: "
            f"{install_command(name)}."
        ) from error
