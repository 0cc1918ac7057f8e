"""Inputs to compare two forms of a model on: random ones and edge cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from tf_gru_addon._compat import layers_of
from tf_gru_addon.errors import ExportError

#: The arrays of a model's inputs or outputs, in the model's order.
Arrays = list[np.ndarray]
Run = Callable[[Arrays], Arrays]

#: Batch size and timesteps of the cases, for a model that leaves them open. Latency is
#: measured on the first.
SIZES = ((1, 50), (5, 8), (1, 1), (3, 1), (2, 101))
_MASKED_SIZE = (4, 8)


def example_inputs(model: keras.Model) -> dict[str, Arrays]:
    """Returns inputs by the name of the case: an array for each input of the model.

    Sizes that the model fixes are kept. Every other dimension but the batch counts as
    timesteps. A model that computes masks from its inputs (`Masking`,
    `Embedding(mask_zero=True)`) or takes masks (boolean inputs) gets cases with
    right-padded rows, left-padded rows, holes and a fully masked row. Cases that the
    model itself does not run on are left out.

    Args:
        model: A `flat_model`.

    Raises:
        ExportError: The model runs on none of them.
    """
    rng = np.random.default_rng(0)
    ports = [_Port(tensor, model) for tensor in model.inputs]
    cases: dict[str, Arrays] = {}
    for batch, timesteps in SIZES:
        arrays = [port.draw(rng, batch, timesteps) for port in ports]
        cases.setdefault(_name(ports, batch, timesteps), arrays)
    if any(port.masked for port in ports):
        for name, mask in _masks(ports, rng):
            drawn = [port.draw(rng, *mask.shape) for port in ports]
            cases[name] = [
                port.apply(x, mask) for port, x in zip(ports, drawn, strict=True)
            ]
    refusals = {name: why_not(model, arrays) for name, arrays in cases.items()}
    if all(refusals.values()):
        raise ExportError(
            f"{model.name}: the model itself runs on no example made for it: "
            f"{next(iter(refusals.values()))}"
        )
    return {name: cases[name] for name, why in refusals.items() if not why}


def why_not(model: keras.Model, arrays: Arrays) -> str:
    """Returns why a model does not run on inputs, or "" if it does.

    Args:
        model: A `flat_model`.
        arrays: An array for each of its inputs.
    """
    try:
        run_model(model, arrays)
    except Exception as error:  # A layer may raise anything.
        return str(error) or type(error).__name__
    return ""


def run_model(
    model: keras.Model, arrays: Arrays, *, keep_states: bool = True
) -> Arrays:
    """Returns the outputs of a model for inference, in a flat list.

    Args:
        model: A `flat_model`.
        arrays: An array for each of its inputs.
        keep_states: Whether to restore the states of stateful layers afterwards.
    """
    # Keras does not count states among a model's variables.
    states = [
        s for each in layers_of(model) for s in getattr(each, "states", None) or ()
    ]
    kept = [(state, np.array(state)) for state in states if state is not None]
    try:
        outputs = model(arrays, training=False)
    finally:
        if keep_states:
            for state, value in kept:
                state.assign(value)
    return arrays_of(outputs)


def arrays_of(outputs: Any) -> Arrays:
    """Returns outputs as a flat list of arrays, half precision as float32.

    Args:
        outputs: Tensors in any nested structure.
    """

    def array(tensor: Any) -> np.ndarray:
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        half = dtype in ("bfloat16", "float16")  # NumPy lacks bfloat16.
        return np.asarray(keras.ops.cast(tensor, "float32") if half else tensor)

    return [array(tensor) for tensor in keras.tree.flatten(outputs)]


class _Port:
    """Draws arrays for one input of a model."""

    def __init__(self, tensor: keras.KerasTensor, model: keras.Model) -> None:
        self.shape = tensor.shape
        self.dtype = np.dtype(keras.backend.standardize_dtype(tensor.dtype))
        readers = [layer for layer in layers_of(model) if _reads(layer, tensor)]
        embeddings = [r for r in readers if isinstance(r, keras.layers.Embedding)]
        if not embeddings and np.issubdtype(self.dtype, np.integer):
            embeddings = [
                layer
                for layer in layers_of(model)
                if isinstance(layer, keras.layers.Embedding)
            ]
        self.ids = min((e.input_dim for e in embeddings), default=None)
        self.mask_value = next(
            (r.mask_value for r in readers if isinstance(r, keras.layers.Masking)),
            0 if any(e.mask_zero for e in embeddings) else None,
        )
        self.masked = self.mask_value is not None or self.dtype == bool

    def sizes(self, batch: int, timesteps: int) -> tuple[int, ...]:
        open_sizes = (batch, *[timesteps] * (len(self.shape) - 1))
        return tuple(
            size if fixed is None else fixed
            for fixed, size in zip(self.shape, open_sizes, strict=True)
        )

    def draw(self, rng: np.random.Generator, batch: int, timesteps: int) -> np.ndarray:
        sizes = self.sizes(batch, timesteps)
        if self.dtype == bool:
            return np.ones(sizes, bool)
        if self.ids is not None:
            low = 1 if self.mask_value == 0 and self.ids > 1 else 0
            return rng.integers(low, self.ids, sizes).astype(self.dtype)
        if np.issubdtype(self.dtype, np.integer):
            return rng.integers(0, 2, sizes).astype(self.dtype)
        return rng.normal(size=sizes).astype(self.dtype)

    def apply(self, x: np.ndarray, mask: np.ndarray) -> np.ndarray:
        if not self.masked or x.shape[:2] != mask.shape:
            return x
        if self.dtype == bool:
            return mask
        mask = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
        return np.where(mask, x, np.asarray(self.mask_value, x.dtype))


def _reads(layer: keras.layers.Layer, tensor: keras.KerasTensor) -> bool:
    """Whether a layer reads a model input, directly or within a nested model."""
    try:
        taken = layer.input
    except (AttributeError, ValueError):  # Never called, or several times.
        return False
    if any(each is tensor for each in keras.tree.flatten(taken)):
        return True
    masks = isinstance(layer, keras.layers.Masking | keras.layers.Embedding)
    single = isinstance(taken, keras.KerasTensor)
    return masks and single and taken.shape[1:] == tensor.shape[1:]


def _name(ports: list[_Port], batch: int, timesteps: int) -> str:
    sizes = max((port.sizes(batch, timesteps) for port in ports), key=len)
    steps = f", timesteps {sizes[1]}" if len(sizes) > 2 or len(ports) == 1 else ""
    return f"batch {sizes[0]}{steps}"


def _masks(
    ports: list[_Port], rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    port = next(port for port in ports if port.masked)
    batch, timesteps = port.sizes(*_MASKED_SIZE)[:2]
    lengths = np.linspace(timesteps, 1, batch).astype(int)[:, np.newaxis]
    steps = np.arange(timesteps)
    right = steps < lengths
    yield "right-padded", right
    yield "left-padded", right[:, ::-1]
    holes = rng.random((batch, timesteps)) < 0.6
    holes[:, rng.integers(timesteps)] = True
    yield "masks with holes", holes
    wholly = right.copy()
    wholly[-1] = False
    yield "a row masked wholly", wholly
