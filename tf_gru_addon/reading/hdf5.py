"""HDF5 files that are read without reading anything else.

HDF5 lets a file of two kilobytes show another file's bytes as its own numbers, hold a
group within itself, or claim terabytes. Keras writes none of this: a file is groups and
arrays, each in one place, with all their bytes in the file. Whatever else there is, the
file is refused before a byte of an array is read:

- external storage, virtual arrays, external and soft links, which lead to other places;
- a group or array that stands in two places, which has no end if it stands in itself;
- filters other than HDF5's own for compression (deflate), bytes and checksums;
- arrays that claim more bytes than the file can hold (see `budget`).
"""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
import os
import re
import zlib
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from tf_gru_addon.reading.budget import FACTOR, FLOOR, Budget, FileRefusedError
from tf_gru_addon.reading.hdf5_trial import INDICES, try_out

if TYPE_CHECKING:
    import h5py

#: Keras nests a group a layer: wrappers and models within models, about ten.
MAX_DEPTH = 100
#: A transformer of a thousand layers with its optimizer's state has about 30,000.
MAX_OBJECTS = 100_000
_MAX_ATTRIBUTES = 1000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The least that anything in a heap takes, where lengths have 8 bytes.
_ENTRY = 16
#: The most that deflate can make of a byte.
_DEFLATE_RATIO = 1032


@contextlib.contextmanager
def open_hdf5(
    file: str | os.PathLike | IO[bytes], budget: Budget | None = None
) -> Iterator[tuple[h5py.File, list[str]]]:
    """Opens an HDF5 file for reading, after looking at all that is in it.

    Args:
        file: The file, or a file object of its bytes.
        budget: Of a file object, the budget of the file that it came from.

    Yields:
        The file, and the paths of all its arrays.

    Raises:
        FileNotFoundError: There is no such file.
        FileRefusedError: It is no regular file, or holds what Keras never writes.
        Exception: Anything that h5py raises for a damaged file; see `boundary`.
    """
    import h5py

    budget = budget or Budget.of(file)
    with _content(file) as content:
        _check_heaps(content)
        if re.search(INDICES, content):
            try_out(content, budget)
    with h5py.File(file, "r") as h5:
        yield h5, _Inspection(h5, budget).run()


def read_all(stream: IO[bytes], size: int) -> None:
    """Reads every array and attribute of a file, in a process that may crash.

    Args:
        stream: The file.
        size: The size that its budget comes from.

    Raises:
        Exception: As `open_hdf5` does.
    """
    import h5py

    def read(_: str, item: Any) -> None:
        for name in item.attrs:
            with contextlib.suppress(Exception):
                item.attrs[name]
        if isinstance(item, h5py.Dataset):
            with contextlib.suppress(Exception):
                item[()]

    with h5py.File(stream, "r") as h5:
        _Inspection(h5, Budget(size)).run()
        read("/", h5)
        h5.visititems(read)


