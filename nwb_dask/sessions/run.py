"""Jobs done one and all: tried again where that may help, given up where not."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from nwb_dask.errors import NWBDaskError
from nwb_dask.sessions.failures import KILLED
from nwb_dask.sessions.pools import Lost, Pool
from nwb_dask.sessions.records import Quarantined
from nwb_dask.sessions.task import Job, Outcome


@dataclass(slots=True)
class _Tries:
    """What was tried of one session."""

    job: Job
    n_failed: int = 0
    """Attempts that failed in passing, and workers that died."""
    n_given_up: int = 0
    """How often the cluster gave it up."""
    workers: list[str] = field(default_factory=list)

    def note(self, worker: str) -> None:
        if worker and worker not in self.workers:
            self.workers.append(worker)


@dataclass(frozen=True, slots=True)
class Settled:
    """A job that is done or given up."""

    job: Job
    outcome: Outcome
    attempts: int
    workers: tuple[str, ...]

    def error(self) -> NWBDaskError:
        """Return the failure, as it is raised."""
        return (self.outcome.failure or KILLED).as_error(self.job.named.name)

    def quarantined(self) -> Quarantined:
        """Return the failure, as it is listed."""
        failure = self.outcome.failure or KILLED
        return Quarantined(
            self.job.named.name,
            failure.path,
            failure.error,
            failure.message,
            self.attempts,
            ", ".join(self.workers),
            failure.traceback,
        )


def run_jobs(pool: Pool, jobs: Sequence[Job], *, n_attempts: int) -> Generator[Settled]:
    """Yield each job once it is settled, in any order.

    Parameters
    ----------
    pool : Pool
        Who does them; it is stopped at the end, however that comes.
    jobs : sequence of Job
        One for each session.
    n_attempts : int
        How often a session is tried where the failure may pass: connections, servers that are busy, workers that die.
    """
    pending = {job.digest: _Tries(job) for job in jobs}
    try:
        for job in jobs:
            pool.submit(job)
        while pending:
            job, what = pool.wait()
            tries = pending.get(job.digest)
            # An attempt that was given up may still tell of itself.
            settled = None if tries is None or tries.job != job else _settled(pool, tries, what, n_attempts)
            if settled is not None:
                del pending[job.digest]
                yield settled
    finally:
        pool.stop()


def _settled(pool: Pool, tries: _Tries, what: Outcome | Lost, n_attempts: int) -> Settled | None:
    """Take note of what happened; return the job if there is nothing left to try."""
    tries.note(what.worker)
    if isinstance(what, Lost):
        return _settled_loss(pool, tries, what, n_attempts)
    attempts = tries.n_failed + 1
    if what.failure is not None and what.failure.is_passing and attempts < n_attempts:
        tries.n_failed += 1
        tries.job = tries.job.again()
        pool.submit(tries.job)
        return None
    if what.record is not None and what.record.attempts != attempts:
        what = replace(what, record=replace(what.record, attempts=attempts))
    return Settled(tries.job, what, attempts, tuple(tries.workers))


def _settled_loss(pool: Pool, tries: _Tries, what: Lost, n_attempts: int) -> Settled | None:
    if what.is_given_up:
        tries.n_given_up += 1
        if tries.n_given_up < n_attempts:
            tries.job = tries.job.again()
            pool.submit(tries.job)
            return None
    else:
        tries.n_failed += 1
        if tries.n_failed < n_attempts:
            return None
        pool.drop(tries.job)
    attempts = max(tries.n_failed, tries.n_given_up)
    return Settled(tries.job, Outcome(what.worker, failure=KILLED), attempts, tuple(tries.workers))
