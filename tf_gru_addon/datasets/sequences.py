"""Labelled sequences of different lengths, padded into one array."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tf_gru_addon.errors import TfGruAddonError
from tf_gru_addon.reading import Budget, boundary, require_regular


class DataError(TfGruAddonError, ValueError):
    """A data file or array that cannot be used: which, what was expected, what came."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """Labelled sequences, padded to the length of the longest.

    Built by the loaders, which check what they read; `from_packed` and `from_padded`
    do the same for arrays.

    Attributes:
        frames: float32 `(sequences, timesteps, features)`; behind a sequence's end
            every value is `padding_value`.
        lengths: int32 `(sequences,)`, the timesteps of each, at least 1.
        labels: int32 `(sequences,)`, the class of each, from 0.
        padding_value: what stands behind a sequence's end. No real frame consists of it
            alone, so a `Masking(padding_value)` layer finds exactly the padding.

    Example:
        >>> frames = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
        >>> sequences = Sequences.from_packed(frames, lengths=[2, 1], labels=[0, 1])
        >>> sequences.frames.shape
        (2, 2, 2)
        >>> sequences.mask.tolist()
        [[True, True], [True, False]]
    """

    frames: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    padding_value: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def features(self) -> int:
        """The size of a frame."""
        return self.frames.shape[-1]

    @property
    def mask(self) -> np.ndarray:
        """Bool `(sequences, timesteps)`, True where a frame is real."""
        return _mask(self.lengths, self.frames.shape[1])

    def take(self, indices: np.ndarray) -> Sequences:
        """Returns the sequences at `indices`, in that order."""
        return Sequences(
            self.frames[indices],
            self.lengths[indices],
            self.labels[indices],
            self.padding_value,
        )

    def require(self, *, features: int, classes: int, source: str) -> None:
        """Checks that a model of these sizes can take these sequences.

        Args:
            features: the frame size that the model takes.
            classes: the number of the model's outputs.
            source: what to call the data in an error.

        Raises:
            DataError: the frames have another size, or a label is not among
                `0 .. classes - 1`.
        """
        if self.features != features:
            raise DataError(
                f"{source}: the model takes frames of {features} features "
                f"(`model.features`), the data has {self.features}. Set "
                f"`model.features` to {self.features}, or use other data."
            )
        worst = int(np.argmax(self.labels))
        if self.labels[worst] >= classes:
            raise DataError(
                f"{source}: labels must be in 0..{classes - 1}, as the model has "
                f"{classes} outputs; sequence {worst} has label "
                f"{self.labels[worst]}. Correct the label, or give the model's last "
                "layer one unit a class."
            )

    @classmethod
    def from_packed(
        cls,
        frames: np.ndarray,
        lengths: np.ndarray,
        labels: np.ndarray,
        *,
        padding_value: float = 0.0,
        source: str = "arrays",
    ) -> Sequences:
        """Makes sequences from frames that stand one after another.

        Args:
            frames: numbers `(sum of lengths, features)`.
            lengths: integers `(sequences,)`, each at least 1.
            labels: integers `(sequences,)`, from 0.
            padding_value: the value to pad with.
            source: what to call the data in an error; a file's name, say.

        Raises:
            DataError: an array of another rank, type or size, a value that is not
                finite, or a frame that consists of `padding_value`.
        """
        frames = _floats(frames, ("frames", "features"), f"{source}: frames")
        lengths, labels = _lengths_and_labels(lengths, labels, source)
        if lengths.sum() != len(frames):
            raise DataError(
                f"{source}: lengths must add up to the number of frames, "
                f"{len(frames)}; they add up to {lengths.sum()}. Write one length a "
                "sequence, counting its frames."
            )
        shape = (len(lengths), int(lengths.max()), frames.shape[1])
        size = math.prod(shape) * frames.itemsize
        if size > Budget(frames.nbytes).limit:
            raise DataError(
                f"{source}: padded to the longest, which has {shape[1]} frames, the "
                f"{shape[0]} sequences would take {size} bytes, and their frames are "
                f"{frames.nbytes}. Cut the longest, leave them out, or cut every "
                "sequence into pieces of about one length."
            )
        try:
            padded = np.full(shape, padding_value, np.float32)
            padded[_mask(lengths, shape[1])] = frames
            return cls._checked(padded, lengths, labels, padding_value, source)
        except MemoryError as error:
            raise DataError(
                f"{source}: padded to the longest, the sequences do not fit into "
                f"memory: {shape[0]} sequences, {shape[1]} timesteps, {shape[2]} "
                "features. Cut or leave out the longest."
            ) from error

    @classmethod
    def from_padded(
        cls,
        frames: np.ndarray,
        lengths: np.ndarray | None,
        labels: np.ndarray,
        *,
        padding_value: float = 0.0,
        source: str = "arrays",
    ) -> Sequences:
        """Makes sequences from an array that is padded already.

        Args:
            frames: numbers `(sequences, timesteps, features)`. What stands behind a
                sequence's end is not looked at.
            lengths: integers `(sequences,)`, or None: no sequence is padded.
            labels: integers `(sequences,)`, from 0.
            padding_value: the value to pad with.
            source: what to call the data in an error; a file's name, say.

        Raises:
            DataError: an array of another rank, type or size, a value that is not
                finite, or a frame that consists of `padding_value`.
        """
        axes = ("sequences", "timesteps", "features")
        frames = _floats(frames, axes, f"{source}: x")
        if lengths is None:
            lengths = np.full(len(frames), frames.shape[1], np.int32)
        lengths, labels = _lengths_and_labels(lengths, labels, source)
        if len(lengths) != len(frames):
            raise DataError(
                f"{source}: x holds {len(frames)} sequences, but there are "
                f"{len(lengths)} lengths and labels. Write one of each a sequence."
            )
        if lengths.max() > frames.shape[1]:
            raise DataError(
                f"{source}: lengths must be at most the {frames.shape[1]} timesteps of "
                f"x; the longest is {lengths.max()}."
            )
        mask = _mask(lengths, int(lengths.max()))
        frames = np.where(
            mask[..., None], frames[:, : mask.shape[1]], np.float32(padding_value)
        )
        return cls._checked(frames, lengths, labels, padding_value, source)

    @classmethod
    def _checked(cls, frames, lengths, labels, padding_value, source) -> Sequences:
        mask = _mask(lengths, frames.shape[1])
        _refuse_first(
            ~np.isfinite(frames).all(-1),
            f"{source}: frames must be finite in float32; "
            "{} holds a NaN or an infinity. Remove or repair it.",
        )
        _refuse_first(
            mask & (frames == np.float32(padding_value)).all(-1),
            f"{source}: {{}} consists of the padding value, {padding_value}, and would "
            "be taken for padding. If it is padding, give `lengths`; if it is real, "
            "choose a `padding_value` that no frame consists of.",
        )
        return cls(frames, lengths, labels, padding_value)


def require_file(path: str | os.PathLike) -> None:
    """Checks that there is a data file.

    Raises:
        FileNotFoundError: there is nothing.
        DataError: there is something else: a folder, a pipe, a device.
    """
    with boundary(path, DataError, "it cannot be opened"):
        require_regular(path)


class Splits(NamedTuple):
    """A data set: what to train on, and what to test on."""

    train: Sequences
    test: Sequences


def _mask(lengths: np.ndarray, timesteps: int) -> np.ndarray:
    return np.arange(timesteps) < lengths[:, None]  # [N, T]


def _refuse_first(bad: np.ndarray, message: str) -> None:
    if bad.any():
        sequence, timestep = np.argwhere(bad)[0]
        raise DataError(message.format(f"sequence {sequence}, timestep {timestep}"))


def _floats(array: np.ndarray, axes: tuple[str, ...], name: str) -> np.ndarray:
    array = _ranked(array, axes, name)
    if array.dtype.kind not in "fiu":
        raise DataError(f"{name} must hold numbers; its dtype is {array.dtype}.")
    with np.errstate(over="ignore"):  # an overflow becomes inf, and is refused as such
        return array.astype(np.float32)


def _lengths_and_labels(lengths, labels, source) -> tuple[np.ndarray, np.ndarray]:
    lengths = _integers(lengths, 1, f"{source}: lengths")
    labels = _integers(labels, 0, f"{source}: labels")
    if len(lengths) != len(labels):
        raise DataError(
            f"{source}: there must be one label a sequence; there are {len(lengths)} "
            f"sequences and {len(labels)} labels."
        )
    return lengths, labels


def _integers(array: np.ndarray, lowest: int, name: str) -> np.ndarray:
    array = _ranked(array, ("sequences",), name)
    if array.dtype.kind not in "iu":
        raise DataError(f"{name} must hold integers; its dtype is {array.dtype}.")
    highest = np.iinfo(np.int32).max
    wrong = (array < lowest) | (array > highest)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(
            f"{name} must be in {lowest}..{highest}; that of sequence {index} is "
            f"{array[index]}."
        )
    return array.astype(np.int32)


def _ranked(array: np.ndarray, axes: tuple[str, ...], name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.ndim != len(axes) or array.size == 0:
        raise DataError(
            f"{name} must have the shape ({', '.join(axes)}), none of them 0; its "
            f"shape is {array.shape}."
        )
    return array
