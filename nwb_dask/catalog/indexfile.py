"""One file of the cache: a table of contents and blocks, each compressed and with a digest of its own.

::

    magic, format, content, schema, stored and raw bytes of the table, digest of all that and of the table
    table     identity, facts of the superblock, and for each block its group, stored and raw bytes, digest
    blocks    descriptions of groups, then contents of their datasets, then paths of objects; without gaps

Opening reads the head of the file. A block is read, checked and unpacked when it is asked for. Whatever is wrong with a
file or a block, the answer is that nothing is known.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import pyarrow as pa

from nwb_dask.catalog.parts import SCHEMA
from nwb_dask.catalog.serialize import pack, unpack
from nwb_dask.errors import MalformedFileError
from nwb_dask.index import Identity
from nwb_dask.storage.url_keys import KEY_BYTES

_log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of these files; each has a folder of its own."""
CONTENT = 1
"""Raised when the same bytes of an NWB file are described in another way than before."""

MAX_BLOCK_BYTES = 1 << 25
"""Packed, before compression. What would be more is not kept."""
MAX_FILE_BYTES = 1 << 28

_MAGIC = b"\x89NWBIDX\n"
_PREFIX = struct.Struct("<8sHHIII")
_DIGEST_BYTES = 8
_HEADER_BYTES = _PREFIX.size + _DIGEST_BYTES
_HEAD_BYTES = 1 << 15
"""Read when a file is opened: the table, and for most files what a plan asks of them."""
_MAX_TABLE_BYTES = 1 << 25

Section = Literal["descriptions", "contents", "paths"]
_SECTIONS: tuple[Section, ...] = ("descriptions", "contents", "paths")


@dataclass(frozen=True, slots=True)
class Block:
    """A compressed block and what proves it right."""

    stored: bytes
    raw_bytes: int
    digest: bytes
    rank: int = 0
    """How much of a group a description knows, see `parts.n_known`."""

    def unpacked(self) -> bytes:
        """Return the bytes that were compressed."""
        # zstd is told the size and fails on any other.
        raw: bytes = _codec().decompress(self.stored, self.raw_bytes, asbytes=True)
        return raw


