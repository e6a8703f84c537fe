"""Structures of the file format that libhdf5 would not write: damaged ones, with checksums that are right."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from numcodecs.jenkins import jenkins_lookup3

UNDEFINED = (1 << 64) - 1


def sealed(body: bytes) -> bytes:
    """Return a structure followed by its checksum."""
    return body + struct.pack("<I", jenkins_lookup3(body, 0))


def tree_header(
    root: int,
    n_root: int,
    *,
    kind: int = 5,
    depth: int = 0,
    record_bytes: int = 11,
    node_bytes: int = 512,
    version: int = 0,
) -> bytes:
    """Return the 38 bytes of a version 2 B-tree's header."""
    return sealed(
        b"BTHD"
        + struct.pack("<BBIHHBBQHQ", version, kind, node_bytes, record_bytes, depth, 100, 40, root, n_root, n_root)
    )


def tree_leaf(records: Sequence[bytes], *, kind: int = 5, version: int = 0) -> bytes:
    return sealed(b"BTLF" + struct.pack("<BB", version, kind) + b"".join(records))


def tree_node(
    records: Sequence[bytes], children: Sequence[tuple[int, int]], *, kind: int = 5, total: bool = False
) -> bytes:
    """Return an internal node whose children are leaves, or with `total` nodes above leaves, of up to 255 records."""
    pointers = [struct.pack("<QB", *child) + (struct.pack("<H", child[1]) if total else b"") for child in children]
    return sealed(b"BTIN" + struct.pack("<BB", 0, kind) + b"".join(records) + b"".join(pointers))


def placed(*parts: tuple[int, bytes], size: int = 8192) -> bytes:
    """Return `size` bytes with structures at their addresses."""
    body = bytearray(size)
    for at, part in parts:
        body[at : at + len(part)] = part
    return bytes(body)
