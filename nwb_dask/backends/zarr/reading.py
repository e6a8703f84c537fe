"""Reads parts of many arrays at once: a round for the indexes of shards, if there are any, and one for the rest.

A chunk that is not there holds fill values: that is how Zarr stores what was never written, and nothing in a store
tells a chunk that somebody has removed from one of these (Zarr core specification version 3.1, *Chunks*; version 2
likewise). That it may not be read is an error, and so is a version of the store other than the one that was planned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from itertools import islice
from math import prod
from typing import NamedTuple

import numpy as np

from nwb_dask.backends.hdf5.boxes import Box, box_shape, whole_box
from nwb_dask.backends.hdf5.spans import Spans, count
from nwb_dask.backends.threads import decoding_threads, wait_for
from nwb_dask.backends.zarr.fill import fill_element
from nwb_dask.backends.zarr.grid import Part, n_touched, parts
from nwb_dask.backends.zarr.hierarchy import KeySource
from nwb_dask.backends.zarr.meaning import Values
from nwb_dask.backends.zarr.pipeline import Pipeline
from nwb_dask.backends.zarr.raw import raw_ranges, raw_values
from nwb_dask.backends.zarr.shard_index import Found, ShardIndexes, find_chunk
from nwb_dask.backends.zarr.shards import Leaf, leaf_of
from nwb_dask.backends.zarr.tree import Stored
from nwb_dask.errors import MalformedFileError, NWBDaskError, SourceChangedError
from nwb_dask.storage import Buffer, KeyRange

_BATCH_BYTES = 64 << 20
"""Elements that are read at once, whole chunks counted."""
_TASK_BYTES = 1 << 20
"""Elements that one task decodes."""
_BATCH_CHUNKS = 8192
_MAX_CHUNKS = 1 << 20
_OBJECT_BYTES = 1 << 30
_SPARE_BYTES = 1 << 20


class Wanted(NamedTuple):
    """What is wanted of one array."""

    path: str
    stored: Stored
    spans: Spans
    """Tidy rows of the array as it is stored, not empty."""
    box: Box | None
    """Of each row, not empty; None for all of it."""


class _Job(NamedTuple):
    """A chunk on the way to its place."""

    plan: ArrayPlan
    part: Part
    ranges: tuple[KeyRange, ...]
    """None where nothing was written."""


class ArrayPlan:
    """What is wanted of one array, and the array that it goes to.

    Raises
    ------
    UnsupportedLayoutError
        If a codec is not known.
    MalformedFileError
        If so many chunks are wanted that no store has them.
    """

    def __init__(self, wanted: Wanted) -> None:
        document = wanted.stored.document
        self.path = wanted.path
        self.folder = document.path.strip("/") + "/" if document.path != "/" else ""
        self.document = document
        self.leaf: Leaf = leaf_of(document)
        self.pipeline = Pipeline(self.leaf.codecs, document.dtype, self.leaf.chunks, document.order)
        # An array without dimensions is its only element.
        self.shape = document.shape or (1,)
        self.chunks = self.leaf.chunks or (1,)
        self.spans = wanted.spans
        self.box = wanted.box
        self.fill = fill_element(document)
        self.inner = whole_box(self.shape[1:]) if wanted.box is None else wanted.box
        self.out_shape = (count(wanted.spans), *box_shape(self.inner))
        self.n_chunks = n_touched(self.chunks, wanted.spans, self.inner)
        if self.n_chunks > _MAX_CHUNKS:
            raise MalformedFileError(f"{self.n_chunks} chunks were asked for at once; ask for fewer rows")
        self.n_bytes = self.n_chunks * max(self.chunk_bytes, 1)
        self.out: Values = np.empty(0)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of the elements of what is decoded by itself."""
        return prod(self.chunks) * self.document.dtype.itemsize

    @property
    def out_bytes(self) -> int:
        """Bytes of the result."""
        return prod(self.out_shape) * self.document.dtype.itemsize

    def check_stored(self, n_bytes: int) -> None:
        """Raise if a chunk in a shard says that it takes more bytes than one can, or others where it is not encoded."""
        if self.pipeline.is_raw:
            is_sound = n_bytes == self.chunk_bytes
        elif self.document.dtype.hasobject:
            is_sound = n_bytes <= _OBJECT_BYTES
        else:
            is_sound = n_bytes <= 2 * self.chunk_bytes + _SPARE_BYTES
        if not is_sound:
            raise MalformedFileError(f"damaged: a chunk of {self.chunk_bytes} bytes takes {n_bytes} in a shard")

    def allocate(self) -> None:
        """Make room for the result."""
        self.out = np.empty(self.out_shape, self.pipeline.dtype)

    def parts(self) -> Iterator[Part]:
        """Yield what is wanted of each chunk."""
        return parts(self.shape, self.chunks, self.spans, self.box)

    def key(self, place: tuple[int, ...]) -> str:
        """Return the key of a chunk, or of a shard."""
        return self.folder + self.document.keys.key(place if self.document.shape else ())

    def put(self, job: _Job, buffers: Sequence[Buffer | None]) -> None:
        """Decode a chunk and put what is wanted of it into the result; chunks do not overlap."""
        target = self.out[job.part.out]
        if not buffers or buffers[0] is None:
            target[...] = self.fill
            return
        try:
            if self.pipeline.is_raw and self.document.shape:
                raw_values(target, job.part, buffers, self.chunks, self.pipeline.dtype)
                return
            found = self.pipeline.decode(buffers[0]).reshape(self.chunks)
            target[...] = found[job.part.pick()]
        except NWBDaskError as exc:
            raise exc.at(path=self.path) from exc.__cause__
        except (TypeError, ValueError) as exc:
            raise MalformedFileError(f"damaged: a chunk holds other elements than it should: {exc}") from exc


