"""Opens HDF5 files that are self-contained and of plausible size.

An HDF5 file of two kilobytes can present another file's bytes as its own numbers,
contain a group within itself, or claim terabytes. Keras writes none of this: its files
consist of groups and arrays, each with one path, and of their bytes. A file with any of
these is refused before an array is read:

- external storage, virtual arrays, external and soft links, which refer to other data;
- a group or array with two paths, which may be a cycle;
- filters other than HDF5's deflate, shuffle and fletcher32;
- arrays that claim more bytes than the budget allows (see `budget`).
"""

from __future__ import annotations

import contextlib
import io
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

#: Keras nests one group per layer; wrappers and nested models have about ten levels.
MAX_DEPTH = 100
#: A transformer of 1,000 layers with its optimizer's state has about 30,000.
MAX_OBJECTS = 100_000
_MAX_ATTRIBUTES = 1000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# The minimal size of an object in a heap, with lengths of 8 bytes.
_ENTRY = 16
#: The maximal compression ratio of deflate.
_DEFLATE_RATIO = 1032


@contextlib.contextmanager
def open_hdf5(
    file: str | os.PathLike[str] | io.BytesIO, budget: Budget | None = None
) -> Iterator[tuple[h5py.File, list[str]]]:
    """Opens an HDF5 file for reading, after inspecting its whole structure.

    Args:
        file: The path of the file, or its content as a `BytesIO`.
        budget: For a `BytesIO`, the budget of the file that it was read from.

    Yields:
        The file, and the paths of all its arrays.

    Raises:
        FileNotFoundError: The file does not exist.
        FileRefusedError: It is not a regular file, or has a structure that Keras never
            writes.
        Exception: Anything that h5py raises for a damaged file; use `boundary`.
    """
    import h5py

    if budget is None:
        budget = (
            Budget(file.getbuffer().nbytes)
            if isinstance(file, io.BytesIO)
            else Budget.of(file)
        )
    with _content(file) as content:
        _check_heaps(content)
        if re.search(INDICES, content):
            try_out(content, budget)
    with h5py.File(file, "r") as h5:
        yield h5, _Inspection(h5, budget).run()


def read_all(stream: IO[bytes], size: int) -> None:
    """Reads every array and attribute of a file; `hdf5_trial` runs it in a subprocess.

    Args:
        stream: The file.
        size: The size in bytes that determines its budget.

    Raises:
        Exception: The exceptions of `open_hdf5`.
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
    file: str | os.PathLike[str] | io.BytesIO,
) -> Iterator[mmap.mmap | memoryview]:
    """Yields the bytes of a file."""
    if isinstance(file, io.BytesIO):
        with file.getbuffer() as content:
            yield content
        return
    with open(file, "rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise OSError("the file is empty")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _check_heaps(content: mmap.mmap | memoryview) -> None:
    """Refuses heaps in which the HDF5 library would loop for ever.

    The library follows the links of a heap without detecting cycles. This check must
    precede opening the file, because the library then reads the root group's heap.
    """
    if content[:8] != _SIGNATURE:
        raise OSError("the file does not begin with the signature of HDF5")
    # Heaps do not overlap, so together they have fewer entries than this.
    steps = itertools.count(-(len(content) // _ENTRY))
    # Two searches: one regular expression for both is thirty times slower.
    for mark, check in ((b"GCOL\x01", _check_texts), (b"HEAP\x00", _check_names)):
        for match in re.finditer(mark, content):
            if not check(content, match.start(), steps):
                raise FileRefusedError(f"its heap at byte {match.start()} is damaged.")


def _check_texts(content: Any, start: int, steps: Iterator[int]) -> bool:
    """Whether the objects of a global heap, which holds texts, are contiguous.

    Layout: "GCOL", the heap's size at byte 8, its objects from byte 16. An object has a
    number at byte 0 (0 for free space), its size at byte 8, its content from byte 16.
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
    """Whether the free list of a local heap, which holds a group's names, ends.

    Layout: "HEAP", the offset of the first free block at byte 16, the address of the
    heap's data at byte 24. A free block begins with the offset of the next, or 1.
    """
    place, base = _number(content, start + 16), _number(content, start + 24)
    seen: set[int] = set()
    while place != 1 and base + place + _ENTRY <= len(content):
        if place in seen or next(steps) > 0:
            return False
        seen.add(place)
        place = _number(content, base + place)
    return True


