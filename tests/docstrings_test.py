"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import tf_gru_addon

MODULES = [
    module.name
    for module in pkgutil.walk_packages(tf_gru_addon.__path__, "tf_gru_addon.")
    # The name of the kernels' library looks like a module's.
    if not module.name.endswith(("__main__", "libtf_gru_addon"))
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A writable folder with the repository's configs and fixtures."""
    tests = Path(__file__).parent
    (tmp_path / "configs").symlink_to(tests.parent / "configs")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "fixtures").symlink_to(tests / "fixtures")
    monkeypatch.chdir(tmp_path)


#: Their examples need a framework of the [peers] extra.
PEERS = {
    "tf_gru_addon.export.targets.litert",
    "tf_gru_addon.export.targets.onnx",
    "tf_gru_addon.training.deploy",
    "tf_gru_addon.weights.formats.onnx",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.peer if name in PEERS else ())
        for name in MODULES
    ],
)
def test_examples(name, folder):
    module = importlib.import_module(name)
    globs = {"tf": importlib.import_module("tensorflow")}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs=globs, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(set(tf_gru_addon.__all__) - {"__version__"}))
def test_everything_public_has_an_example(name):
    docstring = getattr(tf_gru_addon, name).__doc__
    assert ">>>" in docstring
    assert "+SKIP" not in docstring
