"""The layers: what a user puts in a model."""

# Here and not where it is needed, so that a model that holds it loads wherever the
# package is imported.
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps as ReverseTimesteps

__all__ = ["ReverseTimesteps"]
