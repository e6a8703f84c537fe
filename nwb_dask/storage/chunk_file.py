"""One range of one version of a remote file as a file of its own, in pages that are checked when they are read.

::

    magic, bytes of a page, key of the version, start, stop     56 bytes
    CRC-32 of each page                                         4 bytes for each
    CRC-32 of all that
    the bytes

A page is read and checked without the others, so that a few bytes of a long range cost little. The checks find what
disks, crashes and other programs do; whoever can write to the folder can forge them.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from zlib import crc32

from nwb_dask.index import Identity
from nwb_dask.storage.coalesce import Buffer, Range
from nwb_dask.storage.cover import Piece

SUFFIX = ".nwbchunk"
NAME = re.compile(r"(?P<version>[0-9a-f]{16})-(?P<start>[0-9a-f]{1,16})-(?P<stop>[0-9a-f]{1,16})\.nwbchunk")
MAX_BYTES = 4 * 1024 * 1024
"""Of one file: the longest request of a store."""

_MAGIC = b"\x89NWBCHK\n"
_KEY_BYTES = 28
_HEADER = struct.Struct(f"<8sI{_KEY_BYTES}sQQ")
_CRC = struct.Struct("<I")
_PAGE_BYTES = 32 * 1024


def version_key(url_key: bytes, identity: Identity) -> bytes:
    """Return what stands for one version of the file of a URL, and for no other."""
    digest = blake2b(url_key, digest_size=_KEY_BYTES)
    digest.update(f"\0{identity.kind}\0{identity.size}\0{identity.value}".encode("utf-8", "surrogatepass"))
    return digest.digest()


def file_name(key: bytes, kept: Range) -> str:
    """Return the name of the file that keeps a range of a version."""
    return f"{key[:8].hex()}-{kept[0]:x}-{kept[1]:x}{SUFFIX}"


def build(key: bytes, start: int, body: Buffer) -> list[Buffer]:
    """Return the file of the bytes that begin at `start`, in parts to be written one after the other."""
    view = memoryview(body)
    header = _HEADER.pack(_MAGIC, _PAGE_BYTES, key, start, start + len(view))
    sums = b"".join(_CRC.pack(crc32(view[at : at + _PAGE_BYTES])) for at in range(0, len(view), _PAGE_BYTES))
    return [header, sums, _CRC.pack(crc32(sums, crc32(header))), view]


def read(path: Path, key: bytes, kept: Range, wanted: Sequence[Range]) -> list[Piece] | None:
    """Return pieces that have the `wanted` ranges, which lie in `kept`; None if the file is not what it should be.

    Parameters
    ----------
    path : Path
        The file.
    key : bytes
        Of the version; see `version_key`.
    kept : (int, int)
        The range that the file keeps.
    wanted : sequence of (int, int)
        Half-open, sorted, none empty.
    """
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            return _read(handle, key, kept, wanted)
        finally:
            os.close(handle)
    return None


def _read(handle: int, key: bytes, kept: Range, wanted: Sequence[Range]) -> list[Piece] | None:
    start, stop = kept
    n_pages = -(-(stop - start) // _PAGE_BYTES)
    body_at = _HEADER.size + _CRC.size * (n_pages + 1)
    if n_pages > MAX_BYTES // _PAGE_BYTES or os.fstat(handle).st_size != body_at + stop - start:
        return None
    head = os.pread(handle, body_at, 0)
    expected = _HEADER.pack(_MAGIC, _PAGE_BYTES, key, start, stop)
    if len(head) != body_at or head[: _HEADER.size] != expected:
        return None
    if crc32(head[: -_CRC.size]) != _CRC.unpack_from(head, body_at - _CRC.size)[0]:
        return None
    pieces: list[Piece] = []
    for first, last in _runs(start, wanted):
        at, end = first * _PAGE_BYTES, min(last * _PAGE_BYTES, stop - start)
        run = memoryview(os.pread(handle, end - at, body_at + at))
        if len(run) != end - at:
            return None
        for page in range(first, last):
            part = run[page * _PAGE_BYTES - at : (page + 1) * _PAGE_BYTES - at]
            if crc32(part) != _CRC.unpack_from(head, _HEADER.size + _CRC.size * page)[0]:
                return None
        pieces.append((start + at, run))
    return pieces


def _runs(start: int, wanted: Sequence[Range]) -> list[Range]:
    """Return the numbers of the pages that have the wanted bytes, in half-open runs."""
    runs: list[Range] = []
    for one, other in wanted:
        first, last = (one - start) // _PAGE_BYTES, -(-(other - start) // _PAGE_BYTES)
        if runs and first <= runs[-1][1]:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return runs
