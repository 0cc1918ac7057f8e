"""GRU weights: the canonical layout, and conversions from and to other formats.

Each file format is a module of `formats/`. Importing this package needs only NumPy; a
framework is imported when its format is used.
"""

from tf_gru_addon.weights.cudnn_buffer import from_cudnn_buffer as from_cudnn_buffer
from tf_gru_addon.weights.cudnn_buffer import to_cudnn_buffer as to_cudnn_buffer
from tf_gru_addon.weights.errors import WeightsError as WeightsError
from tf_gru_addon.weights.files import inspect_weights as inspect_weights
from tf_gru_addon.weights.files import read_weights as read_weights
from tf_gru_addon.weights.flax_params import from_flax_linen as from_flax_linen
from tf_gru_addon.weights.flax_params import from_flax_nnx as from_flax_nnx
from tf_gru_addon.weights.flax_params import to_flax_linen as to_flax_linen
from tf_gru_addon.weights.flax_params import to_flax_nnx as to_flax_nnx
from tf_gru_addon.weights.formats.cudnn_gru import from_cudnn_gru as from_cudnn_gru
from tf_gru_addon.weights.formats.cudnn_gru import to_cudnn_gru as to_cudnn_gru
from tf_gru_addon.weights.formats.onnx import read_onnx as read_onnx
from tf_gru_addon.weights.formats.onnx import to_onnx as to_onnx
from tf_gru_addon.weights.formats.tf1 import from_tf1_variables as from_tf1_variables
from tf_gru_addon.weights.formats.tf1 import read_tf1_checkpoint as read_tf1_checkpoint
from tf_gru_addon.weights.formats.tf1 import to_tf1_variables as to_tf1_variables
from tf_gru_addon.weights.formats.tf1 import (
    write_tf1_checkpoint as write_tf1_checkpoint,
)
from tf_gru_addon.weights.formats.torch import from_torch as from_torch
from tf_gru_addon.weights.formats.torch import to_torch as to_torch
from tf_gru_addon.weights.formats.torch import torch_arrays as torch_arrays
from tf_gru_addon.weights.formats.torch import torch_prefixes as torch_prefixes
from tf_gru_addon.weights.gate import Gate as Gate
from tf_gru_addon.weights.gru_layer import GRULayer as GRULayer
from tf_gru_addon.weights.gru_layer import as_stack as as_stack
from tf_gru_addon.weights.gru_weights import GRUWeights as GRUWeights
from tf_gru_addon.weights.keras1 import from_keras1_arrays as from_keras1_arrays
from tf_gru_addon.weights.keras1 import to_keras1_arrays as to_keras1_arrays
from tf_gru_addon.weights.keras_arrays import from_keras_arrays as from_keras_arrays
from tf_gru_addon.weights.keras_arrays import to_keras_arrays as to_keras_arrays
from tf_gru_addon.weights.weights_file import WeightsFile as WeightsFile
from tf_gru_addon.weights.write_files import write_weights as write_weights

__all__ = [
    "GRULayer",
    "GRUWeights",
    "Gate",
    "WeightsError",
    "WeightsFile",
    "as_stack",
    "from_cudnn_buffer",
    "from_cudnn_gru",
    "from_flax_linen",
    "from_flax_nnx",
    "from_keras1_arrays",
    "from_keras_arrays",
    "from_tf1_variables",
    "from_torch",
    "inspect_weights",
    "read_onnx",
    "read_tf1_checkpoint",
    "read_weights",
    "to_cudnn_buffer",
    "to_cudnn_gru",
    "to_flax_linen",
    "to_flax_nnx",
    "to_keras1_arrays",
    "to_keras_arrays",
    "to_onnx",
    "to_tf1_variables",
    "to_torch",
    "torch_arrays",
    "torch_prefixes",
    "write_tf1_checkpoint",
    "write_weights",
]
