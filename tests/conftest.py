"""What every test runs under."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """Every test starts from one seed and from Keras' default dtype."""
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
