"""One open document of references."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box
from nwb_dask.backends.hdf5.file import Hdf5File
from nwb_dask.backends.known import Known
from nwb_dask.backends.lindi.convention import EXTERNAL, LindiConvention
from nwb_dask.backends.lindi.keys import ReferenceKeys
from nwb_dask.backends.lindi.loading import Container, holds_references, load
from nwb_dask.backends.lindi.looking import look_at, stored_attributes
from nwb_dask.backends.lindi.policy import Policy, make_policy
from nwb_dask.backends.lindi.targets import Targets
from nwb_dask.backends.lindi.values import Json
from nwb_dask.backends.protocol import File, Request
from nwb_dask.backends.zarr import checks
from nwb_dask.backends.zarr.file import ZarrFile
from nwb_dask.errors import MalformedFileError, NWBDaskError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, FileIndex, FilePath, Home, Placement, Source, ZarrForm
from nwb_dask.storage import Folder, display_url

_MAX_NESTED = 4

_Values = npt.NDArray[np.generic]


_FREE_BYTES = 1 << 30
# More than deflate can (1032), and than the data of any session have shown of other codecs.
_DEFLATION = 1 << 14


class _Opened(NamedTuple):
    """A document that has been fetched."""

    policy: Policy
    targets: Targets
    keys: ReferenceKeys
    zarr: ZarrFile


class LindiFile:
    """One open document of references; see `backends.File`.

    The document is a Zarr hierarchy, and read as one. Arrays whose values are those of a dataset of an HDF5 file, or of
    another document, are read from there.

    Parameters
    ----------
    container : Store or Folder
        What the document comes in: a JSON file, a tar file, a folder. Stays open when this is closed.
    known : Known, optional
        What is known of this version of it, which is no more than that it was there.
    depth : int
        How many documents lead to this one.
    """

    def __init__(self, container: Container, known: Known | None = None, *, depth: int = 0) -> None:
        if depth > _MAX_NESTED:
            raise MalformedFileError("documents of references lead to one another", url=container.source.url)
        self._container = container
        self._depth = depth
        self._opened: _Opened | None = None
        self._linked: dict[str, File] = {}
        self.known = Known(container.source) if known is None else known
        # No values: the version of a document says nothing of the files that it refers to.
        # So that the next one to open a remote document asks whether it is this one, and not for its ends.
        self.known.is_changed |= known is None

    @property
    def source(self) -> Source:
        """The document and its version."""
        return self._container.source

    @property
    def is_held(self) -> bool:
        """Whether libhdf5 has a file open that the document leads to."""
        return any(file.is_held for file in list(self._linked.values()))

    def _open(self) -> _Opened:
        if self._opened is None:
            contents, targets = load(self._container), Targets(self.source)
            policy = make_policy(
                self.source.url,
                self._container.access,
                is_folder=isinstance(self._container, Folder),
                files=contents.document.files,
            )
            keys = ReferenceKeys(self._container, contents, policy, targets)
            convention = LindiConvention(policy, partial(stored_attributes, contents.document), partial(look_at, keys))
            self._opened = _Opened(policy, targets, keys, ZarrFile(keys, convention=convention))
        return self._opened

    def index(
        self,
        path: str,
        *,
        names: Collection[str] | None = None,
        recursive: bool = False,
        attributes: frozenset[str] | None = None,
        array_attributes: frozenset[str] | None = None,
        groups: bool = True,
        prepare: bool = False,
    ) -> FileIndex:
        """Return what is known of the object at `path` and of its members; see `backends.File.index`.

        Objects whose values are those of a dataset elsewhere are of the type that the dataset has there, which is
        looked up: a document does not say whether they are text, references or regions.
        """
        found = self._open().zarr.index(
            path,
            names=names,
            recursive=recursive,
            attributes=attributes,
            array_attributes=array_attributes,
            groups=groups,
            prepare=prepare,
        )
        typed = {path: self._typed(entry) for path, entry in found.arrays.items() if self._is_untyped(entry)}
        return replace(found, arrays={**found.arrays, **typed}) if typed else found

    def _is_untyped(self, entry: ArrayEntry) -> bool:
        document = self._open().zarr.tree.array(entry.path).document
        return document.dtype.hasobject and EXTERNAL in document.attributes

    def _typed(self, entry: ArrayEntry) -> ArrayEntry:
        """Return a dataset of objects with their type; as it is if the file with its values cannot be had."""
        try:
            link = self._link_of(entry)
            return entry if link is None else replace(entry, element=self._there(entry, *link)[1].element)
        except NWBDaskError:
            # It raises when it is read.
            return entry

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where the bytes of arrays are, in whichever files; see `backends.File.locate`."""
        links = [self._link_or_error(entry) for entry in entries]
        own = [entry for entry, link in zip(entries, links, strict=True) if link is None]
        found = iter(self._open().zarr.locate(own))
        out: list[Placement | NWBDaskError] = []
        for entry, link in zip(entries, links, strict=True):
            if isinstance(link, NWBDaskError):
                out.append(link)
            else:
                out.append(next(found) if link is None else self._located_there(entry, *link))
        return out

    def _located_there(self, entry: ArrayEntry, url: str, name: str) -> Placement | NWBDaskError:
        """Return where the bytes of an array are whose values are those of a dataset elsewhere."""
        try:
            file, there = self._there(entry, url, name)
            return file.locate([there])[0]
        except NWBDaskError as exc:
            return exc

    def stored(self, entry: ArrayEntry) -> ArrayEntry | ZarrForm:
        """Return how the bytes of an array are to be read; see `backends.File.stored`."""
        link = self._link_of(entry)
        if link is None:
            return self._open().zarr.stored(entry)
        file, there = self._there(entry, *link)
        found = file.stored(there)
        if isinstance(found, ZarrForm) or found.home is not None:
            return found
        return replace(found, home=Home(file.source.url, there.path, ()))

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of an array are at hand; see `backends.File.holds`."""
        return self._open().zarr.holds(entry)

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch the values of the small ones of `entries`; see `backends.File.prepare`."""
        self._open().zarr.prepare([entry for entry in entries if self._link_or_error(entry) is None])

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if what an array refers to cannot hold so much; see `backends.File.require_room`."""
        link = self._link_of(entry)
        if link is not None:
            file, there = self._there(entry, *link)
            file.require_room(there, n_bytes)
            return
        self._require_bytes(entry, n_bytes)
        self._open().zarr.require_room(entry, n_bytes)

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> _Values:
        """Return rows of the first axis of an array, or a box of each; see `backends.File.read`."""
        return self.read_many([(entry, spans, inner)])[0]

    def read_many(self, requests: Sequence[Request]) -> list[_Values]:
        """Return rows of many arrays, fetched together; see `backends.File.read_many`."""
        links = [self._link_of(entry) for entry, *_ in requests]
        own = [request for request, link in zip(requests, links, strict=True) if link is None]
        for request in own:
            self._require(*request)
        found = iter(self._open().zarr.read_many(own) if own else ())
        return [
            next(found) if link is None else self._read_there(request, *link)
            for request, link in zip(requests, links, strict=True)
        ]

    def _require(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> None:
        """Raise if so much is wanted of an array that what its keys lead to cannot hold it, before memory is taken."""
        shape = entry.shape or ()
        n_rows = prod(shape[:1]) if spans is None else int((spans[:, 1] - spans[:, 0]).sum())
        n_each = prod(shape[1:]) if inner is None else prod(stop - start for start, stop in inner)
        self._require_bytes(entry, n_rows * n_each * entry.element.size)

    def _require_bytes(self, entry: ArrayEntry, n_bytes: int) -> None:
        if n_bytes <= _FREE_BYTES:
            return
        opened = self._open()
        document = opened.zarr.tree.array(entry.path).document
        stored = opened.keys.stored_bytes(f"{document.path.strip('/')}/")
        if n_bytes > stored * (_DEFLATION if document.codecs else 1) + _FREE_BYTES:
            message = f"damaged: {n_bytes} bytes are declared, and its references have {stored}"
            raise MalformedFileError(message, url=self.source.url, path=entry.path)

    def _link_of(self, entry: ArrayEntry) -> tuple[str, str] | None:
        """Return the file, and the path in it, that has the values of an array; None if they are here."""
        value = self._open().zarr.tree.array(entry.path).document.attributes.get(EXTERNAL)
        if value is None:
            return None
        try:
            return _parsed_link(value)
        except NWBDaskError as exc:
            raise exc.at(url=self.source.url, path=entry.path) from None

    def _link_or_error(self, entry: ArrayEntry) -> tuple[str, str] | NWBDaskError | None:
        """Return what `_link_of` returns or raises: a damaged link is an error of its array alone."""
        try:
            return self._link_of(entry)
        except NWBDaskError as exc:
            return exc

    def _read_there(self, request: Request, url: str, name: str) -> _Values:
        entry, *where = request
        file, there = self._there(entry, url, name)
        return file.read(there, *where)

    def _there(self, entry: ArrayEntry, url: str, name: str) -> tuple[File, ArrayEntry]:
        """Return the file that has the values of an array, and the dataset there."""
        path = FilePath(f"/{name.strip('/')}")
        try:
            file = self._file(url)
            there = file.index(path).array(path)
        except NWBDaskError as exc:
            exc.add_note(f"{display_url(self.source.url)} says that the values of {entry.path} are there")
            raise
        if there is None or there.shape != entry.shape:
            shape = "no dataset" if there is None else f"a shape of {there.shape}"
            message = f"damaged: {path} of the file with its values has {shape}, and {entry.shape} is declared"
            raise MalformedFileError(message, url=self.source.url, path=entry.path)
        return file, there

    def _file(self, named: str) -> File:
        """Return the open file that an array's values are in."""
        file = self._linked.get(named)
        if file is None:
            opened = self._open()
            store = opened.targets.open(opened.policy.place(named), ends=True)
            made = LindiFile(store, depth=self._depth + 1) if holds_references(store) else Hdf5File(store)
            # Another thread may have been faster.
            file = self._linked.setdefault(named, made)
        return file

    def close(self) -> None:
        """Give up the files that it refers to; more than once is harmless. Its container stays open."""
        while self._linked:
            self._linked.popitem()[1].close()
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.zarr.close()
            opened.targets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"LindiFile({self.source.url!r})"


def _parsed_link(value: Json) -> tuple[str, str]:
    """Return the file and the path that a link names."""
    link = checks.mapping(value, EXTERNAL)
    if link.get("link_type") != "hdf5_dataset":
        kind = str(link.get("link_type"))[:60]
        raise UnsupportedLayoutError(f"its values are elsewhere, behind a link of the kind {kind!r}")
    return checks.name(link.get("url"), "the file of a link"), checks.name(link.get("name"), "the path of a link")
