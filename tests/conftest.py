"""Settings and fixtures of every test."""

import dataclasses
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest
import tensorflow as tf

import tf_gru_addon
from tf_gru_addon import native
from tf_gru_addon.ops import engines

PACKAGE = Path(tf_gru_addon.__file__).parent


def pytest_configure():
    """With `make test-matrix`, requires the installed wheel and the native engine."""
    if not os.environ.get("TEST_WHAT_IS_INSTALLED"):
        return
    if not PACKAGE.is_relative_to(sys.prefix):
        raise pytest.UsageError(f"the tests use {PACKAGE}, not the installed wheel")
    if not native.status().available:
        raise pytest.UsageError(f"no native engine: {native.status().reason}")


def pytest_report_header():
    return [
        f"tf_gru_addon {tf_gru_addon.__version__} from {PACKAGE}",
        f"TensorFlow {tf.__version__}, Keras {keras.__version__}; native: "
        f"{native.status().reason}",
    ]


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """Starts every test from one seed and from Keras' default dtype."""
    keras.utils.set_random_seed(1729)
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="session")
def tf_keras():
    """Keras 2, the live reference for TensorFlow r2.0's semantics."""
    return pytest.importorskip(
        "tf_keras", reason="tf_keras is not installed (make test installs it)"
    )


@pytest.fixture
def ran(monkeypatch):
    """The engines that ran, in order."""
    names = []

    def spied(name, run):
        def spy(call):
            names.append(name)
            return run(call)

        return spy

    for name, engine in engines.ENGINES.items():
        spy = dataclasses.replace(engine, run=spied(name, engine.run))
        monkeypatch.setitem(engines.ENGINES, name, spy)
    return names


@pytest.fixture
def call(capsys):
    """Runs a command; returns its exit code, standard output and standard error."""
    from tf_gru_addon import cli

    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
