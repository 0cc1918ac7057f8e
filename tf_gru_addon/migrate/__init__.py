"""Bringing models that exist to this package's layers."""

from tf_gru_addon.migrate.accelerate import accelerate as accelerate
from tf_gru_addon.migrate.acceleration import Acceleration as Acceleration

__all__ = ["Acceleration", "accelerate"]
