"""The targets of an export: each module here declares one as its `TARGET`.

A module has the name of its target, so the command line can list the targets from the
file names, without the seconds that importing TensorFlow takes.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.target import Target


@functools.cache
def targets() -> dict[str, Target]:
    """Returns the targets by name; those that need no extra package come first."""
    names = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    found = [importlib.import_module(name).TARGET for name in names]
    found.sort(key=lambda target: (bool(target.packages), target.name))
    return {target.name: target for target in found}


def target_of(name: str) -> Target:
    """Returns a target by its name.

    Raises:
        ExportError: No target has this name.
    """
    if not isinstance(name, str) or name not in targets():
        raise ExportError(
            f"format must be one of {', '.join(targets())}; received: {name!r}."
        )
    return targets()[name]