def _number(content: Any, place: int) -> int:
    return int.from_bytes(content[place : place + 8], "little")


class _Member(NamedTuple):
    """A member of a group."""

    group: Any
    name: bytes
    address: int
    path: str
    depth: int


class _Inspection:
    """Visits every group and array of a file once, and checks it."""

    def __init__(self, file: h5py.File, budget: Budget) -> None:
        self._root = file.id
        self._size = file.id.get_filesize()
        self._sizes = file.id.get_create_plist().get_sizes()
        self._budget = budget

    def run(self) -> list[str]:
        """Returns the paths of all arrays.

        Raises:
            FileRefusedError: The file has a structure that Keras never writes.
        """
        from h5py import h5d, h5g, h5o

        if self._sizes != (8, 8):
            raise FileRefusedError(
                f"its addresses and lengths have {self._sizes} bytes; expected HDF5's "
                "default of 8. Rewrite the file with h5repack."
            )
        root = h5g.open(self._root, b"/")
        self._check_attributes(root, "/")
        seen = {h5o.get_info(root).addr}
        arrays: list[str] = []
        pending = self._members(root, "", 1)
        while pending:  # not recursion: a file can be nested deeper than Python's stack
            member = pending.pop()
            if member.address in seen:
                raise FileRefusedError(
                    f"{member.path} also has another path in the file. Keras never "
                    "writes this."
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
        """Returns the members of a group, in reverse order."""
        from h5py import h5l

        if depth > MAX_DEPTH + 1:
            raise FileRefusedError(
                f"its groups are nested more than {MAX_DEPTH} deep. Keras never writes "
                "this."
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
                f"{foreign[0]!r} is a soft or external link. Keras never writes these, "
                "and they are not followed."
            )
        return found[::-1]

    def _check_array(self, array: Any, path: str) -> None:
        from h5py import h5d

        # Reading even the shape of a virtual array would open the other files.
        properties = array.get_create_plist()
        layout = properties.get_layout()
        if properties.get_external_count() or layout == h5d.VIRTUAL:
            raise FileRefusedError(
                f"the numbers of the array {path!r} lie in another file. Keras never "
                "writes this, and that file is not read."
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
            if len(sizes) != len(array.shape or ()):  # HDF5 would loop for ever
                raise FileRefusedError(
                    f"the array {path!r} has the shape {array.shape}, but chunks of "
                    f"the shape {sizes}. The file is damaged."
                )
            chunk = math.prod(sizes) * dtype.itemsize
        claim = max(count * dtype.itemsize, chunk)
        there = array.get_storage_size()
        # HDF5 fills a chunk that is not stored with the fill value.
        if claim > FLOOR + FACTOR * there:
            raise FileRefusedError(
                f"the array {path!r} claims {claim} bytes, but the file holds {there} "
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
                f"the array {path!r} uses the HDF5 filters {filters}; expected only "
                "deflate, shuffle and fletcher32, each at most once. Rewrite the file: "
                "h5repack -f GZIP=4 IN OUT."
            )

    def _check_chunks(
        self, array: Any, path: str, chunk: int, filters: list[int]
    ) -> None:
        """Refuses chunks that decompress to more than their shape holds."""
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
            result = zlib.decompressobj().decompress(content, chunk + slack + 1)
            if len(result) > chunk + slack:
                raise FileRefusedError(
                    f"the array {path!r} decompresses to more bytes than its shape "
                    "has. It is damaged, or not what it seems."
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
        """Refuses lists of references that may all refer to the same large text."""
        if count * self._size > self._budget.limit:
            raise FileRefusedError(
                f"{what} refers to {count} texts, each of which may be as large as the "
                "file. Keras writes such lists as texts of a fixed length."
            )
