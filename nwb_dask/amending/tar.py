"""A ``.lindi.tar`` that is only ever added to, and changes from old to new in one write.

::

    .tar_entry.json    at byte 0, always 1024 bytes: where the index is
    blobs/...          values of added datasets
    lindi.json         the reference document
    .tar_index.json    name, header, first byte and size of each file that counts
    1024 zeros         what ends every tar

LINDI 0.4.6 (``lindi/tar/lindi_tar.py``) reads files only through the index. It rewrites ``lindi.json`` in place; here
each commit appends another one with another index, and what was there stays where it is. While something is appended,
the first of the two blocks of zeros at the old end stays zero: to LINDI and to tar alike the file is the old one. Then
that block becomes a header, which tar sees, and at last 1024 bytes at the beginning name the new index, which LINDI
sees. What counts of these fits into one sector of a disk. Once documents and indexes that were replaced are two thirds
of a file, what counts is written to another, which takes its place in one rename.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

from nwb_dask.amending.document import LindiDocument, dump_document, load_document
from nwb_dask.amending.headers import BLOCK, LONGEST, padded, tar_header
from nwb_dask.backends.lindi.document import MAX_DOCUMENT_BYTES
from nwb_dask.backends.lindi.tar import find_index, parse_index
from nwb_dask.errors import MalformedFileError
from nwb_dask.storage import Buffer
from nwb_dask.storage.durable import flush

MADE = ".made"
"""Suffix of what is not complete yet."""
ENTRY, INDEX, DOCUMENT = ".tar_entry.json", ".tar_index.json", "lindi.json"
_ENTRY_BYTES = 1024
_TRAILER = bytes(2 * BLOCK)
_SLACK_BYTES = 16 << 20
"""What may be of no use, however small the rest is."""
_PIECE_BYTES = 4 << 20


class Member(TypedDict):
    """One file of the archive, by the keys of the index."""

    n: str
    """Its name."""
    o: int
    """Where its header begins."""
    d: int
    """Where its bytes begin."""
    s: int
    """How many they are."""


class TarOutput:
    """A ``.lindi.tar`` that is open for additions by the one process that has its lock.

    Parameters
    ----------
    path : Path
        An archive that is there, or where one shall be after the first commit.
    is_replacing : bool
        Whether the first commit takes the place of the one that is there.

    Attributes
    ----------
    document : dict or None
        The document as last committed; None if there is none yet.

    Raises
    ------
    MalformedFileError
        If there is something that is no LINDI archive.
    """

    longest_name = LONGEST

    def __init__(self, path: Path, *, is_replacing: bool = False) -> None:
        self.path = path
        self._is_new = is_replacing or not path.exists()
        self._working = path.with_name(f".{path.name}.{secrets.token_hex(4)}{MADE}") if self._is_new else path
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if self._is_new else 0)
        self._fd = os.open(self._working, flags, 0o644)
        self.document: LindiDocument | None = None
        self._members: dict[str, Member] = {}
        try:
            self._begin() if self._is_new else self._load()
        except BaseException:
            self.close()
            raise
        self._committed = dict(self._members)

    def _begin(self) -> None:
        """Put the entry file at the beginning; it is filled in by the first commit."""
        self._members[ENTRY] = Member(n=ENTRY, o=0, d=BLOCK, s=_ENTRY_BYTES)
        self._end = self._tail = BLOCK + _ENTRY_BYTES
        self._first: bytes | None = None
        os.pwrite(self._fd, tar_header(ENTRY, _ENTRY_BYTES) + b" " * _ENTRY_BYTES + _TRAILER, 0)

    def _load(self) -> None:
        """Find the files that count and the document among them."""
        size = os.fstat(self._fd).st_size
        try:
            start, stop = find_index(os.pread(self._fd, _ENTRY_BYTES, BLOCK), size)
            index = os.pread(self._fd, stop - start, start)
            within = parse_index(index, size)
            for one in json.loads(index)["files"]:
                begin, end = within[one["n"]]
                self._members[one["n"]] = Member(n=one["n"], o=int(one["o"]), d=begin, s=end - begin)
            found = self._members[DOCUMENT]
            self.document = load_document(os.pread(self._fd, min(found["s"], MAX_DOCUMENT_BYTES + 1), found["d"]))
        except (ValueError, KeyError, TypeError) as error:
            message = f"{self.path} is no .lindi.tar that can be added to: its index or lindi.json is damaged ({error})"
            raise MalformedFileError(message, url=str(self.path)) from error
        self._end = self._tail = max(one["d"] + padded(one["s"]) for one in self._members.values())
        self._first = None

    def has_blob(self, name: str) -> bool:
        """Tell whether a file of this name is there, committed or not."""
        return name in self._members

    def add_blob(self, name: str, parts: Iterable[Buffer]) -> int:
        """Write a file under a name that is not taken, and return its size. It counts once it is committed."""
        start = self._open_tail()
        at = start + BLOCK
        for part in parts:
            at += _write_all(self._fd, part, at)
        self._close_member(name, start, at - start - BLOCK)
        return at - start - BLOCK

    def read_blob(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes of a file, committed or not; fewer where it ends before."""
        member = self._members.get(name)
        if member is None:
            raise MalformedFileError(f"damaged: {self.path} has no file {name[:200]!r}", url=str(self.path))
        return os.pread(self._fd, max(min(stop, member["s"]) - start, 0), member["d"] + start)

    def commit(self, document: LindiDocument) -> None:
        """Let the document, and the files added since the last commit, be what the archive is."""
        data = dump_document(document)
        self.add_blob(DOCUMENT, [data])
        start = self._open_tail()
        index = self._index(start)
        _write_all(self._fd, index, start + BLOCK)
        self._close_member(INDEX, start, len(index))
        _write_all(self._fd, _TRAILER, self._tail)
        os.ftruncate(self._fd, self._tail + len(_TRAILER))
        os.fsync(self._fd)
        if self._first is not None:
            _write_all(self._fd, self._first, self._end)
            os.fsync(self._fd)
        entry = json.dumps({"index": self._members[INDEX]}, indent=2, sort_keys=True).encode().ljust(_ENTRY_BYTES)
        _write_all(self._fd, entry, BLOCK)
        os.fsync(self._fd)
        if self._is_new:
            self._working.replace(self.path)
            self._working, self._is_new = self.path, False
            flush(self.path.parent)
        self._end, self._first = self._tail, None
        self._committed = dict(self._members)
        self.document = document
        used = sum(BLOCK + padded(one["s"]) for one in self._members.values())
        if self._end - used > max(2 * used, _SLACK_BYTES):
            # All is committed: where there is no room for another, this one stays.
            with contextlib.suppress(OSError):
                self._pack(document)

    def _pack(self, document: LindiDocument) -> None:
        """Let an archive of what counts take the place of this one."""
        packed = TarOutput(self.path, is_replacing=True)
        try:
            os.fchmod(packed._fd, os.fstat(self._fd).st_mode)
            for name, member in self._members.items():
                if name not in {ENTRY, INDEX, DOCUMENT}:
                    packed.add_blob(name, self._pieces(member))
            packed.commit(document)
        except BaseException:
            packed.close()
            raise
        os.close(self._fd)
        self._fd, self._members, self._committed = packed._fd, packed._members, packed._committed
        self._end, self._tail = packed._end, packed._tail

    def _pieces(self, member: Member) -> Iterator[Buffer]:
        """Yield the bytes of a file."""
        for start in range(0, member["s"], _PIECE_BYTES):
            yield os.pread(self._fd, min(_PIECE_BYTES, member["s"] - start), member["d"] + start)

    def rollback(self) -> None:
        """Forget what was added since the last commit, and give its bytes back."""
        if self._first is None and self._tail == self._end:
            return
        _write_all(self._fd, _TRAILER, self._end)
        os.ftruncate(self._fd, self._end + len(_TRAILER))
        self._members = dict(self._committed)
        self._tail, self._first = self._end, None

    def close(self) -> None:
        """Give up the file; what is not committed is lost. More than once is harmless."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        os.close(fd)
        if self._is_new:
            with contextlib.suppress(FileNotFoundError):
                self._working.unlink()

    def _open_tail(self) -> int:
        """Return where the next file goes; what a killed run left there is not in the way."""
        if self._tail == self._end:
            _write_all(self._fd, bytes(BLOCK), self._end)
        return self._tail

    def _close_member(self, name: str, start: int, size: int) -> None:
        """Write the header of a file whose bytes are there, but that of the first, which `commit` writes."""
        header = tar_header(name, size)
        if start == self._end:
            self._first = header
        else:
            _write_all(self._fd, header, start)
        self._tail = start + BLOCK + padded(size)
        if padding := padded(size) - size:
            _write_all(self._fd, bytes(padding), self._tail - padding)
        self._members[name] = Member(n=name, o=start, d=start + BLOCK, s=size)

    def _index(self, start: int) -> bytes:
        """Return the index, which lists itself at `start`, padded with blanks."""
        itself = Member(n=INDEX, o=start, d=start + BLOCK, s=0)
        listed: list[dict[str, Any]] = [dict(one) for one in {**self._members, INDEX: itself}.values()]
        size = padded(len(json.dumps({"files": listed}, sort_keys=True)) + 20)
        for one in listed:
            if one["n"] == INDEX:
                one["s"] = size
        return json.dumps({"files": listed}, sort_keys=True).encode().ljust(size)


def _write_all(fd: int, data: Buffer, at: int) -> int:
    """Write bytes at a place, and return how many."""
    view = memoryview(data).cast("B")
    done = 0
    while done < len(view):
        done += os.pwrite(fd, view[done:], at + done)
    return done
