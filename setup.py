"""Build script: compiles the native engine. What is declarative is in pyproject.toml.

It takes any C++17 compiler ($CXX, c++, g++ or clang++) and no TensorFlow. Without a
compiler the package installs all the same, and `tf_gru_addon.native.status()` says why
its native engine is not there.
"""

import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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

#: Sources that are for one instruction set alone, and what they need.
ARCHITECTURE_FLAGS = {
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


def compile_library(target: pathlib.Path) -> None:
    """Compiles the library; OSError or CalledProcessError if that fails."""
    command = compiler()
    sources = sorted((ROOT / FOLDER).glob("*.cc"))
    if platform.machine().lower() not in ("x86_64", "amd64"):
        sources = [path for path in sources if path.name not in ARCHITECTURE_FLAGS]
    with tempfile.TemporaryDirectory() as scratch:

        def call(*arguments: str | pathlib.Path) -> None:
            subprocess.run(
                [*command, *map(str, arguments)],
                check=True,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )

        def compile_source(source: pathlib.Path) -> str:
            result = f"{scratch}/{source.stem}.o"
            special = ARCHITECTURE_FLAGS.get(source.name, [])
            call(*FLAGS, *special, "-c", source, "-o", result)
            return result

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_source, sources))
        # The library needs TensorFlow's by its name; what is there need not be it.
        soname = "libtensorflow_framework.so.2"
        stub = f"{scratch}/{soname}"
        source = ROOT / FOLDER / "stub.c"
        call("-shared", "-fPIC", f"-Wl,-soname,{soname}", "-x", "c", source, "-o", stub)
        link = ["-shared", "-pthread", "-Wl,--no-as-needed"]
        call(*link, *objects, stub, "-o", target)


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
            log.write_text(f"{error}\n{output}")
            self.announce(f"The native engine was not built: {error}", 3)

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
