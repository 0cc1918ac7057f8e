"""From a file's arrays to a layer's weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tf_gru_addon.migrate.legacy.errors import LegacyModelError
from tf_gru_addon.migrate.legacy.part import Part
from tf_gru_addon.migrate.legacy.stored import Stored


def fill(part: Part, arrays: Sequence[Stored]) -> None:
    """Sets the weights of a part to what the file has for it.

    Raises:
        LegacyModelError: An array is missing, surplus, of another shape or dtype, or
            a number in it is not finite.
    """
    where = f"layer {part.name!r} ({part.kind})"
    weights = part.holder.weights
    names = part.names()
    if len(arrays) != len(names):
        raise LegacyModelError(
            f"{where} has {len(names)} arrays ({', '.join(names) or 'none'}), and the "
            f"file holds {len(arrays)} for it. The file is damaged, or the layer is "
            "not what its class says; or it stands in two models at once, and a .keras "
            "file of Keras 2 has the arrays of such a layer only once: have Keras 2 "
            "save HDF5 instead."
        )
    if part.convert is None:
        for weight, array in zip(weights, arrays, strict=True):
            _check_shape(where, array.name, array.shape, tuple(weight.shape))
    values = [_finite(where, array) for array in arrays]
    if part.convert is not None:
        try:
            values = list(part.convert(values))
        except ValueError as error:
            raise LegacyModelError(f"{where}: {error}") from error
    for weight, value in zip(weights, values, strict=True):
        _check_shape(where, weight.name, value.shape, tuple(weight.shape))
        _check_dtype(where, weight.name, value.dtype, weight.dtype)
        weight.assign(value)


def _check_shape(where, name, received, expected) -> None:
    if received != expected:
        raise LegacyModelError(
            f"{where}: the array {name!r} must have the shape {expected}; the file has "
            f"{received}. The file is damaged, or its config is of another model."
        )


def _check_dtype(where, name, received, expected) -> None:
    import tensorflow as tf

    if not np.can_cast(received, tf.as_dtype(expected).as_numpy_dtype, "safe"):
        raise LegacyModelError(
            f"{where}: the array {name!r} is {received}, and the layer's weights are "
            f"{expected}: numbers would be lost. Write the file with {expected}."
        )


def _finite(where: str, array: Stored) -> np.ndarray:
    value = array.read()
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise LegacyModelError(
            f"{where}: the array {array.name!r} holds numbers that are infinite or "
            "not a number: training had failed, or the file is damaged."
        )
    return value
