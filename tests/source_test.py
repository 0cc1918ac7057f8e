"""Rules of the source code that no other test checks."""

import ast
import graphlib
import pathlib
import re

import pytest

import tf_gru_addon
from tf_gru_addon.version import MIN_KERAS, MIN_TENSORFLOW

PACKAGE = pathlib.Path(tf_gru_addon.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(PACKAGE))
)

#: A part may import itself and the parts before it, at the top of a file or inside a
#: function.
ORDER = [
    "version",
    "packages",
    "_compat",
    "errors",
    "arguments",
    "files",
    "reading",
    "shadow",
    "flat_model",
    "verify",
    "activations",
    "native",
    "ops",
    "layers",
    "weights",
    "__init__",
    "datasets",
    "config",
    "migrate",
    "streaming",
    "export",
    "training",
    "quiet_start",
    "cli",
    "__main__",
]


def _tree(path):
    return ast.parse(path.read_text("utf-8"), str(path))


def _module(path):
    """Returns the dotted name's parts of a file, from the package to the file."""
    return path.relative_to(PACKAGE).with_suffix("").parts


def _imports(path):
    """Returns the absolute names of all imports of a file, nested ones included."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ["tf_gru_addon", *_module(path)][: -node.level or None]
            base = [*(above if node.level else []), *(node.module or "").split(".")]
            base = ".".join(part for part in base if part)
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _part(name):
    """Returns the part of the package that an import names, or None."""
    root, *rest = name.split(".")
    if root != "tf_gru_addon":
        return None
    return rest[0] if rest and rest[0] in ORDER else "__init__"


@EVERY_FILE
def test_only_compat_imports_private_modules(path):
    private = ("keras.src", "tensorflow.python", "tf_keras")
    found = [name for name in _imports(path) if name.startswith(private)]
    assert not found or path.name == "_compat.py"


@EVERY_FILE
def test_imports_point_one_way(path):
    part = _module(path)[0]
    if part == "__init__":
        return  # It re-exports the public names of all parts.
    allowed = ORDER[: ORDER.index(part) + 1]
    found = {_part(name) for name in _imports(path)} - {None}
    assert found <= set(allowed)


def test_the_import_checks_see_imports():
    names = set(_imports(PACKAGE / "layers" / "gru.py"))
    assert "tf_gru_addon.ops.engines" in names
    names = set(_imports(PACKAGE / "training" / "__init__.py"))
    assert "tf_gru_addon.training.train.train" in names
    assert _part("tf_gru_addon.GRU") == "__init__"
    assert _part("tf_gru_addon.ops.engines.choose") == "ops"


def _file_of(name):
    """Returns the file that an import reads, or None for another package."""
    root, *names = name.split(".")
    while root == "tf_gru_addon" and names:
        base = PACKAGE.joinpath(*names)
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.exists():
                return path
        names.pop()  # the last name is something in the file
    return None


def test_no_cycle_between_files():
    graph = {
        # A package's __init__ re-exports the names of its files.
        path: {_file_of(name) for name in _imports(path)} - {None, path}
        for path in FILES
        if path.name != "__init__.py"
    }
    sorter = graphlib.TopologicalSorter(
        {path: found & set(graph) for path, found in graph.items()}
    )
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        cycle = " -> ".join(str(path.relative_to(PACKAGE)) for path in error.args[1])
        pytest.fail(cycle)


@EVERY_FILE
def test_no_assert(path):
    lines = [n.lineno for n in ast.walk(_tree(path)) if isinstance(n, ast.Assert)]
    assert not lines, "python -O drops an assert: raise an error that says what to do"


def _public_definitions(body, prefix=""):
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name[0] != "_":
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from _public_definitions(node.body, f"{node.name}.")


@EVERY_FILE
def test_everything_public_has_a_docstring(path):
    tree = _tree(path)
    assert ast.get_docstring(tree)
    assert not [
        name
        for name, node in _public_definitions(tree.body)
        if not ast.get_docstring(node)
    ]


@EVERY_FILE
def test_no_path_of_a_machine(path):
    text = path.read_text("utf-8")
    assert not re.search(r"[\"'\s(](/home/|/work/|/root/|/Users/|/tmp/|[A-Z]:\\)", text)


def test_pyproject_asks_for_the_versions_that_the_package_checks():
    text = (PACKAGE.parent / "pyproject.toml").read_text("utf-8")
    assert f'"keras>={MIN_KERAS},<4"' in text
    assert f'"tensorflow-cpu>={MIN_TENSORFLOW};' in text
    assert f'"tensorflow>={MIN_TENSORFLOW};' in text
    assert f'"tensorflow[and-cuda]>={MIN_TENSORFLOW}"' in text
