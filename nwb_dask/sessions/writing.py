"""Results as Parquet: what is there and still holds is left, the rest is computed, what fails is listed."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from nwb_dask.conversion.progress import progress_bar
from nwb_dask.errors import NWBDaskError, OutputError, SchemaConflictError, SkippedFilesWarning
from nwb_dask.read import warn_user
from nwb_dask.read.concurrently import each_of
from nwb_dask.sessions.pools import open_pool
from nwb_dask.sessions.records import Output, Quarantined, Record, parquet_bytes
from nwb_dask.sessions.report import Report
from nwb_dask.sessions.rows import conform_rows, unify
from nwb_dask.sessions.run import Settled, run_jobs
from nwb_dask.sessions.task import Job, Work, is_same
from nwb_dask.storage.target import held

T = TypeVar("T")

Resume: TypeAlias = bool | Literal["quarantine"]

_PART = re.compile(r"part-\d{5,}-[0-9a-f]{16}\.parquet")
_UNFINISHED = re.compile(r"\..*\.made")
_N_AT_ONCE = 8
_N_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Request:
    """What one call asked for."""

    work: Work
    jobs: tuple[Job, ...]
    output: Output
    client: object
    asked: Mapping[str, object]
    resume: Resume
    is_raising: bool
    n_attempts: int
    overrides: Mapping[str, pa.DataType]
    progress: bool | None


@dataclass(slots=True)
class _Progress:
    """What has come of a run so far."""

    kept: dict[str, Record]
    """Of earlier runs, by digest."""
    done: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, Quarantined] = field(default_factory=dict)

    @property
    def records(self) -> dict[str, Record]:
        return {**self.kept, **self.done}

    def said(self) -> str:
        """Say how much there is, for the bar."""
        n_bytes = sum(one.bytes for one in self.done.values())
        return f"{n_bytes / 2**20:.1f} MiB, {len(self.failed)} failed"


def write_parts(request: Request) -> Report:
    """Compute what is missing, write it part by part, and return what was done."""
    began = time.monotonic()
    output = request.output
    with held(output.kept):
        before = {one.source: one for one in output.quarantine()} if request.resume == "quarantine" else {}
        so_far = _Progress(_taken_up(request))
        left = [job for job in request.jobs if job.digest not in so_far.kept]
        if request.resume == "quarantine":
            left = [job for job in left if job.named.name in before]
        output.put_run(request.asked)
        try:
            _compute(request, left, so_far)
            _unify(request, so_far)
        finally:
            output.put_quarantine(_ordered(request, so_far.failed))
        seconds = time.monotonic() - began
        output.put_run({**request.asked, "seconds": round(seconds, 3)})
    done, skipped = _ordered(request, so_far.done), _ordered(request, so_far.kept)
    report = Report(output.name, tuple(done), tuple(_ordered(request, so_far.failed)), tuple(skipped), seconds)
    if report.quarantined:
        warn_user(_warning(report), SkippedFilesWarning)
    return report


def _ordered(request: Request, found: Mapping[str, T]) -> list[T]:
    return [found[job.digest] for job in request.jobs if job.digest in found]


def _taken_up(request: Request) -> dict[str, Record]:
    """Return the records of what is there and still holds; what does not hold any more is removed.

    Raises
    ------
    OutputError
        If something is there that is not of this run's making.
    """
    output = request.output
    records = output.records()
    ours = output.run() is not None
    present = output.part_keys()
    unfinished = [key for key in present if _UNFINISHED.fullmatch(key)]
    foreign = [key for key in present if key not in unfinished and not (ours and _PART.fullmatch(key))]
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        message = f"{output.name} holds {foreign[0]}{more}, which map_sessions has not written; name another folder"
        raise OutputError(message, url=output.name)
    if not request.resume:
        output.drop(records)
        output.parts.remove(present)
        return {}
    wanted = {job.digest: job for job in request.jobs}
    others = [record.source for digest, record in records.items() if digest not in wanted]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        message = (
            f"{output.name} has the results of {others[0]}{more}, which is not among the sources; name another folder, "
            "give all sources, or say resume=False to begin anew"
        )
        raise OutputError(message, url=output.name)
    whole = {digest: one for digest, one in records.items() if one.path is None or one.path in present}
    held_by = _holding(request, whole, wanted)
    output.drop({digest: one for digest, one in records.items() if digest not in held_by})
    listed = {one.path for one in held_by.values()}
    # Of workers that died between a part and its record.
    output.parts.remove([key for key in output.part_keys() if key not in listed])
    return held_by


def _holding(request: Request, whole: Mapping[str, Record], wanted: Mapping[str, Job]) -> dict[str, Record]:
    """Return the records that a run of today would give too."""
    if request.resume == "quarantine":
        return dict(whole)
    same = {digest: one for digest, one in whole.items() if request.work.key(one.identity) == one.key}
    jobs = [wanted[digest] for digest in same]

    def holds(named: object, job: Job) -> bool:  # noqa: ARG001  # the file, by which `each_of` tells local from remote
        try:
            return is_same(job.named, request.work.access, same[job.digest].identity)
        except NWBDaskError:
            # Opening it will tell.
            return False

    found = each_of([job.named for job in jobs], holds, jobs)
    return {job.digest: same[job.digest] for job, still in zip(jobs, found, strict=True) if still}


def _compute(request: Request, left: Sequence[Job], so_far: _Progress) -> None:
    if not left:
        return
    with progress_bar(
        len(request.jobs), len(request.jobs) - len(left), shown=request.progress, label="running"
    ) as tell:
        pool = open_pool(request.work, request.client)
        settled = run_jobs(pool, left, n_attempts=request.n_attempts)
        try:
            for one in settled:
                _note(request, one, so_far)
                tell(f"{one.job.named.name[-40:]} ({so_far.said()})")
        finally:
            # Here and now, so that an interrupt leaves nothing running on a cluster.
            settled.close()


def _note(request: Request, one: Settled, so_far: _Progress) -> None:
    record = one.outcome.record
    if record is not None:
        so_far.done[one.job.digest] = record
        if one.attempts > 1:
            request.output.put_record(one.job.digest, record)
        return
    quarantined = one.quarantined()
    so_far.failed[one.job.digest] = quarantined
    if request.is_raising:
        raise one.error()


def _unify(request: Request, so_far: _Progress) -> None:
    """Give all parts one schema; most have it from the beginning.

    Raises
    ------
    SchemaConflictError
        If two sessions disagree; all that was computed stays.
    """
    records = so_far.records
    parts = [
        (job.digest, records[job.digest], schema)
        for job in request.jobs
        if job.digest in records and (schema := records[job.digest].schema) is not None
    ]
    if not parts:
        return
    schema = unify([(record.source, found) for _, record, found in parts], request.overrides)

    def rewrite(digest: str, record: Record) -> tuple[str, Record]:
        assert record.path is not None  # noqa: S101  # what has a schema has a part
        rows = pq.read_table(io.BytesIO(request.output.parts.read(record.path)[0]))
        try:
            part = parquet_bytes(conform_rows(rows, schema))
        except SchemaConflictError as error:
            raise error.at(url=record.source) from error.__cause__
        changed = replace(record, bytes=len(part), schema=schema)
        request.output.add(digest, part, changed)
        return digest, changed

    odd = [(digest, record) for digest, record, found in parts if not found.equals(schema)]
    with ThreadPoolExecutor(_N_AT_ONCE) as threads:
        for digest, record in threads.map(lambda pair: rewrite(*pair), odd):
            (so_far.done if digest in so_far.done else so_far.kept)[digest] = record


def _warning(report: Report) -> str:
    shown = [f"  {one.source}: {one.error}: {' '.join(one.message.split())}" for one in report.quarantined[:_N_SHOWN]]
    n_more = len(report.quarantined) - _N_SHOWN
    n_sessions = len(report.quarantined) + len(report.done) + len(report.skipped)
    return "\n".join(
        [
            f"{len(report.quarantined)} of {n_sessions} sessions failed:",
            *shown,
        ]
        + ([f"  ... {n_more} more in the report's quarantine"] if n_more > 0 else [])
    )
