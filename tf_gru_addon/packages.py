"""How to install what is missing, from where this package itself came."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

_NAME = "tf_gru_addon"
#: The distributions whose name is not that of the module.
_DISTRIBUTIONS = {"yaml": "pyyaml"}


def install_command(*packages: str, extra: str | None = None) -> str:
    """Returns the command that installs packages, or all that an extra names.

    No index has this package, so `pip install "tf_gru_addon[train]"` finds nothing. In
    a clone, the command installs the clone with the extra; elsewhere, the packages that
    the extra requires.

    Args:
        *packages: The modules that are missing.
        extra: The extra of this package that they belong to, if any.

    Example:
        >>> install_command("torch")
        'pip install torch'
    """
    if extra is not None and (clone := _clone()):
        return f'pip install -e "{clone}[{extra}]"'
    names = _required(extra) if extra is not None else []
    names = names or [_DISTRIBUTIONS.get(name, name) for name in packages]
    return " ".join(["pip install", *names])


def _clone() -> Path | None:
    """Returns the folder of the sources, if this package is imported from them."""
    folder = Path(__file__).parents[1]
    try:
        text = (folder / "pyproject.toml").read_text("utf-8")
    except OSError:
        return None
    return folder if f'name = "{_NAME}"' in text else None


def _required(extra: str) -> list[str]:
    """Returns what the installed package requires for an extra, each in quotes."""
    try:
        lines = importlib.metadata.requires(_NAME) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    from packaging.requirements import Requirement  # Keras requires it

    quoted = []
    for requirement in map(Requirement, lines):
        marker, requirement.marker = requirement.marker, None
        if marker and marker.evaluate({"extra": extra}):
            quoted.append(f'"{requirement}"')
    return quoted
