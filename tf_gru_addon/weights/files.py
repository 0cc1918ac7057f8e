"""Reading files of GRU weights, whatever framework wrote them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from typing import Any

from tf_gru_addon import arguments
from tf_gru_addon.reading import boundary
from tf_gru_addon.weights.activation_names import require_activation
from tf_gru_addon.weights.errors import WeightsError, argument
from tf_gru_addon.weights.format import Stack
from tf_gru_addon.weights.formats import FORMATS
from tf_gru_addon.weights.gru_layer import GRULayer, as_stack
from tf_gru_addon.weights.recognise import recognised
from tf_gru_addon.weights.weights_file import ACTIVATIONS, WeightsFile


def inspect_weights(
    path: str | os.PathLike[str], *, reset_after: bool | None = None
) -> WeightsFile:
    """Returns the GRUs in a file. The format is recognised by the file's content.

    Args:
        path: The file; for a TensorFlow checkpoint the name without `.index`.
        reset_after: The convention of Keras GRUs without a bias, for files that do not
            state it.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: No format recognises the file, it is damaged, or a GRU in it
            cannot be read.
        ImportError: The package that the format needs is missing.
        ValueError: An argument has the wrong type.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import (
        ...     GRUWeights, inspect_weights, write_weights
        ... )
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> write_weights("model.npz", weights, "npz")
        >>> file = inspect_weights("model.npz")
        >>> file.format, list(file.grus)
        ('npz', ['gru'])
    """
    path = arguments.path("path", path)
    if reset_after is not None:
        reset_after = arguments.boolean("reset_after", reset_after)
    what = "it is damaged, cut short, or of no known format"
    with boundary(path, WeightsError, what):
        form, read = recognised(path, FORMATS.values())
        file = read(path, reset_after)
    return dataclasses.replace(file, gate_order=form.gate_order)


def read_weights(
    path: str | os.PathLike[str],
    name: str | Sequence[str] | None = None,
    *,
    activation: str | None = None,
    recurrent_activation: str | None = None,
    reset_after: bool | None = None,
) -> Stack:
    """Returns a GRU's layers from a file. Its content shows the format.

    Args:
        path: The file; for a TensorFlow checkpoint the name without `.index`.
        name: Which GRU to read if the file holds several, by the names of
            `inspect_weights`. Several names, the lowest layer first, or a name with "*"
            for any text, are joined to one stack.
        activation: The activation, if the file does not state it; None for tanh.
        recurrent_activation: The recurrent activation. It is required if the file does
            not state it, as Keras' weight files do not: "sigmoid" is the default of
            Keras 3 and of TensorFlow 2's GRU, "hard_sigmoid" that of Keras 1 and 2 and
            of TensorFlow r2.0's GRUCell.
        reset_after: The convention of a Keras GRU without a bias, if the file does not
            state it.

    Raises:
        FileNotFoundError: There is no such file.
        WeightsError: No format recognises the file, or it is damaged; it holds no GRU,
            or several and `name` is None; an activation is missing or contradicts the
            file.
        ImportError: The package that the format needs is missing.
        ValueError: An argument has the wrong type.

    Example:
        >>> import numpy as np
        >>> from tf_gru_addon.weights import GRUWeights, read_weights, write_weights
        >>> weights = GRUWeights(np.ones((3, 6)), np.ones((2, 6)), None, True)
        >>> write_weights("gru.npz", weights, "npz")
        >>> read_weights("gru.npz")[0].forward == weights
        True
    """
    given = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "reset_after": reset_after,
    }
    file = inspect_weights(path, reset_after=reset_after)
    try:
        return stack_of(file, chosen(file, name), given)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def chosen(file: WeightsFile, name: str | Sequence[str] | None) -> list[str]:
    """Returns the names of the GRUs that a `name` argument selects.

    Args:
        file: The file's content.
        name: A name, several names, or None for the only GRU; "*" stands for any text.

    Raises:
        WeightsError: No GRU has such a name, or there are several and `name` is None.
        ValueError: `name` has the wrong type.
    """
    shown = [*map(repr, file.grus)]
    known = ", ".join(shown[:20]) + (", ..." if len(shown) > 20 else "")
    known = f"There are: {known}." if shown else "There are none."
    if name is None:
        if not file.grus:
            raise WeightsError("there is no GRU in it.")
        if len(file.grus) > 1:
            raise WeightsError(
                f"there are {len(file.grus)} GRUs. Choose with {argument('name')}; "
                f"several names are joined to a stack. {known}"
            )
        return list(file.grus)
    names = [name] if isinstance(name, str) else name
    if not isinstance(names, list | tuple) or not all(
        isinstance(each, str) for each in names
    ):
        raise ValueError(
            f"name must be a GRU's name, a list of names or None; received: {name!r}."
        )
    found = []
    for each in names:
        pattern = ".*".join(re.escape(part) for part in each.split("*"))
        fits = [k for k in file.grus if k == each]
        fits = fits or [k for k in file.grus if re.fullmatch(pattern, k, re.DOTALL)]
        if not fits:
            raise WeightsError(f"there is no GRU of the name {each!r}. {known}")
        found += fits
    return found


def stack_of(file: WeightsFile, names: list[str], given: dict[str, Any]) -> Stack:
    """Returns the GRUs of these names as one stack.

    Args:
        file: The file's content.
        names: The names of the GRUs, the lowest first.
        given: The caller's "activation", "recurrent_activation" and "reset_after", each
            a value or None.

    Raises:
        WeightsError: A value contradicts the file or is missing, or a GRU's features
            are not the outputs of the one below it.
    """
    for key in ACTIVATIONS:
        if given[key] is not None:
            require_activation(key, given[key])
    layers = []
    for name in names:
        for layer in file.grus[name]:
            unstated = file.unstated.get(name, ())
            for key, value in given.items():
                stated = getattr(layer, key)
                if value not in (None, stated) and key not in unstated:
                    raise WeightsError(
                        f"{key} is {stated} in the file, for the GRU {name!r}; "
                        f"received {value!r}. Leave it out."
                    )
            layers.append(_with_activations(layer, name, unstated, given))
    try:
        return as_stack(layers)
    except WeightsError as error:
        raise WeightsError(f"{', '.join(map(repr, names))}: {error}") from error


def _with_activations(
    layer: GRULayer, name: str, unstated: Sequence[str], given: dict[str, Any]
) -> GRULayer:
    """Returns a layer with the caller's activations where the file states none."""
    if "recurrent_activation" in unstated and given["recurrent_activation"] is None:
        raise WeightsError(
            f"the file does not state the activations of {name!r}. Give "
            f'{argument("recurrent_activation")}: "sigmoid" is the default of Keras 3 '
            'and of TensorFlow 2\'s GRU, "hard_sigmoid" that of Keras 1 and 2 and of '
            "TensorFlow r2.0's GRUCell."
        )
    kinds = [
        (given[key] or "tanh") if key in unstated else getattr(layer, key)
        for key in ACTIVATIONS
    ]
    return GRULayer(layer.forward, layer.backward, *kinds)
