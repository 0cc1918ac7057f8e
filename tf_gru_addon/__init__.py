"""A GRU for TensorFlow and Keras 3: TensorFlow r2.0's cell and a fast layer."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import TYPE_CHECKING, Any

from tf_gru_addon.version import __version__ as __version__

if TYPE_CHECKING:  # the names that `__getattr__` resolves, for type checkers
    from tf_gru_addon import activations as activations
    from tf_gru_addon import config as config
    from tf_gru_addon import datasets as datasets
    from tf_gru_addon import export as export
    from tf_gru_addon import layers as layers
    from tf_gru_addon import migrate as migrate
    from tf_gru_addon import native as native
    from tf_gru_addon import streaming as streaming
    from tf_gru_addon import training as training
    from tf_gru_addon import weights as weights
    from tf_gru_addon.config import build_model as build_model
    from tf_gru_addon.config import load_config as load_config
    from tf_gru_addon.errors import Error as Error
    from tf_gru_addon.layers import GRU as GRU
    from tf_gru_addon.layers import DropoutRNNCellMixin as DropoutRNNCellMixin
    from tf_gru_addon.layers import GRUCell as GRUCell
    from tf_gru_addon.migrate.accelerate import accelerate as accelerate
    from tf_gru_addon.migrate.legacy import load_legacy_model as load_legacy_model
    from tf_gru_addon.ops.engines import use_engine as use_engine
    from tf_gru_addon.streaming import Stream as Stream

__all__ = [
    "GRU",
    "DropoutRNNCellMixin",
    "Error",
    "GRUCell",
    "Stream",
    "__version__",
    "accelerate",
    "build_model",
    "load_config",
    "load_legacy_model",
    "use_engine",
]

#: The module that defines each public name.
_MODULES = {
    "GRU": "layers",
    "DropoutRNNCellMixin": "layers",
    "Error": "errors",
    "GRUCell": "layers",
    "Stream": "streaming",
    "accelerate": "migrate",
    "build_model": "config",
    "load_config": "config",
    "load_legacy_model": "migrate.legacy",
    "use_engine": "ops.engines",
}
#: The public submodules.
_SUBMODULES = (
    *("activations", "config", "datasets", "export", "layers", "migrate", "native"),
    *("streaming", "training", "weights"),
)


if not TYPE_CHECKING:  # a type checker would accept any attribute

    def __getattr__(name: str) -> Any:
        # Import on first use: few users need everything, or have every extra.
        if name in _MODULES:
            return getattr(
                importlib.import_module(f"{__name__}.{_MODULES[name]}"), name
            )
        if name in _SUBMODULES:
            return importlib.import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    special = (name for name in globals() if name.startswith("__"))
    return sorted({*special, *__all__, *_SUBMODULES})


def _is_command_line() -> bool:
    """Whether this process is `tf-gru-addon` or `python -m tf_gru_addon`, starting."""
    program, *rest = getattr(sys, "argv", None) or [""]
    if program == "-m":  # Python's placeholder until it has found the module to run
        module = sys.orig_argv[-1 - len(rest)]
        return re.fullmatch(rf"(-\w*m)?{__name__}", module) is not None
    return os.path.basename(program) == "tf-gru-addon"


# Importing the package registers its layers, so that saved models load, and reports a
# missing TensorFlow or Keras 3. This imports TensorFlow, which takes seconds. The
# command line answers `--help` without it, and imports the layers before it loads a
# model.
if not _is_command_line():
    from tf_gru_addon import layers as layers
