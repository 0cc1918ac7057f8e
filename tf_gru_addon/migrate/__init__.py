"""Bringing existing models and weights to this package's layers, and back."""

from tf_gru_addon.migrate.accelerate import accelerate as accelerate
from tf_gru_addon.migrate.acceleration import Acceleration as Acceleration
from tf_gru_addon.migrate.from_keras import from_keras as from_keras
from tf_gru_addon.migrate.to_keras import to_keras as to_keras

__all__ = ["Acceleration", "accelerate", "from_keras", "to_keras"]
