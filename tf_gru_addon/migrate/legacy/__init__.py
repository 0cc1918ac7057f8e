"""Whole models as Keras 1, Keras 2 and tf.keras saved them."""

from tf_gru_addon.migrate.legacy.errors import LegacyModelError as LegacyModelError
from tf_gru_addon.migrate.legacy.load import load_legacy_model as load_legacy_model

__all__ = ["LegacyModelError", "load_legacy_model"]
