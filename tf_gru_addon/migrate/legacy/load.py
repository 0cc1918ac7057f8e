"""Loading whole models as Keras 1, Keras 2 and tf.keras saved them."""

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
from tf_gru_addon.migrate.legacy import keras1
from tf_gru_addon.migrate.legacy.architecture import read_architecture
from tf_gru_addon.migrate.legacy.entry import Entry
from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.fill import fill
from tf_gru_addon.migrate.legacy.graph import make_model
from tf_gru_addon.migrate.legacy.keras_zip import KerasZip, open_keras_zip
from tf_gru_addon.migrate.legacy.layers import Layers
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.saved_model import SavedModelFolder
from tf_gru_addon.migrate.legacy.whole_hdf5 import WholeHDF5
from tf_gru_addon.reading import boundary, require_regular
from tf_gru_addon.reading.hdf5 import open_hdf5


def load_legacy_model(
    path: str | os.PathLike,
    custom_objects: Mapping[str, Any] | None = None,
    architecture: str | os.PathLike | None = None,
) -> keras.Model:
    """Loads a whole model that Keras 1, Keras 2 or tf.keras before 2.16 saved.

    What Keras 3 refuses or has come to understand otherwise is translated, so that the
    numbers are those of the Keras that wrote the file, to float32 rounding:

    - `GRU`, `CuDNNGRU` and `GRUCell` become this package's `GRU` and `GRUCell`;
    - `hard_sigmoid` is what it was, `clip(0.2 x + 0.5, 0, 1)`, in every layer;
    - a GRU without `reset_after` in its config applies the reset gate before the
      recurrent product, as Keras did before it had the argument;
    - masks travel as they did, through merging layers, `TimeDistributed`, attention
      and layers that are given states;
    - arguments that are gone (`batch_input_shape`, `implementation=0`, Keras 1's
      `inner_activation`, `dropout_W`, ...) and arrays that lay otherwise (Keras 1's
      nine, CuDNNGRU's) are brought to today's. A GRU with `time_major=True` is
      refused;
    - operations that stood between layers, such as `x[:, -1]`, `x + y` or
      `tf.concat([x, y], -1)`, are taken from a fixed list.

    Functional and Sequential models are known, within each other and with shared
    layers, made of the layers that go with recurrent ones; a layer or operation that is
    not known is refused by its name. No code within a file is ever run: a `Lambda` is
    refused, and classes are looked up in a fixed list and in `custom_objects` alone.
    The file is only read.

    The model is not compiled, and the optimizer's state is not restored. Dropout acts
    in training alone; there it is that of today's layers: a recurrent mask never
    touches the state that is carried on, as `implementation=2` once did.

    Args:
        path: An HDF5 file (`.h5`, `.hdf5`), a `.keras` file, or a SavedModel folder
            with Keras' metadata.
        custom_objects: Your own layer classes, made by their `from_config`, and
            activations, initializers, regularizers and constraints, by the names that
            they have in the file. A model with an initializer, regularizer or
            constraint that is not here loads without it, with a warning: predictions
            do not depend on it.
        architecture: For an HDF5 file of weights alone (`model.save_weights`): the file
            of what `model.to_json()` returned, or `model.to_yaml()` in a file named
            `.yaml` or `.yml`. The weights go to the layers in their order, as Keras
            loaded them.

    Returns:
        The model: `keras.Sequential` for a Sequential, else `keras.Model`, with the
        file's names.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: An argument is not what it must be.
        LegacyModelError: A `ValueError`: the file is damaged, of another format, or
            holds what is not known. The message names the file, the layer, what was
            expected, and what to do.

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
    what = "it cannot be read"
    remedy = "It is damaged, cut short or of another format: get it again."
    if architecture is not None:
        architecture = arguments.path("architecture", architecture)
        if path.is_dir() or path.suffix == ".keras":
            raise ValueError(
                f"architecture must be None for {path}, which holds its own; received: "
                f"{str(architecture)!r}."
            )
        where = f"{path} with {architecture}"
        with boundary(architecture, LegacyModelError, what, remedy):
            config = read_architecture(architecture)
    reading = boundary(where, LegacyModelError, what, remedy)
    with reading, _open(path, config) as source:
        layers = Layers(source.era, custom, source.size, make_model)
        config = source.config
        if source.era.is_keras_1:
            config = keras1.modern(config)
        entry = Entry.read(config, "the model")
        # Bidirectional makes its second layer from the config of the first.
        with warnings.catch_warnings(), keras.saving.custom_object_scope(custom):
            # Keras says so of every model within a model, and of layers that never
            # passed a mask on.
            warnings.filterwarnings(
                "ignore", "Layer .* was passed an input with a mask"
            )
            model = make_model(entry, layers, nested=False)
        if not model.built:
            raise LegacyModelError(
                f"{entry.where} does not say the shape of its inputs. Call the model "
                "once in the old Keras, and save it again."
            )
        parts = layers.part(entry, model)
        _check_built(parts)
        for part, arrays in source.arrays(parts):
            fill(part, arrays)
        layers.restore_initializers()
    if layers.left_out:
        parts = [f"{x} of {', '.join(y)}" for x, y in layers.left_out.items()]
        warnings.warn(
            f"{where}: loaded without {'; '.join(parts)}. Predictions do not "
            "depend on it, but further training does: to keep it, pass it in "
            "custom_objects by that name.",
            stacklevel=2,
        )
    return model


def _checked(custom_objects: Any) -> dict[str, Any]:
    """Returns the user's own objects by name."""
    custom = {} if custom_objects is None else custom_objects
    if not isinstance(custom, Mapping) or not all(
        isinstance(name, str) and callable(value) for name, value in custom.items()
    ):
        raise ValueError(
            "custom_objects must be a dict of names and the classes or functions that "
            f"they stand for; received: {custom_objects!r}."
        )
    return dict(custom)


def _check_built(model: Part) -> None:
    for part, _ in model.leaves():
        if not part.holder.built:
            raise LegacyModelError(
                f"layer {part.name!r} ({part.kind}) cannot be built by Keras "
                f"{keras.__version__}, which does not know the shape of what comes "
                "before it. Later versions do: pip install --upgrade keras."
            )


@contextlib.contextmanager
def _open(
    path: pathlib.Path, architecture: dict[str, Any] | None
) -> Iterator[WholeHDF5 | KerasZip | SavedModelFolder]:
    """Opens a file of any format, told by what is in it."""
    if path.is_dir():
        yield SavedModelFolder(path)
        return
    require_regular(path)
    if zipfile.is_zipfile(path) or path.suffix == ".keras":
        with open_keras_zip(path) as source:
            yield source
    else:
        with open_hdf5(path) as (file, _):
            yield WholeHDF5(file, architecture)
