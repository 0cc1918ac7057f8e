"""setup.py: the compiler it calls, and what it reports when the build fails."""

import os
import re
from pathlib import Path

import pytest
from support.harness import run_python

from tf_gru_addon import native

#: Runs the build as setuptools does, without the settings of pyproject.toml.
BUILD = """
import runpy, sys
import setuptools

setuptools.setup = lambda **options: None
module = runpy.run_path(sys.argv[1])
command = module["BuildNative"](setuptools.Distribution())
command.finalize_options()
command.build_lib = sys.argv[2]
command.run()
print(*command.get_outputs())
"""
SETUP = Path(__file__).parents[2] / "setup.py"


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CXX": "no-such-compiler"}, "No such file or directory: 'no-such-compiler'"),
        ({"CXX": "sh -c 'echo too old; exit 3' --"}, "exit status 3.\ntoo old"),
        ({"PATH": ""}, "no C++ compiler was found: neither $CXX nor c++, g++ or cl"),
    ],
    ids=["not_found", "fails", "none"],
)
def test_a_failed_build_is_reported_and_the_package_installs(
    environment, reason, tmp_path, monkeypatch
):
    monkeypatch.delenv("CXX", raising=False)
    process = run_python(BUILD, SETUP, tmp_path, env=environment)
    assert process.stderr.count("the native engine was NOT built") == 1
    folder = tmp_path / "tf_gru_addon" / "native"
    assert process.stdout.strip() == str(folder / native.BUILD_LOG)
    assert os.listdir(folder) == [native.BUILD_LOG]
    monkeypatch.setattr(native, "__file__", str(folder / "__init__.py"))
    native._load.cache_clear()
    try:
        status = native.status()
    finally:
        native._load.cache_clear()
    assert not status.available
    assert re.match("it could not be built: .*" + re.escape(reason), status.reason)


def test_a_failed_build_is_an_error_if_the_native_engine_is_required(tmp_path):
    environment = {"CXX": "sh -c 'echo too old; exit 3' --"}
    environment["TF_GRU_ADDON_REQUIRE_NATIVE"] = "1"
    process = run_python(BUILD, SETUP, tmp_path, env=environment, check=False)
    assert process.returncode != 0
    message = (
        "CompileError: the native engine could not be built: .*exit status 3.\ntoo o"
    )
    assert re.search(message, process.stderr)
    assert not any((tmp_path / "tf_gru_addon" / "native").iterdir())


#: Runs Python in a terminal with its output captured, as pip does; prints what the
#: terminal shows.
TERMINAL = """
import os, pty, subprocess, sys

child, terminal = pty.fork()
if child == 0:
    subprocess.run([sys.executable, *sys.argv[1:]], capture_output=True)
    os._exit(0)
said = b""
try:
    while data := os.read(terminal, 1000):
        said += data
except OSError:  # end of file
    pass
print(said.decode())
"""


def test_the_terminal_shows_the_failure_although_pip_hides_it(tmp_path):
    environment = {"CXX": "no-such-compiler"}
    arguments = ["-c", BUILD, SETUP, tmp_path]
    (line,) = run_python(TERMINAL, *arguments, env=environment).stdout.split("\n\n")[:1]
    assert line.strip().startswith("tf_gru_addon: the native engine was NOT built")
    assert "native.status() says why" in line


#: A compiler whose target defines one macro; it logs its arguments.
FAKE_COMPILER = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *-dM*) echo "#define {macro} 1" ;; esac
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then : > "$2"; fi
  shift
done
"""


@pytest.mark.parametrize("macro", ["__x86_64__", "__aarch64__"])
def test_the_target_of_the_compiler_selects_the_instruction_sets(macro, tmp_path):
    fake, log = tmp_path / "c++", tmp_path / "log.txt"
    fake.write_text(FAKE_COMPILER.format(log=log, macro=macro))
    fake.chmod(0o755)
    process = run_python(BUILD, SETUP, tmp_path, env={"CXX": str(fake)})
    assert process.stdout.strip().endswith(native.LIBRARY)
    calls = log.read_text()
    assert calls.count("-DGRU_ISA=generic") == 1
    x86 = macro == "__x86_64__"
    for special in ("-DGRU_ISA=avx2", "-mavx2", "-DGRU_ISA=avx512", "-mavx512f"):
        assert calls.count(special) == x86, special
