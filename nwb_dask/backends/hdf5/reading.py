"""Reads values of many datasets at once: where they are, their bytes, and what these point to, a round for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from types import TracebackType
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from nwb_dask.backends.hdf5.array_read import ArrayRead, plan_read
from nwb_dask.backends.hdf5.boxes import Box
from nwb_dask.backends.hdf5.chunk_grid import box_ranges
from nwb_dask.backends.hdf5.elements import addresses_in, decode, is_decodable
from nwb_dask.backends.hdf5.format.chunk_index import find_chunks
from nwb_dask.backends.hdf5.format.space import Need, gather
from nwb_dask.backends.hdf5.lookup import Lookup
from nwb_dask.backends.hdf5.object_attributes import PARSER_ERRORS, STORAGE_ERRORS
from nwb_dask.backends.hdf5.pages import Coming, Pages
from nwb_dask.backends.hdf5.rounds import Rest, Task, run
from nwb_dask.backends.hdf5.search import Search
from nwb_dask.backends.hdf5.spans import Spans, count, n_chunks
from nwb_dask.backends.hdf5.types import holds_objects
from nwb_dask.backends.known import INLINE_BYTES, MAX_MANIFEST_CHUNKS
from nwb_dask.backends.protocol import ByteSource
from nwb_dask.index import ArrayEntry, ChunkManifest
from nwb_dask.storage import Buffer

T = TypeVar("T")

_Values = npt.NDArray[np.generic]

_TOGETHER_BYTES = 64 << 20
"""Stored bytes of several datasets that are fetched at once; larger reads go one by one, in batches."""
_LOCAL_BYTES = 1 << 20
"""The same of a local file: threads that decode also read."""


_MANY = 8
"""So many small datasets are read by the pages that hold them, which they share; fewer are read by themselves."""


def is_readable(entry: ArrayEntry) -> bool:
    """Return whether the own reader knows where the data of `entry` are and what they mean."""
    if not is_decodable(entry.element):
        return False
    if entry.layout == "chunked":
        return entry.chunk_index is not None and entry.chunks is not None
    if entry.layout == "contiguous":
        # Where nothing was allocated, the parser says what stands there; h5py is asked for it.
        return entry.offset is not None or (not entry.stored_bytes and entry.fill is not None)
    return entry.layout == "compact" and entry.inline is not None


def is_small(entry: ArrayEntry) -> bool:
    """Return whether all values of `entry` are few enough to be read and kept together."""
    shape = entry.shape
    return shape is not None and prod(shape) * max(entry.element.size, 1) <= INLINE_BYTES


@dataclass(slots=True)
class _Work:
    """One dataset on the way from its entry to its values."""

    entry: ArrayEntry
    spans: Spans
    box: Box | None = None
    """None: rows are wanted whole."""
    manifest: ChunkManifest | None = None
    plan: ArrayRead | None = None
    stored: _Values | None = None
    values: _Values | None = None
    error: Exception | None = None
    needed: list[int] = field(default_factory=list)


class Reader:
    """Reads datasets of one file through the own parser.

    Parameters
    ----------
    store : ByteSource
        The file's bytes.
    lookup : Lookup
        Its structure.
    pages : Pages
        The part of it that is in memory.
    """

    def __init__(self, store: ByteSource, lookup: Lookup, pages: Pages) -> None:
        self._store = store
        self._lookup = lookup
        self._pages = pages
        self._is_local = store.local_path is not None
        self.from_pages = False
        """Whether values that describing a file has brought are given without a request, which would tell whether the
        file is still the same."""
        self._unfollowed: list[_Work] = []

    def read(self, requests: Sequence[tuple[ArrayEntry, Spans, Box | None]]) -> list[_Values | Exception]:
        """Return the values of each request, or why the own reader cannot have them.

        Parameters
        ----------
        requests : sequence of (ArrayEntry, Spans, Box or None)
            Readable entries, with tidy spans that are not empty, and what is wanted of each row, which is not empty
            either; None for all. A scalar is its single row.
        """
        works = [_Work(*request) for request in requests]
        run([self._locating(work) for work in works if work.entry.layout == "chunked"], self._pages)
        for work in works:
            if work.error is None:
                with _Noting(work):
                    self._plan(work)
        self._fetch([work for work in works if work.error is None])
        self._decode([work for work in works if work.error is None])
        for work in works:
            self._keep(work)
        return [work.error or _present(work.values) for work in works]

    def locate(self, entries: Sequence[ArrayEntry]) -> list[ChunkManifest | Exception]:
        """Return where all chunks of chunked datasets are, or why that cannot be told; in as few rounds as for one."""
        works = [_Work(entry, _all_rows(entry)) for entry in entries]
        run([self._locating(work) for work in works], self._pages)
        return [work.error or _present(work.manifest) for work in works]

    def learn(self, entries: Iterable[ArrayEntry], *, present_only: bool = False) -> None:
        """Keep the values of small datasets, and where the chunks of the others are.

        Parameters
        ----------
        entries : iterable of ArrayEntry
            Readable ones; what cannot be had is left out without an error.
        present_only : bool
            Whether to keep only what can be had of the pages that are here, without a request.
        """
        wanted = list(entries)
        if not present_only:
            self._learn_all(wanted)
            return
        tasks = [task for entry in wanted for task in self.learning(entry)]
        while tasks:
            with suppress(Need):
                tasks += [one.task if isinstance(one, Rest) else one for one in tasks.pop()() or ()]
        self._follow_present()

    def _learn_all(self, entries: Sequence[ArrayEntry]) -> None:
        small = [entry for entry in entries if is_small(entry) and entry.path not in self._lookup.known.values]
        if len(small) >= _MANY:
            run([task for entry in entries for task in self.learning(entry)], self._pages)
            self.follow_references()
            return
        large = [_Work(entry, _all_rows(entry)) for entry in entries if not is_small(entry) and _is_listed(entry)]
        works = [_Work(entry, _all_rows(entry)) for entry in small]
        run([self._locating(work) for work in (*works, *large) if work.entry.layout == "chunked"], self._pages)
        self.read([(work.entry, work.spans, None) for work in works])

    def learning(self, entry: ArrayEntry) -> list[Task]:
        """Return the work of learning one readable dataset; `follow_references` does what it leaves."""
        known = self._lookup.known
        if entry.path in known.values or entry.path in known.manifests:
            return []
        work = _Work(entry, _all_rows(entry))
        if is_small(entry):
            return [self._valuing(work)]
        return [self._locating(work)] if _is_listed(entry) else []

    def follow_references(self) -> None:
        """Keep the small datasets with references whose paths had to be looked for."""
        works, self._unfollowed = self._unfollowed, []
        paths = self._lookup.known.paths
        Search(self._lookup, {one for work in works for one in work.needed if one not in paths}).run(self._pages)
        run([self._keeping(work) for work in works], self._pages)

    def _follow_present(self) -> None:
        """Keep the small datasets with references whose paths are known, or found without a request."""
        works, self._unfollowed = self._unfollowed, []
        paths = self._lookup.known.paths
        for needed in {frozenset(work.needed) for work in works}:
            with suppress(Need):
                Search(self._lookup, needed - paths.keys()).run(_NoMore())
        for work in works:
            if all(one in paths for one in work.needed):
                with suppress(Need):
                    self._keeping(work)()

    def _locating(self, work: _Work) -> Task:
        """Return the work of finding the chunks that a read needs."""

        def locate() -> None:
            entry, known = work.entry, self._lookup.known
            work.manifest = known.manifests.get(entry.path)
            if work.manifest is not None:
                return
            if _is_listed(entry) and not self._is_local:
                every = np.array([[0, n_chunks(entry.shape or (), entry.chunks or ())]], np.int64)
                work.manifest = find_chunks(self._lookup.space, entry, every)
                known.manifests[entry.path] = work.manifest
                known.is_changed = True
            else:
                work.manifest = find_chunks(self._lookup.space, entry, box_ranges(entry, work.spans, work.box))

        return self._task(work, locate)

    def _valuing(self, work: _Work) -> Task:
        """Return the work of reading a small dataset through the pages, which those beside it share."""
        locate = self._locating(work) if work.entry.layout == "chunked" else None

        def value() -> Iterable[Task]:
            if locate is not None:
                locate()
            if work.error is not None:
                return ()
            self._plan(work)
            plan = _present(work.plan)
            views = gather([_view(self._pages, start, stop) for start, stop in plan.ranges])
            work.stored = plan.finish(views)
            work.needed = addresses_in(work.stored, work.entry.element).tolist()
            if all(one in self._lookup.known.paths for one in work.needed):
                return [self._keeping(work)]
            self._unfollowed.append(work)
            return ()

        return self._task(work, value)

    def _keeping(self, work: _Work) -> Task:
        """Return the work of decoding a small dataset and keeping it."""
        decode_it = self._decoding(work)

        def keep() -> None:
            decode_it()
            self._keep(work)

        return self._task(work, keep)

    def _keep(self, work: _Work) -> None:
        """Keep all values of a small dataset of a remote file."""
        entry, values = work.entry, work.values
        if self._is_local or values is None or not is_small(entry):
            return
        if work.box is not None or count(work.spans) != _n_rows(entry):
            return
        known = self._lookup.known
        # A copy, so that no page stays in memory for a part of it.
        known.values[entry.path] = np.array(values if entry.shape else values.reshape(values.shape[1:]))
        known.is_changed = True

    def _task(self, work: _Work, step: Task) -> Task:
        def task() -> Iterable[Task | Rest] | None:
            with _Noting(work):
                return step()
            return None

        return task

    def _plan(self, work: _Work) -> None:
        work.plan = plan_read(work.entry, work.spans, work.manifest, file_bytes=self._store.size, box=work.box)

    def _fetch(self, works: Sequence[_Work]) -> None:
        """Read and decode the stored bytes: of all works in one round, unless they are many."""
        plans = [_present(work.plan) for work in works]
        together = sum(plan.n_bytes for plan in plans) <= (_LOCAL_BYTES if self._is_local else _TOGETHER_BYTES)
        ranges = [one for plan in plans for one in plan.ranges] if together else []
        buffers = self._bytes(ranges)
        at = 0
        for work, plan in zip(works, plans, strict=True):
            mine = buffers[at : at + len(plan.ranges)]
            at += len(plan.ranges)
            with _Noting(work):
                work.stored = plan.finish(mine) if together else plan.run(self._store.read, is_local=self._is_local)

    def _bytes(self, ranges: Sequence[tuple[int, int]]) -> list[Buffer]:
        """Return the bytes of each range; see `from_pages`."""
        if not self.from_pages:
            return self._store.read(ranges) if ranges else []
        here = {one: self._pages.view(*one) for one in ranges if self._pages.holds(*one)}
        absent = [one for one in ranges if one not in here]
        found = iter(self._store.read(absent) if absent else ())
        return [here[one] if one in here else next(found) for one in ranges]

    def _decode(self, works: Sequence[_Work]) -> None:
        """Turn stored elements into values: one more round for text, one or more for references."""
        plain = [work for work in works if not holds_objects(work.entry.element)]
        for work in plain:
            with _Noting(work):
                self._decoding(work)()
        works = [work for work in works if holds_objects(work.entry.element)]
        if not works:
            return
        paths = self._lookup.known.paths
        for work in works:
            work.needed = addresses_in(_present(work.stored), work.entry.element).tolist()
        Search(self._lookup, {one for work in works for one in work.needed if one not in paths}).run(self._pages)
        run([self._task(work, self._decoding(work)) for work in works], self._pages)

    def _decoding(self, work: _Work) -> Callable[[], None]:
        def step() -> None:
            # What leads nowhere needs no heap, for which the superblock would have to be read.
            heap = self._lookup.heap if holds_objects(work.entry.element) else None
            work.values = decode(_present(work.stored), work.entry.element, heap, self._lookup.known.paths)

        return step


class _NoMore:
    """Pages of which no more come."""

    def fetching(self, ranges: Iterable[tuple[int, int]], _coming: frozenset[int] = frozenset(), /) -> Coming:
        raise Need(tuple(ranges))


def _view(pages: Pages, start: int, stop: int) -> Callable[[], memoryview]:
    return lambda: pages.view(start, stop)


def _is_listed(entry: ArrayEntry) -> bool:
    """Return whether all chunks of a dataset are found at once."""
    return (
        entry.layout == "chunked"
        and entry.chunks is not None
        and entry.shape is not None
        and 0 not in entry.chunks
        and n_chunks(entry.shape, entry.chunks) <= MAX_MANIFEST_CHUNKS
    )


def _n_rows(entry: ArrayEntry) -> int:
    return entry.shape[0] if entry.shape else 1


def _all_rows(entry: ArrayEntry) -> Spans:
    return np.array([[0, _n_rows(entry)]], np.int64)


def _present(value: T | None) -> T:
    assert value is not None  # noqa: S101  # set by the step before
    return value


class _Noting:
    """Context in which an error about one dataset is noted with it, so that the others are read."""

    __slots__ = ("_work",)

    def __init__(self, work: _Work) -> None:
        self._work = work

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        if isinstance(exc, PARSER_ERRORS) and not isinstance(exc, STORAGE_ERRORS):
            self._work.error = exc
            return True
        return False
