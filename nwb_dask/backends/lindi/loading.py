"""Fetches documents: of a JSON file, of a tar file, of a folder; of remote ones once in a process and version."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias

from nwb_dask.backends.lindi.document import MAX_DOCUMENT_BYTES, Document, is_document, parse_document, too_long
from nwb_dask.backends.lindi.tar import BLOCK, DOCUMENT, ENTRY_RANGE, Entries, find_index, is_tar, parse_index
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.errors import MalformedFileError, NWBDaskError
from nwb_dask.index import Source
from nwb_dask.storage import Folder

Container: TypeAlias = ByteSource | Folder
"""What a document comes in."""

_MAX_KEPT = 16
_MAX_KEPT_BYTES = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Contents:
    """A document, and where what is beside it in its tar file is."""

    document: Document
    entries: Entries | None = None
    """Of a tar file; None for other containers."""


class _Kept:
    """Documents of remote files, the most recently used last. Operations are atomic: no lock is needed."""

    contents: OrderedDict[Source, Contents] = OrderedDict()  # noqa: RUF012  # the one of the process


os.register_at_fork(after_in_child=lambda: setattr(_Kept, "contents", OrderedDict(_Kept.contents)))


def holds_references(container: Container) -> bool:
    """Return whether a file begins as a document or a tar file of LINDI's does, or a folder has a document."""
    if container.source in _Kept.contents:
        return True
    if isinstance(container, Folder):
        return container.read_keys([(DOCUMENT, (0, 1))])[0] is not None
    head = bytes(container.read([(0, min(BLOCK, container.size))])[0])
    return is_tar(head) or is_document(head)


def load(container: Container) -> Contents:
    """Return the document in a container.

    A tar file costs two small ranges beside the document, which the first answers often hold.

    Raises
    ------
    MalformedFileError
        If it is damaged.
    UnsupportedLayoutError
        If it is too long, or uses what would have to be evaluated.
    SourceUnavailableError
        If it cannot be had.
    """
    source = container.source
    kept = _Kept.contents.get(source)
    if kept is not None:
        return kept
    try:
        contents = _load(container)
    except NWBDaskError as exc:
        raise exc.at(url=source.url) from None
    if container.local_path is None:
        _keep(source, contents)
    return contents


def _load(container: Container) -> Contents:
    if isinstance(container, Folder):
        (found,) = container.read_keys([(DOCUMENT, (0, MAX_DOCUMENT_BYTES + 1))])
        if found is None:
            raise MalformedFileError(f"the folder has no {DOCUMENT}")
        return Contents(parse_document(bytes(found)))
    head = bytes(container.read([(0, min(BLOCK, container.size))])[0])
    if not is_tar(head):
        return Contents(_document(container, 0, container.size))
    if container.size < ENTRY_RANGE[1]:
        raise MalformedFileError(f"truncated: a tar file of {container.size} bytes")
    (entry,) = container.read([ENTRY_RANGE])
    (index,) = container.read([find_index(bytes(entry), container.size)])
    entries = parse_index(bytes(index), container.size)
    if DOCUMENT not in entries:
        raise MalformedFileError(f"the tar file has no {DOCUMENT}")
    return Contents(_document(container, *entries[DOCUMENT]), entries)


def _document(store: ByteSource, start: int, stop: int) -> Document:
    if stop - start > MAX_DOCUMENT_BYTES:
        raise too_long(stop - start)
    return parse_document(bytes(store.read([(start, stop)])[0]))


def _keep(source: Source, contents: Contents) -> None:
    kept = _Kept.contents
    kept[source] = contents
    while len(kept) > _MAX_KEPT or sum(one.document.n_bytes for one in list(kept.values())) > _MAX_KEPT_BYTES:
        try:
            kept.popitem(last=False)
        except KeyError:
            return
