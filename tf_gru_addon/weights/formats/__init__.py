"""The file formats: each module here that declares a `FORMAT` is one.

`FORMATS` holds them by name. Reading, writing, the command line, the documentation's
table and picture, and the tests iterate over it, so a new format is one new module.
Modules without a `FORMAT` are helpers or conversions that have no file.
"""

from __future__ import annotations

import importlib
import pkgutil

from tf_gru_addon.weights.format import Format


def _found() -> dict[str, Format]:
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    formats = [module.FORMAT for module in modules if hasattr(module, "FORMAT")]
    return {format.name: format for format in formats}


#: All formats by name, in the order of their modules' names.
FORMATS = _found()


def written() -> dict[str, Format]:
    """Returns the formats that `write_weights` can write, by name."""
    return {name: form for name, form in FORMATS.items() if form.write is not None}
