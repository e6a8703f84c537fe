"""Jobs as tasks of a cluster, whose workers may come, go and die at any time."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from dask.distributed import Client, Future, KilledWorker

from nwb_dask.adapters.cluster import share_access
from nwb_dask.sessions.failures import Failure, describe
from nwb_dask.sessions.pools import Happenings, Lost
from nwb_dask.sessions.task import Call, Job, Outcome, Work, do

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 5.0
"""After so long without a session that is done, it is looked whether there are workers, and again after as long."""
_SMALL_BYTES = 4096
"""What is larger does not go with each task, but as a task of its own, which is done again where it is lost."""


class ClusterPool:
    """The workers of a cluster.

    The scheduler gives what a dead worker had to others, and says so to whoever listens. It does not tell what the
    worker was at from what waited there, and gives up either after ``distributed.scheduler.allowed-failures``. Workers
    say what they begin, so that deaths are counted for that alone.
    """

    def __init__(self, work: Work, client: Client) -> None:
        self._client = client
        packed = work.call.packed() if isinstance(work.call, Call) else work.call
        with client.as_current():
            share_access(work.access)
            if work.output is not None:
                share_access(work.output.access)
        self._run = os.urandom(4).hex()
        self._topic = f"nwb-dask-sessions-{self._run}"
        small = replace(work, call=packed, topic=self._topic)
        self._work: Any = small
        if len(packed) > _SMALL_BYTES:
            self._work = client.submit(_same, small, key=f"map_sessions-function-{self._run}", pure=False)
        self._happened = Happenings()
        self._jobs: dict[str, Job] = {}
        self._futures: dict[str, Future[Any]] = {}
        self._begun: set[tuple[str, int, str]] = set()
        self._looked = time.monotonic()
        self._is_alone = False
        client.subscribe_topic(self._topic, self._note_begin)
        client.subscribe_topic("all", self._note_death)

    def submit(self, job: Job) -> None:
        """Have a job done."""
        stem = PurePosixPath(job.named.name).name
        key = f"map_sessions-{self._run}-{job.position}-{job.attempt}-{stem}"
        self._jobs[key] = job
        # Second attempts last: what made the first one fail may have passed until then.
        future = self._client.submit(do, self._work, job, key=key, pure=False, priority=-job.attempt)
        self._futures[key] = future
        future.add_done_callback(lambda _: self._happened.put(job, key))

    def wait(self) -> tuple[Job, Outcome | Lost]:
        """Return what happened next."""
        while True:
            job, what = self._happened.get(self._look)
            self._looked = time.monotonic()
            if isinstance(what, Lost):
                return job, what
            future = self._futures.pop(what, None)
            if future is not None:
                return job, _outcome(future)

    def drop(self, job: Job) -> None:
        """Have a job done no more."""
        for key in [key for key, one in self._jobs.items() if one == job]:
            future = self._futures.pop(key, None)
            if future is not None:
                future.cancel(reason="a session that kills its workers", msg="it is listed with the failures")

    def stop(self) -> None:
        """Have nothing done any more."""
        if self._client.status == "running":
            for topic in (self._topic, "all"):
                self._client.unsubscribe_topic(topic)
            self._client.cancel(list(self._futures.values()))
        self._futures.clear()

    def _look(self) -> None:
        """Say in the log that nothing goes on, where the reason is that there are no workers."""
        if time.monotonic() - self._looked < _LOOK_SECONDS or self._client.status != "running":
            return
        was_alone, self._is_alone = self._is_alone, not self._client.nthreads()
        self._looked = time.monotonic()
        if self._is_alone and not was_alone:
            where = getattr(self._client.scheduler, "address", "")
            _log.warning("%d sessions wait: the cluster at %s has no workers", len(self._futures), where)
        elif was_alone and not self._is_alone:
            _log.warning("the cluster has workers again")

    def _note_begin(self, event: tuple[float, Mapping[str, Any]]) -> None:
        said = event[1]
        self._begun.add((said["session"], said["attempt"], str(said.get("worker", ""))))

    def _note_death(self, event: tuple[float, Mapping[str, Any]]) -> None:
        said = event[1]
        if said.get("action") != "remove-worker" or said.get("expected"):
            return
        for key in said["processing-tasks"]:
            job, worker = self._jobs.get(key), str(said.get("worker", ""))
            # What only waited for its turn there is begun elsewhere, and nobody's fault.
            if job is not None and (job.digest, job.attempt, worker) in self._begun:
                self._happened.put(job, Lost(worker))


def _same(work: Work) -> Work:
    return work


def _outcome(future: Future[Any]) -> Outcome | Lost:
    if future.status == "cancelled":
        return Outcome("", failure=Failure("CancelledError", "the cluster was restarted or lost", is_passing=True))
    try:
        found: Outcome = future.result()
    except KilledWorker as error:
        return Lost(str(getattr(error.last_worker, "address", error.last_worker)), is_given_up=True)
    except Exception as error:  # noqa: BLE001  # of the cluster, such as a function that workers cannot load
        return Outcome("", failure=describe(error, ()))
    return found
