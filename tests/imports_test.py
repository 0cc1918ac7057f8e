"""Importing the package: its names, what it loads, and its errors."""

import ast
import importlib
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf
from support.harness import run_python

import tf_gru_addon
from tf_gru_addon import _compat
from tf_gru_addon.packages import install_command

PUBLIC = {
    "DropoutRNNCellMixin",
    "Error",
    "GRU",
    "GRUCell",
    "Stream",
    "__version__",
    "accelerate",
    "build_model",
    "load_config",
    "load_legacy_model",
    "use_engine",
}

HIDE = """
import sys

class Hide:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            return None
        return self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

hidden = set()
sys.meta_path[:] = [Hide(finder) for finder in sys.meta_path]
"""


def test_all_is_complete_and_resolves():
    assert set(tf_gru_addon.__all__) == PUBLIC
    assert all(getattr(tf_gru_addon, name) is not None for name in PUBLIC)


SUBMODULES = {
    *("activations", "config", "datasets", "export", "layers", "migrate", "native"),
    *("streaming", "training", "weights"),
}


def test_dir_lists_what_the_documents_use():
    assert set(dir(tf_gru_addon)) >= PUBLIC | SUBMODULES | {"__doc__", "__path__"}


def test_type_checkers_see_the_lazy_names():
    """The imports under TYPE_CHECKING are the names that `__getattr__` resolves."""
    tree = ast.parse(Path(tf_gru_addon.__file__).read_text("utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    for node in block.body:
        module = importlib.import_module(node.module)
        for alias in node.names:
            assert getattr(module, alias.name) is getattr(tf_gru_addon, alias.asname)
    seen = {alias.asname for node in block.body for alias in node.names}
    assert seen == (PUBLIC | SUBMODULES) - {"__version__"}


@pytest.mark.parametrize(
    ("argv", "original", "is_command"),
    [
        (["/venv/bin/tf-gru-addon", "train"], ["python", "..."], True),
        (["-m", "train"], ["python", "-X", "dev", "-m", "tf_gru_addon", "train"], True),
        (["-m"], ["python", "-Im", "tf_gru_addon"], True),
        (["-m", "-m"], ["python", "-mtf_gru_addon", "-m"], True),
        (["-m"], ["python", "-m", "mine.tf_gru_addon"], False),
        (["-m", "tf_gru_addon"], ["python", "-m", "mine", "tf_gru_addon"], False),
        (["train.py", "tf-gru-addon"], ["python", "train.py", "tf-gru-addon"], False),
        (["-c", "-m"], ["python", "-c", "import tf_gru_addon", "-m"], False),
        ([""], ["python"], False),
        ([], ["python"], False),
    ],
)
def test_the_command_line_is_told_apart_from_a_library(
    monkeypatch, argv, original, is_command
):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", original)
    assert tf_gru_addon._is_command_line() is is_command


def test_an_unknown_attribute():
    with pytest.raises(AttributeError, match="'tf_gru_addon' has no attribute 'LSTM'"):
        tf_gru_addon.LSTM  # noqa: B018


IMPORT_THE_PACKAGE = (
    HIDE
    + """
import keras, tensorflow
before = set(sys.modules)
import tf_gru_addon
# TensorFlow makes a module, loaded from nowhere, of the wrappers of the native ops.
new = {name for name in set(sys.modules) - before if sys.modules[name].__loader__}
ours = {name.partition(".")[0] for name in new}
assert ours <= {"tf_gru_addon", "keras", "tensorflow", *sys.stdlib_module_names}, ours
heavy = (
    *("config", "training", "datasets", "cli"),
    *("migrate", "streaming", "export", "weights"),
)
assert not {f"tf_gru_addon.{name}" for name in heavy} & set(sys.modules)
from tf_gru_addon.packages import install_command

for missing in ("pydantic", "yaml"):
    for name in list(sys.modules):
        if name.partition(".")[0] == missing:
            del sys.modules[name]
    hidden.add(missing)
    for name in ("build_model", "load_config"):
        try:
            getattr(tf_gru_addon, name)("configs/tiny.yaml")
        except ImportError as error:
            assert install_command(extra="train") in str(error), error
            assert missing in str(error), error
        else:
            raise SystemExit(f"{name} raises nothing without {missing}")
    hidden.clear()

assert callable(tf_gru_addon.load_config)
assert callable(tf_gru_addon.build_model)
for name in sys.argv[1].split():
    module = getattr(tf_gru_addon, name)
    assert module is sys.modules[f"tf_gru_addon.{name}"]
tf_gru_addon.export.export_saved_model, tf_gru_addon.migrate.to_keras
"""
)


def test_importing_loads_nothing_that_only_training_uses():
    run_python(IMPORT_THE_PACKAGE, " ".join(sorted(SUBMODULES)))


def _import_error(code, env=None):
    """Returns the last error line of a process that fails to import the package."""
    process = run_python(code, env=env, check=False)
    assert process.returncode == 1, process.stderr
    return process.stderr.strip().splitlines()[-1]


def test_without_tensorflow_the_error_says_what_to_install():
    error = _import_error(HIDE + "hidden.add('tensorflow')\nimport tf_gru_addon")
    assert error.startswith("ImportError: tf_gru_addon needs TensorFlow 2.16 or later")
    assert install_command(extra="cpu") in error


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_in_the_environment(backend):
    error = _import_error("import tf_gru_addon", {"KERAS_BACKEND": backend})
    assert error.startswith("ImportError: tf_gru_addon runs on Keras' TensorFlow")
    assert f"KERAS_BACKEND is {backend!r}. Set KERAS_BACKEND=tensorflow" in error


def test_another_backend_in_keras_json(tmp_path):
    """Without JAX, Keras itself fails to import, with a less helpful error."""
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    error = _import_error("import tf_gru_addon", {"KERAS_HOME": str(tmp_path)})
    assert error.startswith("ImportError: tf_gru_addon")
    assert "jax'" in error
    assert "KERAS_BACKEND=tensorflow, or change `backend` in keras.json" in error


def test_keras_running_on_another_backend(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match="Keras is configured for 'jax'"):
        _compat._check_environment()


@pytest.mark.parametrize(
    ("module", "version"),
    [(tf, "2.15.1"), (tf, "1.15.5"), (keras, "3.3.2"), (keras, "2.15.0")],
)
def test_a_version_that_is_too_old(monkeypatch, module, version):
    monkeypatch.setattr(module, "__version__", version)
    with pytest.raises(ImportError, match=rf"or later, and found {version}\. Upgrade"):
        _compat._check_environment()


@pytest.mark.parametrize(
    ("module", "version"),
    [(tf, "2.16.0-rc0"), (tf, "3.0.0"), (keras, "3.3.3"), (keras, "3.20.0.dev202601")],
)
def test_a_version_that_is_new_enough_is_accepted(monkeypatch, module, version):
    monkeypatch.setattr(module, "__version__", version)
    _compat._check_environment()


def test_legacy_keras_warns_on_import():
    code = "import warnings; warnings.simplefilter('error'); import tf_gru_addon"
    error = _import_error(code, {"TF_USE_LEGACY_KERAS": "1"})
    assert error.startswith("UserWarning: TF_USE_LEGACY_KERAS is set, so tf.keras is")
    assert "unset TF_USE_LEGACY_KERAS" in error


def _sequential(tf_keras):
    layer = tf_keras.layers.RNN(tf_gru_addon.GRUCell(2))
    return tf_keras.Sequential([tf_keras.Input((4, 3)), layer])


@pytest.mark.parametrize(
    "use",
    [
        lambda k: k.layers.RNN(tf_gru_addon.GRUCell(2))(tf.ones([2, 4, 3])),
        lambda k: k.layers.RNN(tf_gru_addon.GRUCell(2))(k.Input((4, 3))),
        lambda k: k.layers.RNN([tf_gru_addon.GRUCell(2)])(k.Input((4, 3))),
        _sequential,
        lambda k: k.layers.Lambda(tf_gru_addon.GRU(2))(tf.ones([2, 4, 3])),
        lambda k: tf_gru_addon.GRU(2)(k.Input((4, 3))),
        lambda k: tf_gru_addon.GRU(2)(tf.ones([2, 4, 3]), initial_state=k.Input((2,))),
        lambda k: tf_gru_addon.GRUCell(2)(k.Input((3,)), [k.Input((2,))]),
    ],
    ids=[
        "rnn_eager",
        "rnn_functional",
        "rnn_stacked",
        "rnn_sequential",
        "layer_inside",
        "layer_on_placeholder",
        "layer_on_placeholder_state",
        "cell_on_placeholder",
    ],
)
def test_keras_2_gets_an_error_about_keras_3(tf_keras, use):
    with pytest.raises(TypeError, match=r"(?s)is a Keras 3 layer.*`import keras`"):
        use(tf_keras)


def test_keras_3_works_beside_keras_2(tf_keras):
    outputs = tf_gru_addon.GRU(2)(keras.Input((4, 3)))
    assert outputs.shape == (None, 2)
