"""LINDI's tar files: where an entry of one is, found with two small reads. Pure.

References
----------
LINDI, ``docs/tar.md`` and ``lindi_tar.py``: the first entry, ``.tar_entry.json``, says where ``.tar_index.json`` is,
and that where all others are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from nwb_dask.backends.lindi.values import Json
from nwb_dask.errors import MalformedFileError, UnsupportedLayoutError

BLOCK = 512
ENTRY_RANGE = (BLOCK, BLOCK + 1024)
"""Where ``.tar_entry.json`` is."""
DOCUMENT = "lindi.json"
_MAX_INDEX_BYTES = 64 * 1024**2
_NAME = b".tar_entry.json\0"
_MAGIC = slice(257, 263)

Entries: TypeAlias = "Mapping[str, tuple[int, int]]"
"""First byte and end of each entry, by name."""


def is_tar(head: bytes) -> bool:
    """Return whether a file that begins with these 512 bytes is a tar file of LINDI's."""
    return head.startswith(_NAME) and head[_MAGIC] == b"ustar\0"


def find_index(entry: bytes, size: int) -> tuple[int, int]:
    """Return the range of the index, as ``.tar_entry.json`` says it.

    Raises
    ------
    MalformedFileError
        If it says none, or one that a file of `size` bytes does not have.
    UnsupportedLayoutError
        If the index is too long to be read.
    """
    found = _parsed(entry, ".tar_entry.json").get("index")
    if not isinstance(found, dict):
        raise MalformedFileError("damaged: .tar_entry.json does not say where the index is")
    start, stop = _range(found, size)
    if stop - start > _MAX_INDEX_BYTES:
        raise UnsupportedLayoutError(f"the index of the tar file has {stop - start} bytes")
    return start, stop


def parse_index(index: bytes, size: int) -> Entries:
    """Return where all entries are.

    Raises
    ------
    MalformedFileError
        If the index is damaged, or an entry is not within a file of `size` bytes.
    """
    files = _parsed(index, ".tar_index.json").get("files")
    if not isinstance(files, list):
        raise MalformedFileError("damaged: .tar_index.json has no list of files")
    out: dict[str, tuple[int, int]] = {}
    for one in files:
        if not isinstance(one, dict) or not isinstance(one.get("n"), str):
            raise MalformedFileError("damaged: .tar_index.json has an entry without a name")
        out[one["n"]] = _range(one, size)
    return MappingProxyType(out)


def _parsed(data: bytes, name: str) -> dict[str, Json]:
    try:
        found = json.loads(data.rstrip(b" \0"))
    except (ValueError, RecursionError):
        raise MalformedFileError(f"damaged: {name} is not JSON") from None
    if not isinstance(found, dict):
        raise MalformedFileError(f"damaged: {name} is no mapping")
    return found


def _range(entry: dict[str, Json], size: int) -> tuple[int, int]:
    start, length = entry.get("d"), entry.get("s")
    if not (type(start) is int and type(length) is int and 0 <= start <= start + length <= size):
        raise MalformedFileError(f"damaged: an entry at byte {start!r} of {length!r} bytes in a file of {size} bytes")
    return start, start + length
