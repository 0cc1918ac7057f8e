"""The native engine's library: finding it, loading it, saying why it is not there.

The library lies beside this file and is built by `setup.py` with the C++ compiler there
is. `gru.h` describes the kernels, `op.cc` the TensorFlow ops around them.
"""

import functools
import os
import pathlib
import sys
import warnings
from types import ModuleType
from typing import NamedTuple

LIBRARY = "libtf_gru_addon.so"
#: Beside the library where it could not be built: why.
BUILD_LOG = "build_error.txt"


class Status(NamedTuple):
    """Whether the native engine can be used.

    Attributes:
        available: Whether it can.
        reason: If not, why; else which instruction set its kernels run, and if that is
            not the one that TF_GRU_ADDON_ISA names, that too.
    """

    available: bool
    reason: str


def status() -> Status:
    """Returns whether the native engine can be used, and if not, why.

    Setting the environment variable TF_GRU_ADDON_NATIVE=0 turns the engine off.
    TF_GRU_ADDON_ISA names the instruction set to run, avx512, avx2 or generic; what the
    machine lacks is passed over with a warning.

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
        RuntimeError: The library cannot be used; the message says why.
    """
    state = status()
    if not state.available:
        raise RuntimeError(f"The native engine is not available: {state.reason}.")
    return _load()[0]


@functools.cache
def _load() -> tuple[ModuleType | None, Status]:
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
    if error := library.gru_registration_error().decode():
        return None, Status(False, f"TensorFlow refused its ops: {error}")
    return module, Status(True, _what_runs(library.gru_isa().decode()))


def _why_missing(folder: pathlib.Path) -> str:
    """Returns why the library is not in a folder, and what to do."""
    log = folder / BUILD_LOG
    if log.exists():
        return f"it could not be built: {log.read_text().strip()}"
    reason = f"there is no {LIBRARY} in {folder}"
    package = folder.parent
    for entry in sys.path:
        other = pathlib.Path(entry, package.name).absolute()
        if other != package.absolute() and (other / folder.name / LIBRARY).exists():
            return (
                f"{reason}: Python imports the sources in {package.parent}, and not "
                f"the copy installed in {other.parent}, which has one; run Python from "
                "another folder, or install the sources where they are with "
                'pip install -e ".[cpu]"'
            )
    if (package.parent / "setup.py").exists():
        reason += '; pip install -e ".[cpu]" builds it there'
    return reason


def _what_runs(isa: str) -> str:
    """Returns which instruction set runs; warns unless it is the one asked for."""
    wanted = os.environ.get("TF_GRU_ADDON_ISA") or isa
    if wanted == isa:
        return f"its kernels run {isa}"
    reason = (
        f"its kernels run {isa}, as the environment variable TF_GRU_ADDON_ISA is "
        f"{wanted!r}, which is none of 'avx512', 'avx2' and 'generic', or which this "
        "machine lacks"
    )
    warnings.warn(f"tf_gru_addon's native engine: {reason}.", stacklevel=2)
    return reason
