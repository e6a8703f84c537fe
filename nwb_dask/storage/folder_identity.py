"""Which version of a local folder is there, without reading what is in it.

The version is a digest over the time of writing, the size and the inode of each metadata document and of each array's
folder, and the time of the latest change of any of them. Consolidated documents name the others, which are not read
for that; without them the groups are listed. A document that is written, replaced or removed makes another version,
and so does a chunk that is added, removed, or replaced by a renamed file, as zarr-python 2 and 3 write chunks: the
time of its folder shows it.

What does not show: a chunk that is overwritten in place by other programs, and a chunk in folders of its own below the
array's (``0/0/1``: keys of more than one part, of which the first alone is looked at). Who edits chunks like this
should write the metadata again, or touch ``.zmetadata`` or ``zarr.json``.
"""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeAlias

from nwb_dask.errors import SourceUnavailableError, UnsupportedLayoutError
from nwb_dask.index import Identity
from nwb_dask.storage.keys import DOCUMENTS, ROOTS, V3, Described, describe, is_array
from nwb_dask.storage.local import unavailable

_Stamp: TypeAlias = tuple[int, int, int]
"""Time of writing, size and inode."""

_N_KEPT = 1024
_DIGEST_BYTES = 12
_BODY_BYTES = 1 << 28
"""Longest root document: a session has some 100 KiB."""


@dataclass(frozen=True, slots=True)
class FolderVersion:
    """A version, and the root document that it begins with."""

    identity: Identity
    root: str
    body: bytes
    stamp: _Stamp
    """Of the root document."""


class _Kept:
    """What root documents said there is, by path and stamp; the least recently used go first."""

    lock = threading.Lock()
    found: OrderedDict[tuple[str, _Stamp], Described] = OrderedDict()  # noqa: RUF012  # the one of the process


def folder_version(path: str) -> FolderVersion:
    """Return the version of the folder at `path`.

    Raises
    ------
    UnsupportedLayoutError
        If none of `keys.ROOTS` is in it.
    SourceUnavailableError
        If it cannot be read.
    """
    try:
        root, stamp = _find_root(path)
        body = _read(f"{path}/{root}")
        return FolderVersion(_identity(path, _described(path, root, stamp, body), stamp), root, body, stamp)
    except OSError as exc:
        raise unavailable(exc, str(exc.filename or path)) from exc


def folder_identity(path: str) -> Identity | None:
    """Return the version of the folder at `path`; None if it is none that is read."""
    try:
        root, stamp = _find_root(path)
        return _identity(path, _described(path, root, stamp, None), stamp)
    except (OSError, SourceUnavailableError, UnsupportedLayoutError):
        return None


def is_same_root(path: str, version: FolderVersion) -> bool:
    """Return whether the root document is the one of that version."""
    try:
        return _stamp(os.stat(f"{path}/{version.root}")) == version.stamp  # noqa: PTH116  # text in, text out
    except OSError:
        return False


def _find_root(path: str) -> tuple[str, _Stamp]:
    for root in ROOTS:
        try:
            status = os.stat(f"{path}/{root}")  # noqa: PTH116  # text in, text out
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            return root, _stamp(status)
    os.stat(path)  # noqa: PTH116  # it says that there is no folder, if there is none
    raise UnsupportedLayoutError(
        f"{path} is a directory, and neither a Zarr store (.zgroup, zarr.json) nor a LINDI one (lindi.json)", url=path
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123  # text in
        body = file.read(_BODY_BYTES + 1)
    if len(body) > _BODY_BYTES:
        raise UnsupportedLayoutError(f"{path} is longer than the metadata of any session", url=path)
    return body


def _described(path: str, root: str, stamp: _Stamp, body: bytes | None) -> Described:
    """Return what there is, as the root document says, or else as the folders do."""
    with _Kept.lock:
        kept = _Kept.found.get((path, stamp))
        if kept is not None:
            _Kept.found.move_to_end((path, stamp))
            return kept
    found = describe(root, _read(f"{path}/{root}") if body is None else body)
    if found is None:
        # Folders may be added without a change of the root.
        return _listed(path)
    with _Kept.lock:
        _Kept.found[path, stamp] = found
        while len(_Kept.found) > _N_KEPT:
            _Kept.found.popitem(last=False)
    return found


def _listed(path: str) -> Described:
    """Return the documents and arrays that are found below a folder; chunks are not listed."""
    documents: list[str] = []
    arrays: list[str] = []
    left = [""]
    while left:
        folder = left.pop()
        here = [name for name in DOCUMENTS if os.path.isfile(f"{path}/{folder}{name}")]  # noqa: PTH113  # text in
        documents += [folder + name for name in here]
        if ".zarray" in here or (V3 in here and is_array(_read(f"{path}/{folder}{V3}"))):
            arrays.append(folder)
            continue
        if "lindi.json" in here:
            arrays.append(f"{folder}blobs/")
            continue
        with os.scandir(f"{path}/{folder}") as entries:
            # Links may lead upwards, and out.
            left += [f"{folder}{entry.name}/" for entry in entries if entry.is_dir(follow_symlinks=False)]
    return Described(tuple(sorted(documents)), tuple(sorted(arrays)))


def _identity(path: str, found: Described, root: _Stamp) -> Identity:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    latest = 0
    chunks = [f"{folder}c" for folder in found.arrays]
    for key in (*found.documents, *found.arrays, *chunks):
        try:
            status = os.stat(f"{path}/{key}")  # noqa: PTH116  # text in, text out
        except (FileNotFoundError, NotADirectoryError):
            continue
        latest = max(latest, status.st_ctime_ns)
        digest.update(f"{key}\0{_stamp(status)}\n".encode(errors="surrogateescape"))
    # In the form of the identity of a file.
    return Identity("mtime", f"{digest.hexdigest()}:{root[2]}:{latest}", root[1])


def _stamp(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino
