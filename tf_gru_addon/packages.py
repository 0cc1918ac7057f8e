"""The commands that install missing packages."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

_NAME = "tf_gru_addon"
#: Distributions whose name differs from the module's.
_DISTRIBUTIONS = {"yaml": "pyyaml"}


def install_command(*packages: str, extra: str | None = None) -> str:
    """Returns the command that installs packages, or an extra of this package.

    This package is on no index, so `pip install "tf_gru_addon[train]"` would fail. If
    the package is imported from a clone, the command installs the clone with the extra;
    otherwise it installs the packages that the extra requires.

    Args:
        *packages: The missing modules.
        extra: The extra that they belong to, if any.

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
    """Returns the root of the clone that this package is imported from, or None."""
    folder = Path(__file__).parents[1]
    try:
        text = (folder / "pyproject.toml").read_text("utf-8")
    except OSError:
        return None
    return folder if f'name = "{_NAME}"' in text else None


def _required(extra: str) -> list[str]:
    """Returns the quoted requirements of an extra of the installed package."""
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
