"""A file with what its links lead to in others: the index of all of it, and where the data are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Generic, Self

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.boxes import Box
from nwb_dask.backends.hdf5.compose import POINTER
from nwb_dask.backends.hdf5.outside import Outside, S, one_step
from nwb_dask.backends.hdf5.paths import LinkOutsideError, split_path
from nwb_dask.backends.hdf5.rebased import ROOT, rebased, routed_values, routes_of
from nwb_dask.backends.known import Known
from nwb_dask.backends.protocol import File, Request
from nwb_dask.errors import NWBDaskError, SourceChangedError, UnsupportedLayoutError
from nwb_dask.index import (
    ArrayEntry,
    FileIndex,
    GroupEntry,
    Home,
    Placement,
    Reference,
    Source,
    ZarrForm,
    basename,
    join,
)

Values = npt.NDArray[np.generic]
WAY_OUT = "allow_external=[...] in storage_options or nwb_dask.options allows for the folder that they are in"


class LinkedFile(Generic[S]):
    """One open file of any container, whose links into others are followed; see `backends.File`.

    Parameters
    ----------
    file : File
        It raises `LinkOutsideError` where a path leads through a link into another file.
    place : str or None
        Where it is, as far as others are named by that.
    outside : Outside or None
        The files that it may lead to; None if there are none.
    is_first : bool
        Whether no other file led to this one.
    """

    def __init__(self, file: File, place: str | None, outside: Outside[S] | None, *, is_first: bool) -> None:
        self._file = file
        self._place = place
        self._outside = outside
        self._is_first = is_first

    @property
    def source(self) -> Source:
        """The file and its version, which covers the files that it has led to."""
        source = self._file.source
        return source if self._outside is None else replace(source, identity=self._outside.identity)

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
        """Return an index that says more of why datasets cannot be read."""
        return found

    def prepare(self, entries: Iterable[ArrayEntry]) -> None:
        """Fetch what reading rows of `entries` will need; see `backends.File.prepare`."""
        self._file.prepare([entry for entry in entries if not self._is_elsewhere(entry)])

    def holds(self, entry: ArrayEntry) -> bool:
        """Return whether all values of a dataset are at hand; see `backends.File.holds`."""
        if self._is_elsewhere(entry):
            return entry.shape is None or 0 in entry.shape
        return self._file.holds(entry)

    def stored(self, entry: ArrayEntry) -> ArrayEntry | ZarrForm:
        """Return what says how the bytes of a dataset are to be read; see `backends.File.stored`."""
        return self._file.stored(entry) if entry.home is None else entry

    def locate(self, entries: Sequence[ArrayEntry]) -> list[Placement | NWBDaskError]:
        """Return where the bytes of datasets of this file are; see `backends.File.locate`."""
        here = iter(self._file.locate([entry for entry in entries if entry.home is None]))
        return [next(here) if entry.home is None else self._located_outside(entry) for entry in entries]

    def _located_outside(self, entry: ArrayEntry) -> UnsupportedLayoutError:
        message = f"{entry.path} is in another file, of which no references are made"
        return UnsupportedLayoutError(message, url=self._file.source.url, path=entry.path)

    def require_room(self, entry: ArrayEntry, n_bytes: int) -> None:
        """Raise if what a dataset is made of cannot hold so much; see `backends.File.require_room`."""
        if entry.home is None:
            self._file.require_room(entry, n_bytes)
            return
        with self._naming(entry), self._home(entry, entry.home) as (other, there):
            other.require_room(there, n_bytes)

    def read(self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None) -> Values:
        """Return rows of the first axis of a dataset, or a box of each; see `backends.File.read`."""
        return self.read_many([(entry, spans, inner)])[0]

    def read_many(self, requests: Sequence[Request]) -> list[Values]:
        """Return rows of many datasets, those of this file fetched together; see `backends.File.read_many`."""
        is_elsewhere = [self._is_elsewhere(request[0]) for request in requests]
        if not any(is_elsewhere):
            return self._file.read_many(requests)
        own = [request for request, is_other in zip(requests, is_elsewhere, strict=True) if not is_other]
        here = iter(self._file.read_many(own))
        return [
            self._read_elsewhere(*request) if is_other else next(here)
            for request, is_other in zip(requests, is_elsewhere, strict=True)
        ]

    def _is_elsewhere(self, entry: ArrayEntry) -> bool:
        """Return whether the data of a dataset are in other files."""
        return entry.home is not None

    def _read_elsewhere(
        self, entry: ArrayEntry, spans: npt.NDArray[np.int64] | None = None, inner: Box | None = None
    ) -> Values:
        assert entry.home is not None  # noqa: S101  # see `_is_elsewhere`
        with self._naming(entry):
            with self._home(entry, entry.home) as (other, there):
                values = other.read(there, spans, inner)
            return routed_values(values, entry.element, entry.home.routes)

    @contextmanager
    def _home(self, entry: ArrayEntry, home: Home) -> Iterator[tuple[File, ArrayEntry]]:
        """Give the file that a dataset behind a link is in, and what it is there."""
        if self._outside is None:
            raise UnsupportedLayoutError(f"{entry.path} is in another file, {home.url}; {WAY_OUT}", path=entry.path)
        with one_step(), self._outside.file(home.url, self._at) as other:
            yield other, replace(entry, path=home.path, home=None)

    @contextmanager
    def _naming(self, entry: ArrayEntry) -> Iterator[None]:
        """Context in which errors of ours get to name the file and the dataset."""
        try:
            yield
        except NWBDaskError as exc:
            exc.at(url=self.source.url, path=entry.path)
            raise

    @property
    def _at(self) -> str:
        assert self._place is not None  # noqa: S101  # who has none has no `Outside`
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
        return f"{type(self).__name__}({self._file.source.url!r})"


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
