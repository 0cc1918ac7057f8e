"""Labelled sequences of different lengths, padded into one array."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tf_gru_addon.errors import Error
from tf_gru_addon.reading import Budget, boundary, require_regular


class DataError(Error, ValueError):
    """A data file or an array that cannot be used."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """Labelled sequences, padded to the length of the longest.

    The loaders check files and build this; `from_packed` and `from_padded` build it
    from arrays.

    Attributes:
        frames: Float32 `(sequences, timesteps, features)`; every value after the end of
            a sequence is `padding_value`.
        lengths: Int32 `(sequences,)`, the number of timesteps of each, at least 1.
        labels: Int32 `(sequences,)`, the class of each, from 0.
        padding_value: The value of the padding. No real frame consists of it alone, so
            a `Masking(padding_value)` layer masks exactly the padding.

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
        """The number of features per frame."""
        return self.frames.shape[-1]

    @property
    def mask(self) -> np.ndarray:
        """Bool `(sequences, timesteps)`: True for frames, False for padding."""
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
        """Checks that a model of these sizes accepts the sequences.

        Args:
            features: The number of features that the model takes.
            classes: The number of the model's outputs.
            source: The name of the data in errors.

        Raises:
            DataError: The number of features differs, or a label is not in
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
                "layer one unit per class."
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
        """Returns sequences from concatenated frames.

        Args:
            frames: Numbers `(sum of lengths, features)`.
            lengths: Integers `(sequences,)`, each at least 1.
            labels: Integers `(sequences,)`, from 0.
            padding_value: The value to pad with.
            source: The name of the data in errors, such as a file's.

        Raises:
            DataError: An array has another rank, dtype or size, a value is not finite,
                or a frame consists of `padding_value`.
        """
        frames = _floats(frames, ("frames", "features"), f"{source}: frames")
        lengths, labels = _lengths_and_labels(lengths, labels, source)
        if lengths.sum() != len(frames):
            raise DataError(
                f"{source}: lengths must add up to the number of frames, "
                f"{len(frames)}; they add up to {lengths.sum()}. Give one length "
                "per sequence, the number of its frames."
            )
        shape = (len(lengths), int(lengths.max()), frames.shape[1])
        size = math.prod(shape) * frames.itemsize
        if size > Budget(frames.nbytes).limit:
            raise DataError(
                f"{source}: padded to the longest, which has {shape[1]} frames, the "
                f"{shape[0]} sequences would take {size} bytes, and their frames are "
                f"{frames.nbytes}. Truncate or remove the longest, or split all into "
                "sequences of similar length."
            )
        try:
            padded = np.full(shape, padding_value, np.float32)
            padded[_mask(lengths, shape[1])] = frames
            return cls._checked(padded, lengths, labels, padding_value, source)
        except MemoryError as error:
            raise DataError(
                f"{source}: padded to the longest, the sequences do not fit into "
                f"memory: {shape[0]} sequences, {shape[1]} timesteps, {shape[2]} "
                "features. Truncate or remove the longest."
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
        """Returns sequences from an array that is already padded.

        Args:
            frames: Numbers `(sequences, timesteps, features)`. Values after the end of
                a sequence are ignored.
            lengths: Integers `(sequences,)`, or None if no sequence is padded.
            labels: Integers `(sequences,)`, from 0.
            padding_value: The value to pad with.
            source: The name of the data in errors, such as a file's.

        Raises:
            DataError: An array has another rank, dtype or size, a value is not finite,
                or a frame consists of `padding_value`.
        """
        axes = ("sequences", "timesteps", "features")
        frames = _floats(frames, axes, f"{source}: x")
        if lengths is None:
            lengths = np.full(len(frames), frames.shape[1], np.int32)
        lengths, labels = _lengths_and_labels(lengths, labels, source)
        if len(lengths) != len(frames):
            raise DataError(
                f"{source}: x holds {len(frames)} sequences, but there are "
                f"{len(lengths)} lengths and labels. Give one of each per sequence."
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
    def _checked(
        cls,
        frames: np.ndarray,
        lengths: np.ndarray,
        labels: np.ndarray,
        padding_value: float,
        source: str,
    ) -> Sequences:
        mask = _mask(lengths, frames.shape[1])
        _refuse_first(
            ~np.isfinite(frames).all(-1),
            f"{source}: frames must be finite in float32; "
            "{} holds a NaN or an infinity. Remove or repair it.",
        )
        _refuse_first(
            mask & (frames == np.float32(padding_value)).all(-1),
            f"{source}: {{}} consists of the padding value, {padding_value}, and would "
            "be taken for padding. If it is padding, give `lengths`; otherwise, "
            "choose a `padding_value` that no frame consists of.",
        )
        return cls(frames, lengths, labels, padding_value)


def require_file(path: str | os.PathLike[str]) -> None:
    """Checks that a path is that of a regular file.

    Raises:
        FileNotFoundError: The file does not exist.
        DataError: It is a folder, a pipe or a device.
    """
    with boundary(path, DataError, "it cannot be opened"):
        require_regular(path)


class Splits(NamedTuple):
    """A data set, split into training and test data."""

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
    with np.errstate(over="ignore"):  # an overflow gives inf, which is refused
        return array.astype(np.float32)


def _lengths_and_labels(
    lengths: np.ndarray, labels: np.ndarray, source: str
) -> tuple[np.ndarray, np.ndarray]:
    lengths = _integers(lengths, 1, f"{source}: lengths")
    labels = _integers(labels, 0, f"{source}: labels")
    if len(lengths) != len(labels):
        raise DataError(
            f"{source}: there must be one label per sequence; there are {len(lengths)} "
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
