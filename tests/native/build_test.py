"""What setup.py does where the library cannot be built."""

import os
import re
from pathlib import Path

import pytest
from harness import run_python

from tf_gru_addon import native

#: Runs the build as setuptools does, without what pyproject.toml asks of setuptools.
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
def test_without_a_compiler_that_works(environment, reason, tmp_path, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    process = run_python(BUILD, SETUP, tmp_path, env=environment)
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
