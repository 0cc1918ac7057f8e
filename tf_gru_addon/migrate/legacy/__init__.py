"""Loading whole models that Keras 1, Keras 2 and tf.keras saved.

A file becomes a model in these steps, a module each:

- `load`: opens the file and runs the other steps;
- `hdf5`, `saved_model`: read a format: its config, its era and its arrays;
- `eras`: tells which Keras wrote the file, and translates configs of Keras 1;
- `config`: reads JSON and YAML, and the entry of each layer;
- `graph`: makes the model: its inputs, and the calls of layers and operations;
- `layers`: makes a layer from its entry;
- `catalog`: lists the supported layers;
- `arguments`: translates the arguments of a layer;
- `weights`: assigns the arrays of the file to the layers.
"""

from tf_gru_addon.migrate.legacy.errors import LegacyModelError as LegacyModelError
from tf_gru_addon.migrate.legacy.load import load_legacy_model as load_legacy_model

__all__ = ["LegacyModelError", "load_legacy_model"]
