"""Loads sequences from a `.csv` file."""

from __future__ import annotations

import csv
import os
import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tf_gru_addon.datasets.sequences import DataError, Sequences
from tf_gru_addon.reading import boundary, require_regular


def load_csv(
    path: str | os.PathLike[str],
    *,
    sequence_column: str = "sequence",
    label_column: str = "label",
    padding_value: float = 0.0,
) -> Sequences:
    """Loads labelled sequences from a `.csv` file with one line per frame.

    The first line names the columns. One column identifies the sequence of a frame (any
    text), one gives its label (an integer from 0); every other column is a feature. The
    frames of a sequence must be on consecutive lines, in temporal order.

    Args:
        path: The file, in UTF-8.
        sequence_column: The name of the column that identifies the sequence.
        label_column: The name of the column with the label.
        padding_value: The value to pad with.

    Returns:
        The sequences, checked.

    Raises:
        FileNotFoundError: The file does not exist.
        DataError: A column is missing, a cell is not a number, a line has too few or
            too many cells, a sequence is interrupted by another or has two labels, or
            there are no frames. The message names the line.

    Example:
        >>> with open("mine.csv", "w") as file:
        ...     for line in ("sequence,label,f0,f1", "a,0,1,2", "a,0,3,4", "b,1,5,6"):
        ...         print(line, file=file)
        >>> load_csv("mine.csv").lengths
        array([2, 1], dtype=int32)
    """
    what = "not a .csv file in UTF-8"
    with boundary(path, DataError, what):
        require_regular(path)
        return _load(path, sequence_column, label_column, padding_value)


def _load(
    path: str | os.PathLike[str],
    sequence_column: str,
    label_column: str,
    padding_value: float,
) -> Sequences:
    frames: list[list[float]] = []
    lengths: list[int] = []
    labels: list[int] = []
    seen: dict[str, int] = {}
    last = None
    for place, sequence, label, features in _rows(path, sequence_column, label_column):
        if sequence != last:
            if sequence in seen:
                raise DataError(
                    f"{place}: the frames of sequence {reprlib.repr(sequence)} are "
                    "interrupted by another's. Put them on consecutive lines."
                )
            seen[sequence] = label
            lengths.append(0)
            labels.append(label)
            last = sequence
        if label != seen[sequence]:
            raise DataError(
                f"{place}: a sequence has one label; {reprlib.repr(sequence)} has "
                f"{seen[sequence]} on an earlier line, and {label} here."
            )
        lengths[-1] += 1
        frames.append(features)
    if not frames:
        raise DataError(f"{path}: expected one line per frame; there are none.")
    return Sequences.from_packed(
        np.array(frames),
        np.array(lengths),
        np.array(labels),
        padding_value=padding_value,
        source=str(path),
    )


def _rows(
    path: str | os.PathLike[str], sequence_column: str, label_column: str
) -> Iterator[tuple[str, str, int, list[float]]]:
    """Yields the location, the sequence, the label and the features of each line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        _check_header(path, header, sequence_column, label_column)
        for row in reader:
            if not row:
                continue  # an empty line
            place = f"{path}, line {reader.line_num}"
            if len(row) != len(header):
                raise DataError(
                    f"{place}: expected {len(header)} cells, as the first line has; "
                    f"there are {len(row)}."
                )
            cells = dict(zip(header, row, strict=True))
            sequence = cells.pop(sequence_column)
            label = _number(np.int64, cells.pop(label_column), place, label_column)
            features = [_number(float, v, place, k) for k, v in cells.items()]
            yield place, sequence, label, features


def _check_header(
    path: str | os.PathLike[str],
    header: list[str],
    sequence_column: str,
    label_column: str,
) -> None:
    if sequence_column == label_column:
        raise DataError(
            f"{path}: `sequence_column` and `label_column` both name the column "
            f"{label_column!r}. Give each its own."
        )
    for key, name in (("sequence", sequence_column), ("label", label_column)):
        if name not in header:
            raise DataError(
                f"{path}: the column {name!r} is missing; the first line has "
                f"{', '.join(header) or 'nothing'}. Name yours with `{key}_column`."
            )
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have the same name.")
    if len(header) < 3:
        raise DataError(f"{path}: expected at least one column of features.")


def _number(kind: type, text: str, place: str, column: str) -> Any:
    try:
        if "_" in text:  # Python would accept 1_000
            raise ValueError
        return kind(text)
    except (ValueError, OverflowError):
        expected = "a number" if kind is float else "an integer of at most 64 bits"
        raise DataError(
            f"{place}, column {column!r}: expected {expected}; got "
            f"{reprlib.repr(text)}."
        ) from None
