"""The GRU for TensorFlow and Keras: TF r2.0's cell and a fast layer, on Keras 3."""

# First, for it says what to do where TensorFlow or Keras 3 is missing.
from tf_gru_addon import _compat as _compat

# Registers them: a saved model that holds one loads once the package is imported.
from tf_gru_addon.layers import keras2_masks as _keras2_masks  # noqa: F401
from tf_gru_addon.layers import keras2_ops as _keras2_ops  # noqa: F401
from tf_gru_addon.layers.dropout_rnn_cell_mixin import (
    DropoutRNNCellMixin as DropoutRNNCellMixin,
)
from tf_gru_addon.layers.gru import GRU as GRU
from tf_gru_addon.layers.gru_cell import GRUCell as GRUCell
from tf_gru_addon.ops.engines import use_engine as use_engine
from tf_gru_addon.version import __version__ as __version__

__all__ = [
    "GRU",
    "DropoutRNNCellMixin",
    "GRUCell",
    "Stream",
    "__version__",
    "accelerate",
    "build_model",
    "load_config",
    "load_legacy_model",
    "use_engine",
]


def __getattr__(name: str):
    # What not everybody needs, or needs the extra [train], is loaded when asked for.
    if name == "accelerate":
        from tf_gru_addon.migrate import accelerate

        return accelerate
    if name == "Stream":
        from tf_gru_addon.export.stream import Stream

        return Stream
    if name in ("build_model", "load_config"):
        from tf_gru_addon import config

        return getattr(config, name)
    if name == "load_legacy_model":
        from tf_gru_addon.migrate import legacy

        return legacy.load_legacy_model
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
