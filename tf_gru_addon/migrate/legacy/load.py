"""Loads whole models that Keras 1, Keras 2 and tf.keras saved."""

from __future__ import annotations

import contextlib
import os
import pathlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import keras

from tf_gru_addon import arguments
from tf_gru_addon.migrate.legacy.config import Entry, read_architecture
from tf_gru_addon.migrate.legacy.eras import from_keras_1
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.graph import make_model
from tf_gru_addon.migrate.legacy.hdf5 import HDF5Model, KerasZip, open_keras_zip
from tf_gru_addon.migrate.legacy.layers import LayerFactory
from tf_gru_addon.migrate.legacy.saved_model import SavedModelFolder
from tf_gru_addon.migrate.legacy.weights import fill
from tf_gru_addon.reading import boundary, require_regular
from tf_gru_addon.reading.hdf5 import open_hdf5

#: What an error says about a file that a library cannot read.
_UNREADABLE = (
    "it cannot be read",
    "It is damaged, cut short or of another format: get it again.",
)


def load_legacy_model(
    path: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    architecture: str | os.PathLike[str] | None = None,
) -> keras.Model:
    """Loads a whole model that Keras 1, Keras 2 or tf.keras before 2.16 saved.

    The loaded model computes what the model computed in the Keras that wrote the file,
    to float32 rounding. What Keras 3 refuses or interprets differently is translated:

    - `GRU`, `CuDNNGRU` and `GRUCell` become this package's `GRU` and `GRUCell`.
    - `hard_sigmoid` is `clip(0.2 x + 0.5, 0, 1)`, as it was before Keras 3, in every
      layer.
    - A GRU without `reset_after` in its config applies the reset gate before the
      recurrent product, as Keras did before the argument existed.
    - Masks pass through merging layers, `TimeDistributed`, attention and layers with
      given states as they did in Keras 2.
    - Old arguments (`batch_input_shape`, `implementation=0`, Keras 1's
      `inner_activation`, `dropout_W`, ...) and old weight layouts (Keras 1's nine
      arrays, CuDNNGRU's) are converted. A GRU with `time_major=True` is refused.
    - Operations between layers, such as `x[:, -1]`, `x + y` or `tf.concat([x, y], -1)`,
      are taken from a fixed list.

    Functional and Sequential models are supported, including nested models and shared
    layers, with the layers that are common around recurrent ones. An unsupported layer
    or operation is refused with an error that names it. Code in a file is never run: a
    `Lambda` is refused, and classes are only looked up in a fixed list and in
    `custom_objects`. The file is only read.

    The model is not compiled, and the optimizer's state is not restored. In further
    training, dropout is that of today's layers: a recurrent mask never multiplies the
    carried state, as it once did with `implementation=2`.

    Args:
        path: An HDF5 file (`.h5`, `.hdf5`), a `.keras` file, or a SavedModel folder
            with Keras' metadata.
        custom_objects: Your own layer classes, which are made by their `from_config`,
            and activations, initializers, regularizers and constraints, by their names
            in the file. A model whose initializer, regularizer or constraint is missing
            here loads without it, with a warning, because predictions do not depend on
            it.
        architecture: The file with the result of `model.to_json()` if `path` only holds
            weights in HDF5 (`model.save_weights`); or of `model.to_yaml()`, in a file
            named `.yaml` or `.yml`. The layers get the weights in order, as in Keras.

    Returns:
        A `keras.Sequential` for a Sequential model, else a `keras.Model`, with the
        names of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: An argument has an unsupported value.
        LegacyModelError: A `ValueError`: the file is damaged, has another format, or
            uses an unsupported feature. The message names the file and the layer, and
            says what was expected and what to do.

    Example:
        >>> import tf_gru_addon
        >>> model = tf_gru_addon.load_legacy_model("tests/fixtures/keras1_gru.h5")
        >>> [type(layer).__name__ for layer in model.layers]
        ['Masking', 'GRU', 'Dropout', 'Dense']
        >>> model.layers[1].reset_after
        False
    """
    path = arguments.path("path", path)
    custom = _checked(custom_objects)
    where, config = str(path), None
    if architecture is not None:
        architecture = arguments.path("architecture", architecture)
        if path.is_dir() or path.suffix == ".keras":
            raise ValueError(
                f"architecture must be None for {path}, which holds its own; received: "
                f"{str(architecture)!r}."
            )
        where = f"{path} with {architecture}"
        with boundary(architecture, LegacyModelError, *_UNREADABLE):
            config = read_architecture(architecture)
    with (
        boundary(where, LegacyModelError, *_UNREADABLE),
        _open(path, config) as source,
    ):
        factory = LayerFactory(source.era, custom, source.size, make_model)
        model = _load(source, factory)
    if factory.left_out:
        missing = [f"{x} of {', '.join(y)}" for x, y in factory.left_out.items()]
        warnings.warn(
            f"{where}: loaded without {'; '.join(missing)}. Predictions do not depend "
            "on it, but further training does. To keep it, pass it in custom_objects "
            "by that name.",
            stacklevel=2,
        )
    return model


#: A file of any format, opened.
_Source = HDF5Model | KerasZip | SavedModelFolder


def _load(source: _Source, factory: LayerFactory) -> keras.Model:
    config = source.config
    if source.era.is_keras_1:
        config = from_keras_1(config)
    entry = Entry.read(config, "the model")
    # Bidirectional needs the scope: it makes its second layer from a config.
    with (
        warnings.catch_warnings(),
        keras.saving.custom_object_scope(factory.custom),
    ):
        # Keras warns about every nested model, and about layers that never passed a
        # mask on.
        warnings.filterwarnings("ignore", "Layer .* was passed an input with a mask")
        model = make_model(entry, factory, nested=False)
    if not model.built:
        raise LegacyModelError(
            f"{entry.where} does not say the shape of its inputs. Call the model once "
            "in the old Keras, and save it again."
        )
    saved = factory.saved_layer(entry, model)
    for layer, holder, _ in saved.holders():
        if not holder.built:
            raise LegacyModelError(
                f"{layer.where} cannot be built by Keras {keras.__version__}, which "
                "cannot infer the shape of its input. Later versions can: pip install "
                "--upgrade keras."
            )
    for layer, arrays in source.assignments(saved):
        fill(layer, arrays)
    factory.restore_initializers()
    return model


def _checked(custom_objects: Any) -> dict[str, Any]:
    """Returns the user's own objects by name."""
    custom = {} if custom_objects is None else custom_objects
    if not isinstance(custom, Mapping) or not all(
        isinstance(name, str) and callable(value) for name, value in custom.items()
    ):
        raise ValueError(
            "custom_objects must be a dict of names and classes or functions; "
            f"received: {custom_objects!r}."
        )
    return dict(custom)


@contextlib.contextmanager
def _open(path: pathlib.Path, architecture: dict[str, Any] | None) -> Iterator[_Source]:
    """Opens a file of any format, recognised by its contents."""
    if path.is_dir():
        yield SavedModelFolder(path)
        return
    require_regular(path)
    if zipfile.is_zipfile(path) or path.suffix == ".keras":
        with open_keras_zip(path) as source:
            yield source
    else:
        with open_hdf5(path) as (file, _):
            yield HDF5Model(file, architecture)