class _Place(NamedTuple):
    offset: int
    stored_bytes: int
    raw_bytes: int
    digest: bytes
    rank: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file of the cache says besides its blocks."""

    key: bytes
    """Of the URL, see `keys.url_key`."""
    name: str
    """The URL as it may be shown."""
    identity: Identity
    base: int = 0
    """As `Known` has it, with the four that follow."""
    offset_bytes: int = 0
    length_bytes: int = 0
    root: int = 0
    structure: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """The table of contents of one file as it was written once."""

    facts: Facts
    digest: bytes
    """Of the table; it names the digests of all blocks, so that two files with one digest are the same."""
    places: Mapping[tuple[Section, str], _Place] = field(default_factory=dict)


def _codec() -> pa.Codec:
    return pa.Codec("zstd")


def _digest(*parts: bytes) -> bytes:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def compress(raw: bytes, rank: int = 0) -> Block | None:
    """Return a block of `raw`; None if that is too large to keep."""
    if len(raw) > MAX_BLOCK_BYTES:
        return None
    stored: bytes = _codec().compress(raw, asbytes=True)
    return Block(stored, len(raw), _digest(stored), rank)


def build(facts: Facts, blocks: Mapping[tuple[Section, str], Block]) -> bytes | None:
    """Return the bytes of a file; None if they are too many to keep."""
    ordered = sorted(blocks.items(), key=lambda item: _SECTIONS.index(item[0][0]))
    if sum(len(block.stored) for _, block in ordered) > MAX_FILE_BYTES:
        return None
    identity = facts.identity
    listed = tuple(
        [(_SECTIONS.index(s), group, len(b.stored), b.raw_bytes, b.digest, b.rank) for (s, group), b in ordered]
    )
    described = (
        (facts.key, facts.name, identity.kind, identity.value, identity.size),
        (facts.base, facts.offset_bytes, facts.length_bytes, facts.root, facts.structure),
        listed,
    )
    table = compress(pack(described))
    if table is None:
        return None
    prefix = _PREFIX.pack(_MAGIC, FORMAT, CONTENT, SCHEMA, len(table.stored), table.raw_bytes)
    digest = _digest(prefix, table.stored)
    return b"".join([prefix, digest, table.stored, *[block.stored for _, block in ordered]])


class IndexFile:
    """A file of the cache that is read as needed. No handle is kept open; any thread, and a forked process, may read.

    Another process may replace the file meanwhile. What it then holds of the same version is as good.
    """

    __slots__ = ("_opened", "path")

    def __init__(self, path: Path, opened: tuple[Table, bytes] | None = None) -> None:
        self.path = path
        # One attribute, so that no thread sees the table of one file with the head of another.
        self._opened = opened

    @property
    def head_bytes(self) -> int:
        """Memory that the head of the file takes."""
        opened = self._opened
        return 0 if opened is None else len(opened[1])

    def places(self) -> list[tuple[Section, str]]:
        """Return which blocks there are."""
        opened = self._opened
        return [] if opened is None else list(opened[0].places)

    def read(self, section: Section, group: str) -> bytes | None:
        """Return an unpacked block; None if there is none.

        A block that is damaged ends the use of the whole file.
        """
        try:
            block = self.block(section, group)
            return None if block is None else block.unpacked()
        except Exception as exc:  # noqa: BLE001  # a bad cache is a miss, in whatever way it is bad
            self.give_up(exc)
            return None

    def block(self, section: Section, group: str) -> Block | None:
        """Return a block as it is stored, its digest checked; None if there is none.

        Raises
        ------
        MalformedFileError, OSError
            If it is damaged or cannot be read.
        """
        opened = self._opened
        if opened is None or (place := opened[0].places.get((section, group))) is None:
            return None
        table, head = opened
        end = place.offset + place.stored_bytes
        if end <= len(head):
            stored = head[place.offset : end]
        else:
            with self.path.open("rb") as file:
                if file.read(_HEADER_BYTES)[_PREFIX.size :] != table.digest:
                    # It was replaced. The handle stays with the file that it opened, so one look is enough.
                    now = self._look_again(file, table.facts)
                    if now is None or (place := now.places.get((section, group))) is None:
                        return None
                file.seek(place.offset)
                stored = file.read(place.stored_bytes)
        if _digest(stored) != place.digest:
            raise MalformedFileError("damaged: a block does not have the digest that was written down")
        return Block(stored, place.raw_bytes, place.digest, place.rank)

    def give_up(self, reason: Exception | str) -> None:
        """Know nothing more, because of `reason`; a file that is damaged is removed, or nobody would write it again."""
        if self._opened is None:
            return
        self._opened = None
        _log.debug("nothing more is read from %s: %s", self.path, reason)
        if isinstance(reason, Exception) and not isinstance(reason, OSError):
            with suppress(OSError):
                self.path.unlink()

    def _look_again(self, file: BinaryIO, facts: Facts) -> Table | None:
        """Go on with the file that took the place of the one before; None if it is of another version."""
        file.seek(0)
        found = _read_head(file, self.path, facts.key, _HEAD_BYTES)
        if found is None or found[0].facts.identity != facts.identity:
            self.give_up("it was replaced by another version")
            return None
        self._opened = found
        return found[0]


def open_index(path: Path, key: bytes, *, is_whole: bool = False) -> tuple[IndexFile, Facts] | None:
    """Return the file at `path` and what it says of itself; None if there is none that is whole and for this key.

    Parameters
    ----------
    path : Path
        Where the file should be.
    key : bytes
        Of the URL.
    is_whole : bool
        Read all blocks at once.
    """
    found = _load(path, key, MAX_FILE_BYTES if is_whole else _HEAD_BYTES)
    return None if found is None else (IndexFile(path, found), found[0].facts)


def parse_index(data: bytes, key: bytes | None = None) -> tuple[IndexFile, Facts] | None:
    """Return what bytes of a file of the cache say; None if they are none that are whole, or are for another key."""
    try:
        table = _read_table(data, _HEADER_BYTES + _table_bytes(data), len(data))
    except Exception as exc:  # noqa: BLE001  # a bad index is a miss, in whatever way it is bad
        _log.debug("an index is not used: %s", exc)
        return None
    if key is not None and table.facts.key != key:
        return None
    # All of it is in memory, so the path is never opened.
    return IndexFile(Path(os.devnull), (table, data)), table.facts


def read_facts(path: Path) -> Facts | None:
    """Return what a file of the cache says of itself, whatever URL it is for; None if it is none or is damaged."""
    found = _load(path, None)
    return None if found is None else found[0].facts


def _load(path: Path, key: bytes | None, n_bytes: int = _HEAD_BYTES) -> tuple[Table, bytes] | None:
    try:
        with path.open("rb") as file:
            return _read_head(file, path, key, n_bytes)
    except FileNotFoundError:
        return None
    except OSError as exc:
        _log.debug("%s is not used: %s", path, exc)
        return None


def _read_head(file: BinaryIO, path: Path, key: bytes | None, n_bytes: int) -> tuple[Table, bytes] | None:
    """Return the table and the head of an open file; None if it is not what it should be."""
    try:
        file_bytes = os.fstat(file.fileno()).st_size
        head = file.read(min(n_bytes, file_bytes))
        end = _HEADER_BYTES + _table_bytes(head)
        if end > len(head):
            head += file.read(end - len(head))
        table = _read_table(head, end, file_bytes)
        if key is not None and table.facts.key != key:
            raise MalformedFileError("damaged: it is named as if it were for another URL")  # noqa: TRY301  # one way to end
    except Exception as exc:  # noqa: BLE001  # a bad cache is a miss, in whatever way it is bad
        _log.debug("%s is not used: %s", path, exc)
        return None
    return table, head


def _table_bytes(head: bytes) -> int:
    """Return the stored bytes of the table; an error where the file is of another version."""
    magic, *versions, stored_bytes, raw_bytes = _PREFIX.unpack_from(head)
    if magic != _MAGIC or versions != [FORMAT, CONTENT, SCHEMA]:
        raise MalformedFileError(f"it is of another version: {versions}")
    if stored_bytes > _MAX_TABLE_BYTES or raw_bytes > _MAX_TABLE_BYTES:
        raise MalformedFileError("damaged: its table is too large")
    return int(stored_bytes)


def _read_table(head: bytes, end: int, file_bytes: int) -> Table:
    digest, stored = head[_PREFIX.size : _HEADER_BYTES], head[_HEADER_BYTES:end]
    if _digest(head[: _PREFIX.size], stored) != digest:
        raise MalformedFileError("damaged: the table does not have the digest that was written down")
    raw_bytes = _PREFIX.unpack_from(head)[-1]
    (key, name, *identity), superblock, listed = unpack(Block(stored, raw_bytes, digest).unpacked())
    sizes = [one[2] for one in listed]
    if len(key) != KEY_BYTES or end + sum(sizes) != file_bytes or min(sizes, default=0) < 0:
        raise MalformedFileError("truncated: it is not as long as its table says")
    places: dict[tuple[Section, str], _Place] = {}
    offset = end
    for section, group, stored_bytes, block_bytes, *rest in listed:
        if not 0 <= block_bytes <= MAX_BLOCK_BYTES:
            raise MalformedFileError("damaged: a block is too large")
        places[_SECTIONS[section], group] = _Place(offset, stored_bytes, block_bytes, *rest)
        offset += stored_bytes
    return Table(Facts(key, name, Identity(*identity), *superblock), digest, places)
