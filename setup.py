"""Build script: compiles the native engine. What is declarative is in pyproject.toml.

It takes any C++17 compiler ($CXX, c++, g++ or clang++), also one for another machine,
and no TensorFlow. Without a compiler the package installs all the same, the build says
so in a line, and `tf_gru_addon.native.status()` says why. With the environment variable
TF_GRU_ADDON_REQUIRE_NATIVE=1 the build fails instead.
"""

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
# A product added to something is one operation, with one rounding.
FLAGS += ["-ffp-contract=fast", "-Wall", "-Wextra"]

#: Sources for instruction sets of x86-64 alone, and the flags that they need.
X86_FLAGS = {
    "kernels_avx2.cc": ["-mavx2", "-mfma"],
    "kernels_avx512.cc": ["-mavx512f", "-mfma"],
}


def compiler() -> list[str]:
    """Returns the C++ compiler to call; OSError if there is none."""
    if "CXX" in os.environ:
        return shlex.split(os.environ["CXX"])
    for name in ("c++", "g++", "clang++"):
        if path := shutil.which(name):
            return [path]
    raise OSError("no C++ compiler was found: neither $CXX nor c++, g++ or clang++")


def call(command: list[str | pathlib.Path]) -> str:
    """Runs a command; returns its output. OSError or CalledProcessError if it fails."""
    return subprocess.run(
        list(map(str, command)),
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ).stdout


def targets_x86(compiler: list[str]) -> bool:
    """Returns whether a compiler compiles for x86-64, which this machine need not be.

    The sources ask for the same macro.
    """
    macros = call([*compiler, "-dM", "-E", "-x", "c++", os.devnull])
    return "#define __x86_64__ " in macros


def compile_library(target: pathlib.Path) -> None:
    """Compiles the library; OSError or CalledProcessError if that fails."""
    command = compiler()
    sources = sorted((ROOT / FOLDER).glob("*.cc"))
    if not targets_x86(command):
        sources = [path for path in sources if path.name not in X86_FLAGS]
    with tempfile.TemporaryDirectory() as scratch:

        def compile_source(source: pathlib.Path) -> str:
            result = f"{scratch}/{source.stem}.o"
            special = X86_FLAGS.get(source.name, [])
            call([*command, *FLAGS, *special, "-c", source, "-o", result])
            return result

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_source, sources))
        # The library needs TensorFlow's by its name; what is there need not be it.
        soname = "libtensorflow_framework.so.2"
        stub = f"{scratch}/{soname}"
        source = ROOT / FOLDER / "stub.c"
        shared = [*command, "-shared", "-fPIC"]
        call([*shared, f"-Wl,-soname,{soname}", "-x", "c", source, "-o", stub])
        call([*shared, "-pthread", "-Wl,--no-as-needed", *objects, stub, "-o", target])


def tell(line: str) -> None:
    """Prints a line on the terminal too: of a build that succeeds, pip prints nothing.

    (With -v pip prints all of it.)
    """
    print(line, file=sys.stderr, flush=True)
    if not sys.stderr.isatty():
        with contextlib.suppress(OSError), open("/dev/tty", "w") as terminal:
            print(f"\n{line}", file=terminal)


class BuildNative(build_ext):
    """Compiles the library into the build, or in place for an editable install."""

    def run(self) -> None:
        """Builds the library, or writes down why it could not be built."""
        in_place = self.inplace or getattr(self, "editable_mode", False)
        folder = (ROOT if in_place else pathlib.Path(self.build_lib)) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / BUILD_LOG
        log.unlink(missing_ok=True)
        # Another file, never the same one written over: a process may have it loaded.
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
        """Returns what was built."""
        folder = pathlib.Path(self.build_lib) / FOLDER
        files = (folder / name for name in (LIBRARY, BUILD_LOG))
        return [str(path) for path in files if path.exists()]

    def get_output_mapping(self) -> dict[str, str]:
        """Returns nothing: an editable install is built where it is used."""
        return {}


class Wheel(bdist_wheel):
    """A wheel for any Python of the platform: the library knows none."""

    def get_tag(self) -> tuple[str, str, str]:
        """Returns the wheel's tags."""
        return "py3", "none", super().get_tag()[2]


setup(
    ext_modules=[Extension("tf_gru_addon.native.library", [])],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": Wheel},
)
