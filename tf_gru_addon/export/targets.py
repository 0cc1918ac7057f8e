"""The targets: every module of this package that declares a `TARGET`."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tf_gru_addon.errors import ExportError
from tf_gru_addon.export.target import Target


@functools.cache
def targets() -> dict[str, Target]:
    """Returns the targets by name, first those that need no further package."""
    package = __name__.rpartition(".")[0]
    path = importlib.import_module(package).__path__
    names = [f"{package}.{info.name}" for info in pkgutil.iter_modules(path)]
    modules = [importlib.import_module(name) for name in names]
    found = [m.TARGET for m in modules if isinstance(vars(m).get("TARGET"), Target)]
    found.sort(key=lambda target: (bool(target.packages), target.name))
    return {target.name: target for target in found}


def target_of(name: str) -> Target:
    """Returns the target of a name.

    Raises:
        ExportError: There is none.
    """
    if not isinstance(name, str) or name not in targets():
        raise ExportError(
            f"format must be one of {', '.join(targets())}; received: {name!r}."
        )
    return targets()[name]
