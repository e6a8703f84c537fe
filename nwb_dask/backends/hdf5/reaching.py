"""An HDF5 file with what it holds in other files: links into them, raw files, virtual datasets.

libhdf5 follows none of these here. It says what is stored; the files are found, checked and read by `Outside`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from math import prod
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.assembled import read_raw, read_virtual, require_virtual_room
from nwb_dask.backends.hdf5.boundary import Boundary
from nwb_dask.backends.hdf5.boxes import Box, checked_box
from nwb_dask.backends.hdf5.compose import POINTER
from nwb_dask.backends.hdf5.file import Hdf5File
from nwb_dask.backends.hdf5.limits import checked_shape
from nwb_dask.backends.hdf5.outside import Outside, one_step
from nwb_dask.backends.hdf5.paths import LinkOutsideError, split_path
from nwb_dask.backends.hdf5.raw_files import RawFiles, read_segments
from nwb_dask.backends.hdf5.rebased import ROOT, rebased, routed_values, routes_of
from nwb_dask.backends.hdf5.spans import tidy
from nwb_dask.backends.hdf5.virtual import SAME_FILE, read_pieces
from nwb_dask.backends.known import Known
from nwb_dask.backends.protocol import ByteSource, File, Request
from nwb_dask.errors import NWBDaskError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.index import ArrayEntry, FileIndex, GroupEntry, Home, Placement, Reference, Source, basename, join
from nwb_dask.storage import AllowedStore, LocalStore

_Values = npt.NDArray[np.generic]

_ELSEWHERE = ("external", "virtual")
_WAY_OUT = "allow_external=[...] in storage_options or nwb_dask.options allows for the folder that they are in"


class ReachingFile:
    """One open HDF5 file, with what lies outside of it as far as that is allowed; see `backends.File`.

    Parameters
    ----------
    store : ByteSource
        The file's bytes; stays open when this is closed.
    known : Known, optional
        As `Hdf5File`.
    place : str, optional
        Where the file is, if another led to it.
    outside : Outside, optional
        Likewise, the files that have been reached.
    """

    def __init__(
        self, store: ByteSource, known: Known | None = None, *, place: str | None = None, outside: Outside | None = None
    ) -> None:
        self._store = store
        self._file = Hdf5File(store, known)
        self._place = store.local_path if place is None else place
        self._is_first = outside is None
        self._outside = outside
        if outside is None and isinstance(store, LocalStore) and store.access.allowed_folders:
            self._outside = Outside(store.access, store.source.identity, _open_other)

    @property
    def source(self) -> Source:
        """The file and its version, which covers the files that it has led to."""
        source = self._file.source
        return source if self._outside is None else replace(source, identity=self._outside.identity)

    @property
    def hdf5(self) -> Hdf5File:
        """The file itself, which knows nothing of others."""
        return self._file

    @property
    def known(self) -> Known:
        """What has been found out about the file itself."""
        return self._file.known

    @property
    def is_held(self) -> bool:
        """Whether libhdf5 has the file open; see `backends.File.is_held`."""
        return self._file.is_held

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
        """Return what is known of the object at `path` and of its members; see `backends.File.index`."""
        ask = _Ask(recursive, attributes, array_attributes, groups, prepare)
        asked = "/" + "/".join(split_path(path))
        try:
            found = ask.of(self._file, path, names)
        except LinkOutsideError as link:
            if self._outside is None or link.link is None:
                raise
            return self._followed(link, asked, ask, names)
        if self._outside is not None:
            found = self._with_members(found, asked, ask, names)
        return self._with_reasons(found)

    def _followed(self, out: LinkOutsideError, asked: str, ask: _Ask, names: Collection[str] | None) -> FileIndex:
        """Return what is behind a link into another file, as if it were here at `asked`."""
        link, outside = out.link, self._outside
        assert link is not None and link.filename is not None and outside is not None  # noqa: S101, PT018  # see `index`
        target = "/" + "/".join(split_path(link.target))
        is_beside = out.rest[:1] == [ROOT]
        there = "/" + "/".join(split_path("/".join(out.rest[1:] if is_beside else [target, *out.rest])))
        routes = routes_of(link=out.step, target=target, asked=there, path=asked)
        with one_step((self._file.source.url, asked)), outside.file(link.filename, self._at) as other:
            found = ask.of(other, there, names)
        return rebased(found, routes, self.source)

    def _with_members(self, found: FileIndex, asked: str, ask: _Ask, names: Collection[str] | None) -> FileIndex:
        """Return an index with the members of its groups that are in other files."""
        groups, arrays, problems = dict(found.groups), dict(found.arrays), dict(found.problems)
        for group in found.groups.values():
            if not ask.recursive and group.path != asked:
                continue
            links = dict(group.links)
            for name in _members_outside(group, found):
                step = join(group.path, name)
                try:
                    inside = self._member(step, ask)
                except SourceChangedError:
                    raise
                except NWBDaskError as exc:
                    problems[step] = exc.message
                    continue
                if inside is None:
                    continue
                entry = inside.arrays.get(step)
                if entry is not None and not _is_chosen(name, entry, names if group.path == asked else None):
                    continue
                del links[name]
                problems.pop(step, None)
                groups |= inside.groups
                arrays |= inside.arrays
                problems |= inside.problems
            if len(links) < len(group.links):
                groups[group.path] = replace(group, links=links)
        return FileIndex(self.source, groups, arrays, problems)

    def _member(self, step: str, ask: _Ask) -> FileIndex | None:
        """Return what is at the path of a member, if that is in another file: a group alone, or with all below it."""
        try:
            self._file.index(step, names=(), attributes=frozenset(), array_attributes=frozenset(), groups=False)
        except LinkOutsideError as link:
            if link.link is None:
                raise
            found = self._followed(link, step, ask, None if ask.recursive else ())
            if step in found.groups and not ask.recursive:
                problems = {path: reason for path, reason in found.problems.items() if path.startswith(f"{step}@")}
                return FileIndex(found.source, {step: found.groups[step]}, {}, problems)
            return found
        return None

    def _with_reasons(self, found: FileIndex) -> FileIndex:
        """Return an index that says why datasets in other files cannot be read."""
        reasons: dict[str, str] = {
            entry.path: reason
            for entry in found.arrays.values()
            if entry.home is None
            and entry.layout in _ELSEWHERE
            and entry.path not in found.problems
            and (reason := self._why_unread(entry)) is not None
        }
        return replace(found, problems={**found.problems, **reasons}) if reasons else found

    def _why_unread(self, entry: ArrayEntry) -> str | None:
        try:
            with Boundary(self.source.url, entry.path):
                if entry.layout == "external":
                    names = {one.filename for one in read_segments(self._file.creation(entry), 0)}
                else:
                    names = {one.filename for one in read_pieces(self._file.creation(entry))}
                for name in sorted(names - {SAME_FILE} if entry.layout == "virtual" else names):
                    with self._raw(name, entry):
                        pass
        except NWBDaskError as exc:
            return exc.message
        return None

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch what reading rows of `entries` will need; see `backends.File.prepare`."""
        self._file.prepare([entry for entry in entries if not _is_elsewhere(entry)])

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand; see `backends.File.holds`."""
        if _is_elsewhere(entry):
            return entry.shape is None or 0 in entry.shape
        return self._file.holds(entry)

    def stored(self, entry: ArrayEntry) -> ArrayEntry:
        """Return the entry, which says how its bytes are to be read; see `backends.File.stored`."""
        return entry

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where the bytes of datasets of this file are; see `backends.File.locate`."""
        here = iter(self._file.locate([entry for entry in entries if entry.home is None]))
        return [next(here) if entry.home is None else self._located_outside(entry) for entry in entries]

    def _located_outside(self, entry: ArrayEntry) -> UnsupportedLayoutError:
        message = f"{entry.path} is in another file, of which no references are made"
        return UnsupportedLayoutError(message, url=self._file.source.url, path=entry.path)

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if what a dataset is made of cannot hold so much; see `backends.File.require_room`."""
        if not _is_elsewhere(entry):
            self._file.require_room(entry, n_bytes)
            return
        with Boundary(self.source.url, entry.path):
            if entry.home is not None:
                with self._home(entry, entry.home) as (other, there):
                    other.require_room(there, n_bytes)
                return
            with one_step():
                if entry.layout == "external":
                    self._raw_files(entry).require(0, n_bytes)
                else:
                    properties = self._file.creation(entry)
                    require_virtual_room(properties, self._source_file, n_bytes, room=self._store.size)

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> _Values:
        """Return rows of the first axis of a dataset, or a box of each; see `backends.File.read`."""
        return self.read_many([(entry, spans, inner)])[0]

    def read_many(self, requests: Sequence[Request]) -> list[_Values]:
        """Return rows of many datasets, those of this file fetched together; see `backends.File.read_many`."""
        if not any(_is_elsewhere(request[0]) for request in requests):
            return self._file.read_many(requests)
        here = iter(self._file.read_many([request for request in requests if not _is_elsewhere(request[0])]))
        return [self._read(*request) if _is_elsewhere(request[0]) else next(here) for request in requests]

    def _read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> _Values:
        with Boundary(self.source.url, entry.path):
            if entry.home is not None:
                return self._read_home(entry, entry.home, spans, inner)
            shape = checked_shape(entry)
            if entry.shape is None or entry.element.kind == "unsupported":
                return self._file.read(replace(entry, layout="contiguous"))
            box = checked_box(inner, shape)
            wanted = tidy(spans if shape else None, n_rows=shape[0] if shape else 1)
            with one_step():
                if entry.layout == "external":
                    return read_raw(entry, wanted, box, self._raw_files(entry))
                properties = self._file.creation(entry)
                return read_virtual(entry, wanted, box, properties, self._source_file, room=self._store.size)

    def _read_home(
        self, entry: ArrayEntry, home: Home, spans: npt.NDArray[np.int64] | None, inner: Box | None
    ) -> _Values:
        with self._home(entry, home) as (other, there):
            values = other.read(there, spans, inner)
        return routed_values(values, entry.element, home.routes)

    @contextmanager
    def _home(self, entry: ArrayEntry, home: Home) -> Iterator[tuple[File, ArrayEntry]]:
        """Give the file that a dataset behind a link is in, and what it is there."""
        if self._outside is None:
            raise UnsupportedLayoutError(f"{entry.path} is in another file, {home.url}; {_WAY_OUT}", path=entry.path)
        with one_step(), self._outside.file(home.url, self._at) as other:
            yield other, replace(entry, path=home.path, home=None)

    def _raw_files(self, entry: ArrayEntry) -> RawFiles:
        segments = read_segments(self._file.creation(entry), prod(entry.shape or ()) * entry.element.size)
        return RawFiles(segments, lambda name: self._raw(name, entry))

    def _source_file(self, filename: str, path: str) -> AbstractContextManager[File]:
        """Give the file that a part of a virtual dataset is in."""
        if filename == SAME_FILE:
            return nullcontext(self)
        if self._outside is None:
            raise self._refusal(filename, path)
        return self._outside.file(filename, self._at)

    def _raw(self, filename: str, entry: ArrayEntry) -> AbstractContextManager[AllowedStore]:
        if self._outside is None:
            raise self._refusal(filename, entry.path)
        return self._outside.raw(filename, self._at)

    def _refusal(self, filename: str, path: str) -> UnsupportedLayoutError:
        if self._place is None:
            way_out = "the data of a remote file are never read from others; copy it beside them"
        else:
            way_out = f"which are not read: {_WAY_OUT}"
        return UnsupportedLayoutError(f"{path} has its data in other files ({filename!r}), {way_out}", path=path)

    @property
    def _at(self) -> str:
        assert self._place is not None  # noqa: S101  # a remote file has no `Outside`
        return self._place

    def close(self) -> None:
        """Give up the file, and those that it led to; more than once is harmless. The store stays open."""
        self._file.close()
        if self._is_first and self._outside is not None:
            self._outside.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ReachingFile({self._file.source.url!r})"


@dataclass(frozen=True, slots=True)
class _Ask:
    """What `File.index` is asked for, but for the path and the names."""

    recursive: bool
    attributes: frozenset[str] | None
    array_attributes: frozenset[str] | None
    groups: bool
    prepare: bool

    def of(self, file: File, path: str, names: Collection[str] | None) -> FileIndex:
        return file.index(
            path,
            names=names,
            recursive=self.recursive,
            attributes=self.attributes,
            array_attributes=self.array_attributes,
            groups=self.groups,
            prepare=self.prepare,
        )


def _open_other(store: AllowedStore, place: str, outside: Outside) -> File:
    return ReachingFile(store, place=place, outside=outside)


def _is_elsewhere(entry: ArrayEntry) -> bool:
    return entry.home is not None or entry.layout in _ELSEWHERE


def _members_outside(group: GroupEntry, found: FileIndex) -> list[str]:
    """Return the members of a group that may be in other files: soft links that failed may lead through such a link."""
    return [
        name
        for name, link in group.links.items()
        if link.filename is not None or join(group.path, name) in found.problems
    ]


def _is_chosen(name: str, entry: ArrayEntry, names: Collection[str] | None) -> bool:
    """Return whether a dataset is in `names`, or points to one that is."""
    if names is None or name in names:
        return True
    target = entry.attributes.get(POINTER)
    if not isinstance(target, Reference) or target.path is None:
        return False
    # It may point to another index, which is not looked at here.
    pointed = basename(target.path)
    return any(pointed == one or pointed.startswith(f"{one}_index") for one in names)
