"""The layers of a file beside those that took their places."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import keras

#: Makes a layer's arrays of those that the file has for it.
Convert = Callable[[Sequence[np.ndarray]], Sequence[np.ndarray]]


@dataclasses.dataclass
class Part:
    """A layer of a file, and what took its place.

    Attributes:
        name: Its name in the file.
        kind: Its class in the file.
        trainable: Its own flag; it is trained if all that it stands in are, too.
        attribute: Where the layer that it stands in keeps it: "cell", or "layers" for
            one of several.
        children: The layers within it.
        holder: The layer that now holds its weights; None if only children have any.
        array_names: What its arrays are called in the file, in order; None: as the
            holder's weights.
        convert: Makes the holder's weights of the file's arrays; None: they are the
            same.
    """

    name: str
    kind: str
    trainable: bool = True
    attribute: str = ""
    children: list[Part] = dataclasses.field(default_factory=list)
    holder: keras.layers.Layer | None = None
    array_names: tuple[str, ...] | None = None
    convert: Convert | None = None

    def leaves(self, trainable: bool = True) -> Iterator[tuple[Part, bool]]:
        """Gives every part with weights of its own, and whether it is trained."""
        trainable = trainable and self.trainable
        if self.holder is not None:
            yield self, trainable
        for child in self.children:
            yield from child.leaves(trainable)

    def names(self) -> tuple[str, ...]:
        """Returns what its arrays are called in the file; after the layer is built."""
        if self.array_names is not None:
            return self.array_names
        return tuple(weight.name for weight in self.holder.weights)

    def in_file_order(self) -> list[tuple[Part, str]]:
        """Returns (part, array name) as Keras listed the arrays of a layer in HDF5.

        All that was trained came first, and then all that was not.
        """
        trained, rest = [], []
        for leaf, trainable in self.leaves():
            for name in leaf.names():
                is_trained = trainable and name not in _STATISTICS
                (trained if is_trained else rest).append((leaf, name))
        return trained + rest


#: What training changes, but not by gradients.
_STATISTICS = ("moving_mean", "moving_variance")
