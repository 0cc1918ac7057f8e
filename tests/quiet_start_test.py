"""What a process shows when its TensorFlow prints while loading."""

import os
import subprocess
import sys

import pytest

NOTICES = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to",
    "I0000 00:00:1795574333.353737    7584 port.cc:153] oneDNN custom operations on",
)
WARNINGS = (
    "W0000 00:00:1795574333.353737    7584 a.cc:1] the driver is too old",
    "E0000 00:00:1795574333.353737    7584 a.cc:1] no device",
    "I am no notice",
)
PRINTING = """
import os
os.write(2, {text!r})
value = 1
"""
IMPORTING = """
import importlib.util, sys
from tf_gru_addon.quiet_start import hide_notices
hide_notices()
assert importlib.util.find_spec("tensorflow")
import tensorflow
assert tensorflow.value == 1
assert tensorflow.__spec__.loader.get_data(tensorflow.__file__)
print("after", file=sys.stderr)
"""


@pytest.fixture
def shown(tmp_path):
    """Starts a process with a made-up TensorFlow; returns what it prints."""

    def start(source, code=IMPORTING, **environment):
        (tmp_path / "tensorflow.py").write_text(source)
        # With this name, the package does not import this test's TensorFlow.
        script = tmp_path / "tf-gru-addon"
        script.write_text(code)
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        variables = os.environ | {"PYTHONPATH": path} | environment
        variables = {key: x for key, x in variables.items() if x is not None}
        command = [sys.executable, script]
        return subprocess.run(command, env=variables, capture_output=True, text=True)

    return start


def printing(*lines):
    return PRINTING.format(text="".join(f"{line}\n" for line in lines).encode())


def test_notices_are_hidden_and_warnings_shown(shown):
    source = printing(NOTICES[0], WARNINGS[0], NOTICES[1], *WARNINGS[1:])
    done = shown(source, TF_CPP_MIN_LOG_LEVEL=None)
    assert done.stderr.splitlines() == [*WARNINGS, "after"]
    assert done.returncode == 0


def test_everything_is_shown_on_request(shown):
    done = shown(printing(*NOTICES), TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr.splitlines() == [*NOTICES, "after"]


def test_the_output_of_an_aborting_library_is_shown(shown):
    done = shown(printing(*NOTICES, "F0000 no AVX") + "os.abort()")
    assert done.stderr.splitlines() == ["F0000 no AVX"]
    assert done.returncode < 0


def test_a_failed_import_is_shown(shown):
    done = shown(printing(*NOTICES) + "raise ImportError('a library is missing')")
    assert done.stderr.splitlines()[-1] == "ImportError: a library is missing"


def test_standard_error_may_be_closed(shown):
    code = "import os\nos.close(2)\n" + IMPORTING.rpartition("print")[0]
    assert shown("value = 1", code).returncode == 0
