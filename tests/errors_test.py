"""The base class of the package's errors, and the helpers for messages."""

import ast
import importlib
from pathlib import Path

import pytest

import tf_gru_addon
from tf_gru_addon.errors import did_you_mean, printable

PACKAGE = Path(tf_gru_addon.__file__).parent
#: The package raises and catches these itself; no user sees them.
INTERNAL = {"UnknownInputsError", "_OtherOutputsError"}


def _error_classes():
    """Yields the package's exception classes; ruff (N818) checks that they end so."""
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE.parent).with_suffix("").parts
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                module = importlib.import_module(".".join(names))
                yield getattr(module, node.name)


def test_every_error_has_one_base():
    classes = [each for each in _error_classes() if each.__name__ not in INTERNAL]
    assert tf_gru_addon.Error in classes
    assert len(classes) > 8
    assert all(issubclass(each, tf_gru_addon.Error) for each in classes), classes


def test_the_former_name_of_the_base():
    assert tf_gru_addon.errors.TfGruAddonError is tf_gru_addon.Error


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("Epohcs", "Did you mean 'epochs'? Known: epochs, seed."),
        ("thesis", "Known: epochs, seed."),
        (3, "Known: epochs, seed."),
    ],
)
def test_did_you_mean(word, hint):
    assert did_you_mean(word, ["epochs", "seed"]) == hint


def test_printable():
    assert printable("\x1b[31mgru\x1b[0m\n1\x00") == "gru\\n1\\x00"
