"""The Keras version that a file states."""

import pytest

from tf_gru_addon.migrate.legacy import LegacyModelError
from tf_gru_addon.migrate.legacy.eras import era_of


@pytest.mark.parametrize(
    ("version", "is_keras_1", "is_tf_keras"),
    [
        (None, True, False),
        ("1.2.2", True, False),
        ("2.0.8", False, False),
        ("2.2.4", False, False),
        ("2.2.4-tf", False, True),
        ("2.3.1", False, False),
        ("2.3.0-tf", False, True),
        ("2.4.0", False, True),
        ("2.15.0", False, True),
    ],
)
def test_the_versions(version, is_keras_1, is_tf_keras):
    era = era_of(version, None, "float32")
    assert (era.is_keras_1, era.is_tf_keras) == (is_keras_1, is_tf_keras)


@pytest.mark.parametrize("version", ["3.0.0", "2", "2.", "4.1", 2.4, [], "two"])
def test_an_unknown_version(version):
    with pytest.raises(LegacyModelError, match="Keras"):
        era_of(version, None, "float32")
