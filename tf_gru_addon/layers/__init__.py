"""The layers: what a user puts in a model.

Importing this package registers all of them, so that saved models with them load.
"""

# Imported first: its error says what to install if TensorFlow or Keras 3 is missing.
from tf_gru_addon import _compat as _compat
from tf_gru_addon.layers import keras2_masks as keras2_masks
from tf_gru_addon.layers import keras2_ops as keras2_ops
from tf_gru_addon.layers.dropout_rnn_cell_mixin import (
    DropoutRNNCellMixin as DropoutRNNCellMixin,
)
from tf_gru_addon.layers.gru import GRU as GRU
from tf_gru_addon.layers.gru_cell import GRUCell as GRUCell
from tf_gru_addon.layers.reverse_timesteps import ReverseTimesteps as ReverseTimesteps

__all__ = ["GRU", "DropoutRNNCellMixin", "GRUCell", "ReverseTimesteps"]
