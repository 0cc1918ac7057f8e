"""Every example in a docstring runs."""

import doctest
import importlib
import pkgutil

import pytest

import tf_gru_addon

MODULES = [
    module.name
    for module in pkgutil.walk_packages(tf_gru_addon.__path__, "tf_gru_addon.")
    if not module.name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name)
    globs = {"tf": importlib.import_module("tensorflow")}
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(module, extraglobs=globs, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("name", ["GRU", "GRUCell", "DropoutRNNCellMixin"])
def test_public_classes_have_an_example(name):
    assert ">>>" in getattr(tf_gru_addon, name).__doc__