class Reader:
    """Reads arrays of one store.

    Parameters
    ----------
    keys : KeySource
        Its bytes.
    """

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self._is_local = keys.local_path is not None
        self._shards = ShardIndexes(keys)

    def read(self, plans: Sequence[ArrayPlan]) -> list[Values]:
        """Return the elements that are wanted of each array; all in one round, unless they are many."""
        for plan in plans:
            plan.allocate()
        try:
            self._run_all(plans)
        except SourceChangedError:
            self._shards.forget()
            raise
        return [plan.out for plan in plans]

    def _run_all(self, plans: Sequence[ArrayPlan]) -> None:
        if sum(plan.n_bytes for plan in plans) <= _BATCH_BYTES and sum(plan.n_chunks for plan in plans) < _BATCH_CHUNKS:
            self._run([(plan, part) for plan in plans for part in plan.parts()])
        else:
            self._run_batches(plans)

    def _run(self, chosen: Sequence[tuple[ArrayPlan, Part]]) -> None:
        wait_for(self._start(chosen))

    def _run_batches(self, plans: Iterable[ArrayPlan]) -> None:
        """Read some chunks while those before them are decoded."""
        running: list[Future[None]] = []
        try:
            for plan in plans:
                step = min(max(_BATCH_BYTES // max(plan.chunk_bytes, 1), 1), _BATCH_CHUNKS)
                left = plan.parts()
                while some := list(islice(left, step)):
                    started = self._start([(plan, part) for part in some])
                    wait_for(running)
                    running = started
        finally:
            wait_for(running)

    def _start(self, chosen: Sequence[tuple[ArrayPlan, Part]]) -> list[Future[None]]:
        """Fetch chunks and begin to decode them; return what is still under way."""
        jobs = self._jobs(chosen)
        if self._is_local:
            return self._submit(jobs, None)
        flat = [one for job in jobs for one in job.ranges]
        return self._submit(jobs, self._keys.read_keys(flat) if flat else [])

    def _jobs(self, chosen: Sequence[tuple[ArrayPlan, Part]]) -> list[_Job]:
        found = self._shards.fetch([(plan.leaf, plan.key, part.place) for plan, part in chosen if plan.leaf.shard])
        jobs = []
        for plan, part in chosen:
            try:
                jobs.append(_Job(plan, part, _ranges(plan, part, found)))
            except NWBDaskError as exc:
                raise exc.at(path=plan.path) from exc.__cause__
        return jobs

    def _submit(self, jobs: Sequence[_Job], buffers: Sequence[Buffer | None] | None) -> list[Future[None]]:
        """Decode chunks, some in each task. Without `buffers` a task reads what it needs."""
        tasks = list(_tasks(jobs))
        pool = decoding_threads() if len(tasks) > 1 else None
        running: list[Future[None]] = []
        at = 0
        for task in tasks:
            n = sum(len(job.ranges) for job in task)
            mine = None if buffers is None else buffers[at : at + n]
            at += n
            if pool is None:
                self._decode(task, mine)
            else:
                running.append(pool.submit(self._decode, task, mine))
        return running

    def _decode(self, task: Sequence[_Job], buffers: Sequence[Buffer | None] | None) -> None:
        if buffers is None:
            buffers = self._keys.read_keys([one for job in task for one in job.ranges])
        at = 0
        for job in task:
            job.plan.put(job, buffers[at : at + len(job.ranges)])
            at += len(job.ranges)


def _ranges(plan: ArrayPlan, part: Part, shards: Found) -> tuple[KeyRange, ...]:
    """Return what is to be read of a chunk; nothing where a shard says that it was never written."""
    key, base, stop = plan.key(part.place), 0, None
    if plan.leaf.shard is not None:
        found = find_chunk(shards, plan.leaf, plan.key, part.place)
        if found is None:
            return ()
        key, base, stop = found
        plan.check_stored(stop - base)
    if not plan.pipeline.is_raw or not plan.document.shape:
        return ((key, None if stop is None else (base, stop)),)
    wanted = raw_ranges(part, plan.chunks, plan.pipeline.dtype.itemsize)
    if stop is None and wanted == ((0, plan.chunk_bytes),):
        return ((key, None),)
    return tuple([(key, (base + first, base + last)) for first, last in wanted])


def _tasks(jobs: Sequence[_Job]) -> Iterator[list[_Job]]:
    """Yield chunks of about a mebibyte together."""
    task: list[_Job] = []
    n_bytes = 0
    for job in jobs:
        task.append(job)
        n_bytes += job.plan.chunk_bytes
        if n_bytes >= _TASK_BYTES:
            yield task
            task, n_bytes = [], 0
    if task:
        yield task
