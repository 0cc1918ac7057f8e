"""Build script: compiles the native engine. Declarative settings are in pyproject.toml.

The build needs a C++17 compiler ($CXX, c++, g++ or clang++; a cross compiler works) and
no TensorFlow. If the library cannot be compiled, the package still installs: the build
prints one line, and `tf_gru_addon.native.status()` gives the reason. With the
environment variable TF_GRU_ADDON_REQUIRE_NATIVE=1, the build fails instead.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = pathlib.Path(__file__).parent
FOLDER = "tf_gru_addon/native"
LIBRARY = "libtf_gru_addon.so"
BUILD_LOG = "build_error.txt"

FLAGS = ["-O3", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread"]
# Fuse a * b + c into one operation with one rounding.
FLAGS += ["-ffp-contract=fast", "-Wall", "-Wextra"]

#: This source is compiled once for each instruction set.
KERNELS = "cell/kernels.cc"
#: The compiler flags of each instruction set. Only "generic" exists outside x86-64.
INSTRUCTION_SETS = {
    "generic": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mfma"],
}


def find_compiler() -> list[str]:
    """Returns the command of the C++ compiler.

    Raises:
        OSError: No compiler was found.
    """
    if "CXX" in os.environ:
        return shlex.split(os.environ["CXX"])
    for name in ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return [path]
    raise OSError("no C++ compiler was found: neither $CXX nor c++, g++ or clang++")


def call(command: list[str]) -> str:
    """Runs a command and returns its output.

    Raises:
        OSError: The command could not be started.
        subprocess.CalledProcessError: The command failed.
    """
    return subprocess.run(
        command,
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ).stdout


def targets_x86(compiler: list[str]) -> bool:
    """Returns whether the compiler produces code for x86-64.

    The target decides, not the machine of the build. `runtime/dispatch.cc` tests the
    same macro.
    """
    macros = call([*compiler, "-dM", "-E", "-x", "c++", os.devnull])
    return "#define __x86_64__ " in macros


def compilations(compiler: list[str]) -> list[tuple[pathlib.Path, list[str]]]:
    """Returns each source with its flags, the slowest compilations first."""
    folder = ROOT / FOLDER
    kernels = folder / KERNELS
    sets = INSTRUCTION_SETS if targets_x86(compiler) else ["generic"]
    once = [path for path in sorted(folder.glob("*/*.cc")) if path != kernels]
    return [
        *((kernels, [f"-DGRU_ISA={isa}", *INSTRUCTION_SETS[isa]]) for isa in sets),
        *((path, []) for path in once),
    ]


def compile_library(target: pathlib.Path) -> None:
    """Compiles and links the library.

    Raises:
        OSError: A command could not be started.
        subprocess.CalledProcessError: A command failed.
    """
    compiler = find_compiler()
    flags = [*FLAGS, f"-I{ROOT / FOLDER}"]
    with tempfile.TemporaryDirectory() as scratch:
        jobs = compilations(compiler)
        objects = [f"{scratch}/{number}.o" for number in range(len(jobs))]
        commands = [
            [*compiler, *flags, *own_flags, "-c", str(source), "-o", result]
            for (source, own_flags), result in zip(jobs, objects, strict=True)
        ]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(call, commands))
        # Link against an empty library with the name of TensorFlow's. At run time, the
        # loader finds the real one, which the process has already loaded.
        soname = "libtensorflow_framework.so.2"
        stub = f"{scratch}/{soname}"
        source = str(ROOT / FOLDER / "tf/stub.c")
        shared = [*compiler, "-shared", "-fPIC"]
        call([*shared, f"-Wl,-soname,{soname}", "-x", "c", source, "-o", stub])
        link = [*shared, "-pthread", "-Wl,--no-as-needed", *objects, stub]
        call([*link, "-o", str(target)])


def tell(line: str) -> None:
    """Prints a line to stderr and, if stderr is captured, to the terminal.

    Without -v, pip shows no output of a build that succeeds.
    """
    print(line, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
            print(f"\n{line}", file=terminal)


class BuildNative(build_ext):
    """Compiles the library: in place for an editable install, else for a wheel."""

    def run(self) -> None:
        """Builds the library, or writes the reason for a failure to BUILD_LOG."""
        in_place = self.inplace or getattr(self, "editable_mode", False)
        folder = (ROOT if in_place else pathlib.Path(self.build_lib)) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / BUILD_LOG
        log.unlink(missing_ok=True)
        # Replace the file instead of overwriting it: a process may have it loaded.
        (folder / LIBRARY).unlink(missing_ok=True)
        try:
            compile_library(folder / LIBRARY)
        except (OSError, subprocess.CalledProcessError) as error:
            output = getattr(error, "output", None) or ""
            if os.environ.get("TF_GRU_ADDON_REQUIRE_NATIVE") == "1":
                raise CompileError(
                    f"the native engine could not be built: {error}\n{output}"
                ) from error
            log.write_text(f"{error}\n{output}")
            tell(
                "tf_gru_addon: the native engine was NOT built, so GRUs will run more "
                "slowly, without it. tf_gru_addon.native.status() says why; "
                "TF_GRU_ADDON_REQUIRE_NATIVE=1 makes this an error."
            )

    def get_outputs(self) -> list[str]:
        """Returns the files that the build produced."""
        folder = pathlib.Path(self.build_lib) / FOLDER
        files = (folder / name for name in (LIBRARY, BUILD_LOG))
        return [str(path) for path in files if path.exists()]

    def get_output_mapping(self) -> dict[str, str]:
        """Returns an empty mapping: an editable install builds in place."""
        return {}


class Wheel(bdist_wheel):
    """A wheel for every Python version: the library does not use Python's C API."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the tags of the wheel: interpreter, ABI, platform."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("tf_gru_addon.native.library", [])],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": Wheel},
)
