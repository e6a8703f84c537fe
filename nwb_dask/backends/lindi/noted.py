"""What a document notes of the files that it refers to: their versions, and where beside it they were.

LINDI has no place for this; it is kept in ``generationMetadata``, which LINDI keeps and ignores::

    {"nwb_dask": {"files": {"/data/a.nwb": {"identity": ["mtime", "17…:123", 4096], "sample": "…", "beside": "a.nwb"}}}}

Of a Zarr store the note is that of the folder, or of the ZIP file that it is in, and holds for what is below it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from nwb_dask.backends.lindi.values import Json
from nwb_dask.errors import SourceChangedError
from nwb_dask.storage import ZARR_ROOTS, Folder, Store, display_url, is_local

_SAMPLE_BYTES = 1 << 16
_EXACT = frozenset({"etag", "version"})


@dataclass(frozen=True, slots=True)
class NotedFile:
    """A file as it was when references to it were written."""

    named: str
    """As references name it."""
    kind: str
    """As of `index.Identity`; of a local file, `value` is its time and inode."""
    value: str
    size: int
    sample: str
    """Digest of its first and its last 64 KiB; of a Zarr store, of the document at its root."""
    beside: str | None
    """Its path relative to the folder that the document is in, if it was there or below."""
    is_folder: bool = False
    """Whether it is a Zarr store."""

    def rest_of(self, named: str) -> str | None:
        """Return what follows this file in the name of another one, which is in it; "" for itself, None for others."""
        if named == self.named:
            return ""
        return named.removeprefix(self.named) if self.is_folder and named.startswith(f"{self.named}/") else None


def noted_files(document: Mapping[str, Json]) -> dict[str, NotedFile]:
    """Return what a document notes, by what references name; what is no such note says nothing."""
    found: Json = document
    for name in ("generationMetadata", "nwb_dask", "files"):
        found = found.get(name) if isinstance(found, Mapping) else None
    out: dict[str, NotedFile] = {}
    for named, note in found.items() if isinstance(found, Mapping) else ():
        try:
            kind, value, size = note["identity"]
            beside = note.get("beside")
            known = beside if isinstance(beside, str) and _is_below(beside) else None
            is_folder = note.get("folder") is True
            out[named] = NotedFile(named, str(kind), str(value), int(size), str(note["sample"]), known, is_folder)
        except (TypeError, ValueError, KeyError, AttributeError):
            continue
    return out


def note_of(noted: NotedFile) -> dict[str, Json]:
    """Return a note as JSON."""
    identity = [noted.kind, noted.value, noted.size]
    folder = {"folder": True} if noted.is_folder else {}
    return {"identity": identity, "sample": noted.sample, "beside": noted.beside, **folder}


def note_file(store: Store | Folder, named: str, beside: str | None) -> NotedFile:
    """Return the note of an open file; reads its first and its last 64 KiB, or the document at the root of a store.

    Parameters
    ----------
    store : Store or Folder
        The file, or the Zarr store.
    named : str
        As references name it. Where that is another place, the version of this one says nothing.
    beside : str, optional
        Its path relative to the folder of the document.
    """
    is_there = is_local(store.source.url) or display_url(store.source.url) == named
    kind, value = _version(store) if is_there else ("size", "")
    size = store.source.identity.size
    return NotedFile(named, kind, value, size, _sample(store), beside, isinstance(store, Folder))


def check_noted(noted: NotedFile, store: Store | Folder) -> None:
    """Raise if a file or a Zarr store is another one than when it was noted.

    Another time, another name or another server make no other file, if length, beginning and end are the same, or the
    document at the root of a store; another ETag of the same URL does, and so does another time of the same local file.

    Raises
    ------
    SourceChangedError
        If so.
    """
    kind, value = _version(store)
    is_as_long = store.source.identity.size == noted.size
    if is_as_long and (kind, value) == (noted.kind, noted.value):
        return
    is_other = kind == noted.kind and kind in _EXACT and display_url(store.source.url) == noted.named
    is_written = kind == noted.kind == "mtime" and is_local(store.source.url) and _inode(value) == _inode(noted.value)
    if is_as_long and not is_other and not (is_written and value != noted.value) and _sample(store) == noted.sample:
        return
    url = store.source.url
    message = (
        f"{display_url(url)} changed since references to it were made, which lead to other bytes now; amend it anew"
    )
    raise SourceChangedError(message, url=url)


def _version(store: Store | Folder) -> tuple[str, str]:
    """Return kind and value of a version; of a local file without the time of change, which another name changes."""
    identity = store.source.identity
    value = ":".join(identity.value.split(":")[:2]) if is_local(store.source.url) else identity.value
    return identity.kind, value


def _inode(value: str) -> str:
    return value.partition(":")[2]


def _sample(store: Store | Folder) -> str:
    if isinstance(store, Folder):
        found = (document for root in ZARR_ROOTS if (document := store.read_keys([(root, None)])[0]) is not None)
        return hashlib.sha256(next(found, b"")).hexdigest()
    size = store.source.identity.size
    ranges = [(0, min(size, _SAMPLE_BYTES)), (max(size - _SAMPLE_BYTES, 0), size)]
    digest = hashlib.sha256()
    for part in store.read([one for one in ranges if one[0] < one[1]]):
        digest.update(part)
    return digest.hexdigest()


def _is_below(path: str) -> bool:
    return bool(path) and "\0" not in path and "\\" not in path and {"", ".", ".."}.isdisjoint(path.split("/"))
