"""Folders in a ZIP file, local or remote: its directory is read once, its members by ranges.

The standard library reads the directory, ZIP64 included. It is not believed: names that lead out of the folder,
members that overlap, and sizes that no member can have are refused (APPNOTE.TXT of PKWARE, sections 4.3 and 4.4).
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Protocol, Self

from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError
from nwb_dask.index import Source
from nwb_dask.storage.access import Access
from nwb_dask.storage.blocks import BlockFile
from nwb_dask.storage.coalesce import Buffer
from nwb_dask.storage.key_plan import cut
from nwb_dask.storage.keys import ROOTS, KeyPlace, KeyRange, check_key, clip
from nwb_dask.storage.urls import display_url

_HEADER = struct.Struct("<4s22xHH")
_MAGIC = b"PK\x03\x04"
_ENCRYPTED = 0x1
_SMALL_BYTES = 64 * 1024
# Name and further fields of a local header (4.3.7), and what may follow the data (4.3.9).
_MOST_AROUND = _HEADER.size + 2 * 0xFFFF + 24
# Deflate makes at most 1032 bytes of one (RFC 1951: 258 bytes of two bits).
_MOST_RATIO = 1032
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


class _File(Protocol):
    """What is needed of a `Store`."""

    @property
    def source(self) -> Source: ...
    @property
    def access(self) -> Access: ...
    @property
    def size(self) -> int: ...
    @property
    def is_unchanged(self) -> bool: ...
    @property
    def is_confirmed(self) -> bool: ...
    def read(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Member:
    start: int
    """First byte of its local header."""
    stop: int
    """Where the next one may begin."""
    stored_bytes: int
    size: int
    crc: int
    method: int
    problem: str
    """Why it is not read; ``""`` if it is."""

    @property
    def is_stored(self) -> bool:
        return self.method == zipfile.ZIP_STORED


class ZipFolder:
    """The folder in an open ZIP file, whose version is that of the file.

    The folder may stand at the root of the file or be a folder in it. Nothing is read until a key is asked for.

    Parameters
    ----------
    store : Store
        The file; closed with the folder.
    """

    local_path: str | None = None

    def __init__(self, store: _File) -> None:
        self._store = store
        self._name = display_url(store.source.url)
        self.source = store.source
        self.access = store.access
        self.size = store.size
        self._members: Mapping[str, _Member] | None = None
        # First byte of the data of members; only added to, so that threads need no lock.
        self._starts: dict[int, int] = {}

    @property
    def is_unchanged(self) -> bool:
        """Whether the file is of the version that was given as `cached`."""
        return self._store.is_unchanged

    @property
    def is_confirmed(self) -> bool:
        """Whether an answer has shown that the file is this version."""
        return self._store.is_confirmed

    def read_keys(self, wanted: Sequence[KeyRange]) -> list[Buffer | None]:
        """Return values, or parts of them; see `Folder.read_keys`.

        Members that are compressed or small are read whole, in one round; parts of others take another round for the
        first part.

        Raises
        ------
        MalformedFileError
            If the file is no sound ZIP file, or a member does not unpack to what the directory says.
        UnsupportedLayoutError
            If no folder is in it that is read, or a member is encrypted or compressed in another way.
        """
        known = self._directory()
        members = [known.get(check_key(key, name=self._name)) for key, _ in wanted]
        for (key, _), member in zip(wanted, members, strict=True):
            if member is not None and member.problem:
                raise UnsupportedLayoutError(f"{key!r} in {self._name} {member.problem}", url=self._name)
        whole, headers = self._first_round(wanted, members)
        firsts = self._store.read(
            [(one.start, one.stop) for one in whole] + [(one, one + _HEADER.size) for one in headers]
        )
        bodies = {one.start: self._unpack(one, body) for one, body in zip(whole, firsts, strict=False)}
        for start, header in zip(headers, firsts[len(whole) :], strict=True):
            self._starts[start] = start + self._header_bytes(header)
        out: list[Buffer | None] = [None] * len(wanted)
        parts: list[tuple[int, tuple[int, int]]] = []
        for i, ((_, part), member) in enumerate(zip(wanted, members, strict=True)):
            if member is None:
                continue
            start, stop = clip(part, member.size)
            if member.start in bodies:
                out[i] = cut(bodies[member.start], (start, stop))
            else:
                first = self._starts[member.start]
                parts.append((i, (first + start, first + stop)))
        for (i, _), body in zip(parts, self._store.read([one for _, one in parts]) if parts else (), strict=True):
            out[i] = body
        return out

    def list_keys(self, prefix: str = "") -> list[str]:
        """Return all keys below a folder (``"units/"``), sorted."""
        return sorted(key for key in self._directory() if key.startswith(prefix))

    def locate_keys(self, keys: Sequence[str]) -> list[KeyPlace | None]:
        """Return the ranges of the file that hold values; see `Folder.locate_keys`."""
        known = self._directory()
        members = [known.get(check_key(key, name=self._name)) for key in keys]
        for key, one in zip(keys, members, strict=True):
            if one is not None and (one.problem or not one.is_stored):
                message = (
                    f"{key!r} in {self._name} {one.problem or 'is compressed, so that no range of the file is it'}"
                )
                raise UnsupportedLayoutError(message, url=self._name)
        missing = list({one.start for one in members if one is not None and one.start not in self._starts})
        headers = self._store.read([(start, start + _HEADER.size) for start in missing]) if missing else []
        self._starts |= {a: a + self._header_bytes(b) for a, b in zip(missing, headers, strict=True)}
        return [one if one is None else self._place(one) for one in members]

    def _place(self, member: _Member) -> KeyPlace:
        start = self._starts[member.start]
        return KeyPlace(self.source.url, start, start + member.size)

    def _first_round(
        self, wanted: Sequence[KeyRange], members: Sequence[_Member | None]
    ) -> tuple[list[_Member], list[int]]:
        """Return the members to read whole, and where the headers of others are."""
        whole: dict[int, _Member] = {}
        headers: dict[int, None] = {}
        for (_, part), member in zip(wanted, members, strict=True):
            if member is None:
                continue
            if part is None or not member.is_stored or member.stored_bytes <= _SMALL_BYTES:
                whole[member.start] = member
            elif member.start not in self._starts:
                headers[member.start] = None
        return list(whole.values()), [start for start in headers if start not in whole]

    def _header_bytes(self, header: Buffer) -> int:
        magic, n_name, n_more = _HEADER.unpack_from(header)
        if magic != _MAGIC:
            raise self._malformed("a member does not begin where the directory says")
        return _HEADER.size + int(n_name) + int(n_more)

    def _unpack(self, member: _Member, body: Buffer) -> Buffer:
        """Return the value of a member, of which `body` is everything up to the next."""
        start = self._header_bytes(body)
        data = memoryview(body)[start : start + member.stored_bytes]
        if len(data) < member.stored_bytes:
            raise self._malformed("a member reaches into the next")
        value: Buffer = data
        if not member.is_stored:
            inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                value = inflate.decompress(data, member.size + 1)
            except zlib.error:
                value = b""
        if len(value) != member.size or zlib.crc32(value) != member.crc:
            raise self._malformed("a member does not unpack to what the directory says")
        return value

    def _malformed(self, what: str) -> MalformedFileError:
        return MalformedFileError(f"{self._name} is no sound ZIP file: {what}", url=self._name)

    # --- Directory

    def _directory(self) -> Mapping[str, _Member]:
        """Return the members of the folder by key."""
        if self._members is None:
            infos, stop = self._infos()
            self._members = self._in_folder(self._checked(infos, stop))
        return self._members

    def _infos(self) -> tuple[list[zipfile.ZipInfo], int]:
        """Return what the directory lists, and where it begins."""
        try:
            with zipfile.ZipFile(BlockFile(self._store)) as opened:
                return opened.infolist(), opened.start_dir
        except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OverflowError) as exc:
            failure = str(exc)
        raise self._malformed(failure)

    def _checked(self, infos: Sequence[zipfile.ZipInfo], directory: int) -> dict[str, _Member]:
        """Return the members by name; of one name that comes twice the last counts."""
        starts = sorted({one.header_offset for one in infos})
        if len(starts) != len(infos) or (starts and (starts[0] < 0 or starts[-1] >= directory)):
            raise self._malformed("members overlap, or are not in it")
        stops = dict(pairwise([*starts, directory]))
        found = {}
        for one in infos:
            if one.filename.endswith("/"):
                continue
            check_key(one.filename, name=self._name)
            start, stop = one.header_offset, stops[one.header_offset]
            most = one.compress_size * (_MOST_RATIO if one.compress_type != zipfile.ZIP_STORED else 1)
            if start + _HEADER.size + one.compress_size > stop or one.file_size > most:
                raise self._malformed(f"{one.filename!r} cannot have the size that the directory says")
            if one.compress_type == zipfile.ZIP_STORED and one.file_size != one.compress_size:
                raise self._malformed(f"{one.filename!r} has two sizes")
            stop = min(stop, start + _MOST_AROUND + one.compress_size)
            found[one.filename] = _Member(
                start, stop, one.compress_size, one.file_size, one.CRC, one.compress_type, _problem(one)
            )
        return found

    def _in_folder(self, members: Mapping[str, _Member]) -> Mapping[str, _Member]:
        """Return the members of the folder that is nearest to the root, by key."""
        folders = {name.rpartition("/")[0] for name in members if name.rpartition("/")[2] in ROOTS}
        nearest = min((one.count("/") + bool(one) for one in folders), default=0)
        found = sorted(one for one in folders if one.count("/") + bool(one) == nearest)
        if len(found) != 1:
            what = f"{len(found)} of them, {', '.join(found[:2])} ..." if found else "none"
            raise UnsupportedLayoutError(
                f"{self._name} is to have one Zarr store in it, and has {what}", url=self._name
            )
        above = f"{found[0]}/" if found[0] else ""
        return {name.removeprefix(above): one for name, one in members.items() if name.startswith(above)}

    def close(self) -> None:
        """Close the file; more than once is harmless."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ZipFolder({self._name!r})"


def _problem(one: zipfile.ZipInfo) -> str:
    if one.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if one.compress_type not in _METHODS:
        return f"is compressed by method {one.compress_type}; 0 (stored) and 8 (deflated) are read"
    if stat.S_ISLNK(one.external_attr >> 16):
        return "is a link"
    return ""
