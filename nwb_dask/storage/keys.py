"""Keys of a folder, and which of them say what is in it. Pure: nothing is read here.

A folder is a Zarr store of version 2 (``.zgroup``, ``.zattrs`` and ``.zarray`` beside the chunks; ``.zmetadata`` has
them all) or 3 (``zarr.json``; that of the root may have them all), as the Zarr specifications say, or a LINDI
document with its chunks in ``blobs/`` (``lindi.json``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from nwb_dask.errors import MalformedFileError
from nwb_dask.index import Url

KeyRange: TypeAlias = "tuple[str, tuple[int, int] | int | None]"
"""A key (relative path without a leading slash, ``units/id/0``), and what is wanted of its value: a half-open range in
bytes, a number of bytes at its end, or None for all of it."""


class KeyPlace(NamedTuple):
    """Where the value of a key is: half-open bytes of a file."""

    url: Url
    start: int
    stop: int


ROOTS = (".zmetadata", "zarr.json", ".zgroup", ".zattrs", "lindi.json")
"""Documents that say what a folder is; the version of the folder is taken from the first that is there."""

ZARR_ROOTS = ROOTS[:-1]
"""Those of them that a Zarr store has."""

_OF_ARRAYS = ".zarray"
V3 = "zarr.json"
"""What describes a group or array of version 3."""
DOCUMENTS = (".zgroup", ".zattrs", _OF_ARRAYS, V3, "lindi.json")
"""What describes a group or array."""
_HOSTILE = {"", ".", ".."}


@dataclass(frozen=True, slots=True)
class Described:
    """What a root document says there is."""

    documents: tuple[str, ...]
    """Keys of all metadata documents, sorted."""
    arrays: tuple[str, ...]
    """Folders of arrays, with a slash at the end, sorted."""


def check_key(key: str, *, name: str) -> str:
    """Return a key that stays inside its folder.

    Raises
    ------
    MalformedFileError
        If it does not: keys come from files.
    """
    if not _HOSTILE.isdisjoint(key.split("/")) or "\0" in key:
        raise MalformedFileError(f"{key!r} is no key of a file in {name}", url=name)
    return key


def clip(wanted: tuple[int, int] | int | None, size: int) -> tuple[int, int]:
    """Return the half-open range that is meant of a value of `size` bytes; empty where it begins behind the end.

    Raises
    ------
    ValueError
        If it begins before the value, or ends before it begins.
    """
    if wanted is None:
        return 0, size
    if isinstance(wanted, int):
        if wanted < 0:
            raise ValueError(f"{wanted} is no number of bytes")
        return max(size - wanted, 0), size
    start, stop = wanted
    if not 0 <= start <= stop:
        raise ValueError(f"bytes {start} to {stop} are not a range")
    return min(start, size), min(stop, size)


def describe(root: str, body: bytes) -> Described | None:
    """Return what a root document says there is; None if it speaks of itself only, or is not as it should be.

    Parameters
    ----------
    root : str
        One of `ROOTS`.
    body : bytes
        Its value. Documents of other names are kept apart in version 2 and repeated in ``.zmetadata`` under
        ``metadata``, by key (zarr-python 2); in version 3 in ``consolidated_metadata`` under ``metadata``, by the path
        of the node (zarr-python 3).
    """
    if root not in {".zmetadata", V3}:
        return None
    try:
        found = json.loads(body)
        told = (found if root == ".zmetadata" else found["consolidated_metadata"])["metadata"]
        items = [(key, value["node_type"] == "array" if root == V3 else None) for key, value in told.items()]
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return None
    inside = [(key, is_array) for key, is_array in items if _HOSTILE.isdisjoint(key.split("/")) and "\0" not in key]
    if root == V3:
        documents = [f"{key}/{V3}" for key, _ in inside]
        arrays = [f"{key}/" for key, is_array in inside if is_array]
    else:
        documents = [key for key, _ in inside]
        arrays = [key.removesuffix(_OF_ARRAYS) for key, _ in inside if key.rpartition("/")[2] == _OF_ARRAYS]
    return Described(tuple(sorted({root, *documents})), tuple(sorted(arrays)))


def is_array(document: bytes) -> bool:
    """Return whether a ``zarr.json`` is of an array."""
    try:
        return bool(json.loads(document)["node_type"] == "array")
    except (ValueError, RecursionError, LookupError, TypeError):
        return False
