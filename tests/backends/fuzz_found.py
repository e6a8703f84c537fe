"""Damage that was found by fuzzing to give hangs, crashes or wrong values, each as small as it can be."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from tests.backends.zoo_hdf5 import write

_CHUNK_KEY_BYTES, _CHUNK_ENTRY_BYTES = 24, 32
"""Of a version 1 B-tree of chunks of one dimension: size, mask, position, position within an element; and a child."""


@dataclass(frozen=True, slots=True)
class Case:
    """A file, and what is done to it."""

    way: str
    content: Callable[[h5py.File], None]
    edits: Callable[[bytes], tuple[tuple[int, bytes], ...]]

    def write(self, path: Path) -> None:
        """Write the undamaged file."""
        write(path, self.way, self.content)


def _texts(file: h5py.File) -> None:
    file["texts"] = ["a", "bb", "ccc"]


def _chunks(file: h5py.File) -> None:
    file.create_dataset("x", data=np.arange(12, dtype="<i4"), chunks=(4,), maxshape=(30,))


def _growing(file: h5py.File) -> None:
    file.create_dataset("x", data=np.arange(36, dtype="<i4").reshape(6, 6), chunks=(2, 2), maxshape=(None, None))


def _two_arrays(file: h5py.File) -> None:
    for name in ("x", "y"):
        file.create_dataset(name, data=np.arange(12, dtype="<i4") + (name == "y"), chunks=(4,))


def _two_growing(file: h5py.File) -> None:
    for name in ("x", "y"):
        file.create_dataset(name, data=np.arange(40, dtype="<i4") + (name == "y"), chunks=(1,), maxshape=(None,))


def _members(file: h5py.File) -> None:
    file["a"], file["b"], file["c"] = 1, 2, 3
    file["d"] = file["a"].ref


def _attributes(file: h5py.File) -> None:
    for i in range(12):
        file.attrs[f"attribute {i}"] = i


def _contiguous(file: h5py.File) -> None:
    file["x"] = np.arange(1234)


def _compact(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    made = h5py.h5d.create(file.id, b"x", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((1234,)), properties)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(1234, dtype="<i4"))


def _references(file: h5py.File) -> None:
    file["references"] = np.array([file.ref, file.ref, file.ref], h5py.ref_dtype)


def _complex(file: h5py.File) -> None:
    file["x"] = np.arange(3) + 1j


def _after(body: bytes, mark: bytes, offset: int, *, nth: int = 0) -> int:
    """Return the position `offset` after the n-th place of `mark`."""
    at = -1
    for _ in range(nth + 1):
        at = body.index(mark, at + 1)
    return at + offset


def _bytes(mark: bytes, offset: int, data: bytes, *, nth: int = 0) -> Callable[[bytes], tuple[tuple[int, bytes], ...]]:
    return lambda body: ((_after(body, mark, offset, nth=nth), data),)


def _other_block(mark: bytes) -> Callable[[bytes], tuple[tuple[int, bytes], ...]]:
    """Return edits that make the first of two arrays of chunks lead to the blocks of the second."""

    def edits(body: bytes) -> tuple[tuple[int, bytes], ...]:
        first, second = (_after(body, mark, 0, nth=nth) for nth in (0, 1))
        pointer = struct.pack("<Q", _after(body, mark[:2] + {b"FA": b"DB", b"EA": b"IB"}[mark[:2]], 0, nth=0))
        other = struct.pack("<Q", _after(body, mark[:2] + {b"FA": b"DB", b"EA": b"IB"}[mark[:2]], 0, nth=1))
        assert pointer in body[first : first + 80]
        assert other in body[second : second + 80]
        return ((body.index(pointer, first), other),)

    return edits


CASES: dict[str, Case] = {
    # libhdf5 2.0 goes round for ever (H5HG__cache_heap_deserialize).
    "free space of no size in a global heap": Case("earliest", _texts, _bytes(b"GCOL", 16, bytes(16))),
    # A crash of libhdf5 2.0, where there is no table of shared messages.
    "an attribute that claims to be shared": Case("latest", _attributes, _bytes(b"BTLF", 6 + 8, b"\2")),
    "a record of a B-tree that is not in order": Case("latest", _growing, _bytes(b"BTLF", 6 + 4 * 24 + 8 + 8, b"\xc8")),
    "a chunk that begins within an element": Case(
        "earliest", _chunks, _bytes(b"TREE\1", 24 + _CHUNK_ENTRY_BYTES + 16, b"\1")
    ),
    "a key of chunks that is not in order": Case(
        "earliest", _chunks, _bytes(b"TREE\1", 24 + _CHUNK_ENTRY_BYTES + 8, b"\x50")
    ),
    "names that are not in order": Case("earliest", _members, _bytes(b"b\0\0\0\0\0\0\0c\0", 0, b"z")),
    "names that are the same": Case("earliest", _members, _bytes(b"b\0\0\0\0\0\0\0c\0", 0, b"a")),
    "a group whose names cannot be read": Case("earliest", _members, _bytes(b"HEAP", 4, b"\7")),
    "a shape beyond the largest shape": Case(
        "earliest", _chunks, _bytes(struct.pack("<QQ", 12, 30), 0, struct.pack("<Q", 31))
    ),
    "an array type with axes of no length": Case("earliest", _complex, _bytes(b"r" + bytes(12), 12, b"\3")),
    "an attribute's name that does not end": Case("latest", _attributes, _bytes(b"attribute 3\0", 11, b"x")),
    "an attribute's name that ends early": Case("latest", _attributes, _bytes(b"attribute 3\0", 4, b"\0")),
    "a shape of nothing with data": Case("earliest", _contiguous, _bytes(struct.pack("<Q", 1234), 0, bytes(8))),
    "a shape of less than the compact data": Case("earliest", _compact, _bytes(struct.pack("<Q", 1234), 0, b"\xd1")),
    "references of seven bytes": Case("earliest", _references, _bytes(b"\x17\0\0\0\x08\0\0\0", 4, b"\7")),
    "attributes with the same name": Case("latest", _attributes, _bytes(b"attribute 3\0", 10, b"2")),
    "attributes of an old header with the same name": Case("earliest", _attributes, _bytes(b"attribute 3\0", 10, b"2")),
    "a fixed array with the block of another": Case("latest", _two_arrays, _other_block(b"FAHD")),
    "an extensible array with the block of another": Case("latest", _two_growing, _other_block(b"EAHD")),
}