@contextlib.contextmanager
def _content(
    file: str | os.PathLike | IO[bytes],
) -> Iterator[mmap.mmap | memoryview]:
    """Gives the bytes of a file."""
    if not isinstance(file, str | os.PathLike):
        with file.getbuffer() as content:
            yield content
        return
    with open(file, "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise OSError("the file is empty")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _check_heaps(content: mmap.mmap | memoryview) -> None:
    """Refuses heaps in which the HDF5 library would go round for ever.

    The library follows what a heap says comes next, and does not look whether it has
    been there. This is looked at before the library sees the file: it reads the heap of
    the root group as it opens it.
    """
    if content[:8] != _SIGNATURE:
        raise OSError("the file does not begin as HDF5 does")
    # No two real heaps lie in one place, so all have fewer entries than this.
    steps = itertools.count(-(len(content) // _ENTRY))
    # One after the other: a search for either is thirty times slower.
    for mark, check in ((b"GCOL\x01", _check_texts), (b"HEAP\x00", _check_names)):
        for match in re.finditer(mark, content):
            if not check(content, match.start(), steps):
                raise FileRefusedError(
                    f"its heap at {match.start()} does not add up. It is damaged."
                )


def _check_texts(content: Any, start: int, steps: Iterator[int]) -> bool:
    """Whether the objects of a heap of texts follow one another.

    "GCOL", its size at 8, its objects from 16: each a number at 0 (0 is what is free),
    its size at 8, and its bytes from 16 on.
    """
    end = start + _number(content, start + 8)
    place = start + _ENTRY
    while place + _ENTRY <= min(end, len(content)):
        size = _number(content, place + 8)
        used = content[place : place + 2] != b"\0\0"
        step = _ENTRY + -(-size // 8) * 8 if used else size
        if step == 0 or step > end - place or next(steps) > 0:
            return False
        place += step
    return True


def _check_names(content: Any, start: int, steps: Iterator[int]) -> bool:
    """Whether the free places of a group's heap of names come to an end.

    "HEAP", the first free place at 16, the address of its bytes at 24. In a free place
    is the next, or 1.
    """
    place, base = _number(content, start + 16), _number(content, start + 24)
    seen = set()
    while place != 1 and base + place + _ENTRY <= len(content):
        if place in seen or next(steps) > 0:
            return False
        seen.add(place)
        place = _number(content, base + place)
    return True


def _number(content: Any, place: int) -> int:
    return int.from_bytes(content[place : place + 8], "little")


class _Member(NamedTuple):
    """What stands in a group under a name."""

    group: Any
    name: bytes
    address: int
    path: str
    depth: int


class _Inspection:
    """A walk through all groups and arrays of a file, each once."""

    def __init__(self, file: h5py.File, budget: Budget):
        self._root = file.id
        self._size = file.id.get_filesize()
        self._sizes = file.id.get_create_plist().get_sizes()
        self._budget = budget

    def run(self) -> list[str]:
        """Returns the paths of all arrays.

        Raises:
            FileRefusedError: There is something that Keras never writes.
        """
        from h5py import h5d, h5g, h5o

        if self._sizes != (8, 8):
            raise FileRefusedError(
                f"its addresses and lengths have {self._sizes} bytes; HDF5 writes 8, "
                "unless told otherwise. Write the file anew with h5repack."
            )
        root = h5g.open(self._root, b"/")
        self._check_attributes(root, "/")
        seen = {h5o.get_info(root).addr}
        arrays: list[str] = []
        pending = self._members(root, "", 1)
        while pending:  # a loop, for a file can be nested deeper than Python's stack
            member = pending.pop()
            if member.address in seen:
                raise FileRefusedError(
                    f"{member.path} also stands in another place of the file, as Keras "
                    "never writes it."
                )
            seen.add(member.address)
            if len(seen) > MAX_OBJECTS:
                raise FileRefusedError(f"it has over {MAX_OBJECTS} groups and arrays.")
            item = h5o.open(member.group, member.name)
            self._check_attributes(item, member.path)
            if isinstance(item, h5g.GroupID):
                pending += self._members(item, member.path, member.depth + 1)
            elif isinstance(item, h5d.DatasetID):
                self._check_array(item, member.path)
                arrays.append(member.path)
        return arrays

    def _members(self, group: Any, path: str, depth: int) -> list[_Member]:
        """Returns what stands in a group, the first name last."""
        from h5py import h5l

        if depth > MAX_DEPTH + 1:
            raise FileRefusedError(
                f"its groups are nested more than {MAX_DEPTH} deep, as Keras never "
                "writes them."
            )
        found: list[_Member] = []
        foreign: list[str] = []

        def visit(name: bytes, info: Any) -> bool:
            inner = f"{path}/{name.decode('utf-8', 'surrogateescape')}".lstrip("/")
            if info.type == h5l.TYPE_HARD:
                found.append(_Member(group, name, info.u, inner, depth))
            else:
                foreign.append(inner)
            return bool(foreign) or len(found) > MAX_OBJECTS

        group.links.iterate(visit, info=True)
        if foreign:
            raise FileRefusedError(
                f"{foreign[0]!r} is a link to another place, as Keras never writes it; "
                "it is not followed."
            )
        return found[::-1]

    def _check_array(self, array: Any, path: str) -> None:
        from h5py import h5d

        # Even the shape of a virtual array is found by opening the other files.
        properties = array.get_create_plist()
        layout = properties.get_layout()
        if properties.get_external_count() or layout == h5d.VIRTUAL:
            raise FileRefusedError(
                f"the numbers of the array {path!r} lie in another file, as Keras "
                "never writes it; that file is not read."
            )
        filters = [
            properties.get_filter(i)[0] for i in range(properties.get_nfilters())
        ]
        self._check_filters(filters, path)
        dtype = array.dtype
        count = math.prod(array.shape or ())
        if dtype.hasobject:
            self._check_references(count, f"the array {path!r}")
        chunk = 0
        if layout == h5d.CHUNKED:
            sizes = properties.get_chunk()
            if len(sizes) != len(array.shape or ()):  # HDF5 would read for ever
                raise FileRefusedError(
                    f"the array {path!r} has the shape {array.shape}, and chunks of "
                    f"the shape {sizes}. It is damaged."
                )
            chunk = math.prod(sizes) * dtype.itemsize
        claim = max(count * dtype.itemsize, chunk)
        there = array.get_storage_size()
        # A chunk of which nothing is stored is made of the fill value.
        if claim > FLOOR + FACTOR * there:
            raise FileRefusedError(
                f"the array {path!r} claims {claim} bytes, and the file holds {there} "
                "of them. It is damaged, or not what it seems."
            )
        self._budget.take(claim, f"the array {path!r}")
        if filters and chunk:
            self._check_chunks(array, path, chunk, filters)

    def _check_filters(self, filters: list[int], path: str) -> None:
        from h5py import h5z

        known = {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
        if not set(filters) <= known or len(set(filters)) < len(filters):
            raise FileRefusedError(
                f"the array {path!r} is stored through filters (HDF5's numbers "
                f"{filters}), of which only deflate, shuffle and fletcher32 are read, "
                "each once. Write the file anew: h5repack -f GZIP=4 IN OUT."
            )

    def _check_chunks(
        self, array: Any, path: str, chunk: int, filters: list[int]
    ) -> None:
        """Refuses chunks that unfold to more than their shape: HDF5 sets no limit."""
        from h5py import h5z

        if h5z.FILTER_DEFLATE not in filters:
            return
        skipped = 1 << filters.index(h5z.FILTER_DEFLATE)
        large = []

        def visit(info: Any) -> None:
            deflated = not info.filter_mask & skipped
            if deflated and info.size * _DEFLATE_RATIO > self._budget.limit:
                large.append(info.chunk_offset)

        array.chunk_iter(visit)
        slack = 64  # for a checksum
        for offset in large:
            _, content = array.read_direct_chunk(offset)
            unfolded = zlib.decompressobj().decompress(content, chunk + slack + 1)
            if len(unfolded) > chunk + slack:
                raise FileRefusedError(
                    f"the array {path!r} unfolds to more bytes than its shape has. It "
                    "is damaged, or not what it seems."
                )

    def _check_attributes(self, item: Any, path: str) -> None:
        from h5py import h5a

        count = h5a.get_num_attrs(item)
        if count > _MAX_ATTRIBUTES:
            raise FileRefusedError(
                f"{path} has more than {_MAX_ATTRIBUTES} attributes."
            )
        for index in range(count):
            attribute = h5a.open(item, index=index)
            numbers = math.prod(attribute.shape or ())
            what = f"an attribute of {path}"
            if attribute.dtype.hasobject:
                self._check_references(numbers, what)
            self._budget.take(numbers * attribute.dtype.itemsize, what)

    def _check_references(self, count: int, what: str) -> None:
        """Refuses many texts that can all be the same large one."""
        if count * self._size > self._budget.limit:
            raise FileRefusedError(
                f"{what} refers to {count} texts, each of which can be as large as the "
                "file. Keras writes such lists with texts of a fixed length."
            )
