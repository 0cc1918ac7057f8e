"""Files of Keras 2 that tests damage."""

import shutil
import warnings

import pytest
from support import legacy_cases
from support.legacy_files import FIXTURES


@pytest.fixture
def path(tmp_path):
    """A copy of an HDF5 file of Keras 2."""
    copy = tmp_path / "model.h5"
    shutil.copy(FIXTURES / "tf1_cudnn_gru.h5", copy)
    return copy


@pytest.fixture(scope="session")
def keras_zip(tf_keras, tmp_path_factory):
    """A .keras file of Keras 2."""
    model, _ = legacy_cases.gru(tf_keras)
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def saved_model(tf_keras, tmp_path_factory):
    """A SavedModel of Keras 2."""
    model = tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))])
    path = tmp_path_factory.mktemp("saved") / "model"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path
