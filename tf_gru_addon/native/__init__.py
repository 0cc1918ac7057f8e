"""Finds and loads the library of the native engine, and reports why it cannot.

`setup.py` compiles the library next to this file from the C++ sources in the folders:

- `include/`: the C ABI, `gru.h`.
- `cell/`: the equations of both conventions, and the passes over time.
- `gemm/`: the matrix products.
- `runtime/`: threads, memory, the choice of the instruction set, all thresholds.
- `tf/`: the TensorFlow ops.
"""

from __future__ import annotations

import functools
import os
import pathlib
import sys
import warnings
from types import ModuleType
from typing import NamedTuple

LIBRARY = "libtf_gru_addon.so"
#: The build writes the reason of a failure to this file, next to the library.
BUILD_LOG = "build_error.txt"


class Status(NamedTuple):
    """Whether the native engine can be used, and why.

    Attributes:
        available: Whether it can be used.
        reason: The reason if it cannot; else the instruction set of its kernels, and
            whether that differs from the one that TF_GRU_ADDON_ISA names.
    """

    available: bool
    reason: str


def status() -> Status:
    """Returns whether the native engine can be used, and if not, why.

    The environment variable TF_GRU_ADDON_NATIVE=0 turns the engine off.
    TF_GRU_ADDON_ISA selects an instruction set: avx512, avx2 or generic. A value that
    the machine does not support is ignored with a warning.

    Example:
        >>> from tf_gru_addon import native
        >>> isinstance(native.status().available, bool)
        True
    """
    if os.environ.get("TF_GRU_ADDON_NATIVE") == "0":
        return Status(False, "the environment variable TF_GRU_ADDON_NATIVE is 0")
    return _load()[1]


def ops() -> ModuleType:
    """Returns the Python wrappers of the library's ops.

    Raises:
        RuntimeError: The library cannot be used; the message gives the reason.
    """
    state = status()
    module = _load()[0] if state.available else None
    if module is None:
        raise RuntimeError(f"The native engine is not available: {state.reason}.")
    return module


@functools.cache
def _load() -> tuple[ModuleType | None, Status]:
    """Loads the library once; returns the wrappers of its ops, if it can be used."""
    folder = pathlib.Path(__file__).parent
    path = folder / LIBRARY
    if not path.exists():
        return None, Status(False, _why_missing(folder))
    import ctypes

    import tensorflow as tf

    try:
        module = tf.load_op_library(str(path))
        library = ctypes.CDLL(str(path))
    except (tf.errors.OpError, OSError) as error:
        return None, Status(False, f"{path} could not be loaded: {error}")
    library.gru_registration_error.restype = ctypes.c_char_p
    library.gru_isa.restype = ctypes.c_char_p
    if reason := library.gru_registration_error().decode():
        return None, Status(False, f"TensorFlow refused its ops: {reason}")
    return module, Status(True, _what_runs(library.gru_isa().decode()))


def _why_missing(folder: pathlib.Path) -> str:
    """Returns why the library is missing from a folder, and what to do."""
    log = folder / BUILD_LOG
    if log.exists():
        return f"it could not be built: {log.read_text().strip()}"
    reason = f"there is no {LIBRARY} in {folder}"
    package = folder.parent
    for entry in sys.path:
        other = pathlib.Path(entry, package.name).absolute()
        if other != package.absolute() and (other / folder.name / LIBRARY).exists():
            return (
                f"{reason}: Python imports the sources in {package.parent}, not the "
                f"copy installed in {other.parent}, which has the library; run Python "
                "from another folder, or build the library in the sources with "
                'pip install -e ".[cpu]"'
            )
    if (package.parent / "setup.py").exists():
        reason += '; pip install -e ".[cpu]" builds it there'
    return reason


def _what_runs(isa: str) -> str:
    """Returns which instruction set runs; warns if another one was requested."""
    wanted = os.environ.get("TF_GRU_ADDON_ISA") or isa
    if wanted == isa:
        return f"its kernels run {isa}"
    reason = (
        f"its kernels run {isa}: the environment variable TF_GRU_ADDON_ISA is "
        f"{wanted!r}, which is not one of 'avx512', 'avx2' and 'generic', or not "
        "supported by this machine"
    )
    warnings.warn(f"tf_gru_addon's native engine: {reason}.", stacklevel=2)
    return reason
