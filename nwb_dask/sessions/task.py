"""One session: opened, given to the function, and what that returned turned into rows."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from importlib import import_module
from typing import Any

import cloudpickle
import dask
import pyarrow as pa

from nwb_dask.adapters.browse import Session, open_nwb
from nwb_dask.adapters.metadata import read_metadata
from nwb_dask.errors import PathNotFoundError, SourceChangedError
from nwb_dask.index import Identity
from nwb_dask.sessions.failures import Failure, describe
from nwb_dask.sessions.fingerprint import is_installed, own_modules
from nwb_dask.sessions.records import Output, Record, digest_of_name, parquet_bytes
from nwb_dask.sessions.rows import to_rows, with_columns
from nwb_dask.storage import Access, Named, Sources, is_local, is_unchanged, local_path, open_store
from nwb_dask.storage.access import export_secrets

_SENDING_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it is called with beside the session."""

    func: Callable[..., object]
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] | None = None

    def packed(self) -> bytes:
        """Return it for other processes, the user's own modules included, which they need not have."""
        # What is loaded decides, not what the workers have on their disks: it is what the key is of.
        modules = [one for one in _modules_of(self) if not is_installed(one)]
        for one in modules:
            cloudpickle.register_pickle_by_value(one)
        try:
            found: bytes = cloudpickle.dumps((self.func, self.args, dict(self.kwargs or {})))
        finally:
            for one in modules:
                cloudpickle.unregister_pickle_by_value(one)
        return found


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with each session."""

    call: Call | bytes
    """Packed where it travels."""
    code: str
    """Digest of the function and its arguments."""
    access: Access
    columns: tuple[str, ...] = ()
    """Metadata that the rows carry."""
    output: Output | None = None
    """Where the rows go; None: back to the caller."""
    topic: str = ""
    """Where workers of a cluster say what they begin; "" in threads."""

    def key(self, identity: Identity) -> str:
        """Return the key of the result for one version of a file."""
        facts = (self.code, identity.kind, identity.value, str(identity.size), *self.columns)
        return blake2b("\0".join(facts).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Job:
    """One session to do."""

    named: Named
    position: int
    """Among the sources."""
    attempt: int = 1

    @property
    def digest(self) -> str:
        """What its files are called after."""
        return digest_of_name(self.named.name)

    @property
    def part(self) -> str:
        """Name of the file of its rows."""
        return f"part-{self.position:05d}-{self.digest}.parquet"

    def again(self) -> Job:
        """Return the next attempt."""
        return replace(self, attempt=self.attempt + 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: a record or a failure."""

    worker: str
    record: Record | None = None
    failure: Failure | None = None
    rows: pa.Table | None = None
    """Where they are not written."""


def do(work: Work, job: Job) -> Outcome:
    """Open a session, call the function, and write what it returns.

    Whatever the function raises is in what is returned. The file has to be the same before and after the call:
    otherwise the rows may be of two versions.
    """
    began, worker = time.monotonic(), _worker()
    if work.topic:
        _announce(work.topic, job)
    try:
        session = open_nwb(Sources((job.named,)), storage_options={"access": work.access})
        rows = call_function(work, session, job.named)
        part = None if rows is None or work.output is None else parquet_bytes(rows)
        identity = _unchanged(session, job.named, work.access)
        record = Record(
            job.named.name,
            work.key(identity),
            identity,
            None if part is None else job.part,
            0 if rows is None else rows.num_rows,
            0 if part is None else len(part),
            time.monotonic() - began,
            job.attempt,
            worker,
            None if rows is None else rows.schema,
        )
        if work.output is not None:
            work.output.add(job.digest, part, record)
            rows = None
    except Exception as error:  # noqa: BLE001  # anything of the user's: it is told, and the other sessions go on
        return Outcome(worker, failure=describe(error, _secrets(work)))
    return Outcome(worker, record, rows=rows)


def call_function(work: Work, session: Session, named: Named) -> pa.Table | None:
    """Return what the function returns for a session, as rows; tracebacks of users begin here."""
    func, args, kwargs = _unpacked(work.call)
    with _no_cluster():
        rows = to_rows(func(session, *args, **kwargs))
    return None if rows is None else with_columns(rows, _constants(work, named), named.name)


def _unpacked(call: Call | bytes) -> tuple[Callable[..., object], tuple[object, ...], Mapping[str, object]]:
    return _loaded(call) if isinstance(call, bytes) else (call.func, call.args, call.kwargs or {})


@lru_cache(maxsize=8)
def _loaded(packed: bytes) -> Any:  # noqa: ANN401  # what was packed
    return cloudpickle.loads(packed)


def _modules_of(call: Call) -> list[Any]:
    try:
        return own_modules(call.func, call.args, dict(call.kwargs or {}))
    except TypeError:
        return []


def _constants(work: Work, named: Named) -> dict[str, object]:
    """Return the columns of metadata that the rows of a session carry."""
    if not work.columns:
        return {}
    with warnings.catch_warnings():
        # Of other columns too, and once for each session.
        warnings.simplefilter("ignore", UserWarning)
        table = read_metadata(Sources((named,)), "arrow", storage_options={"access": work.access})
    missing = [name for name in work.columns if name not in table.column_names]
    if missing:
        raise PathNotFoundError(
            f"session_columns={missing[0]!r}: read_metadata gives {', '.join(table.column_names)}", url=named.name
        )
    return {name: table.column(name)[0] for name in work.columns}


def _unchanged(session: Session, named: Named, access: Access) -> Identity:
    """Return the version that a session was opened at, which is still there.

    Raises
    ------
    SourceChangedError
        If it is not.
    """
    identity = session.identity
    if identity is None or not is_same(named, access, identity):
        raise SourceChangedError(f"{named.name} changed while it was read; run the same again", url=named.name)
    return identity


def is_same(named: Named, access: Access, identity: Identity) -> bool:
    """Tell whether a file is still of a version: no request for a local one, a small one for others."""
    if is_local(named.url):
        return is_unchanged(local_path(named.url), identity)
    with open_store(named.url, access, cached=identity) as store:
        return store.source.identity == identity


def _secrets(work: Work) -> list[str]:
    places = [work.access, *([work.output.access] if work.output else [])]
    return [text for one in places for secrets in export_secrets(one).values() for text in secrets.values()]


def _announce(topic: str, job: Job) -> None:
    """Say that a job begins here: if this process dies, it is blamed, and not what waits for its turn."""
    import_module("distributed").get_worker().log_event(topic, {"session": job.digest, "attempt": job.attempt})
    # Messages leave every 2 ms, and the next line may be the last.
    time.sleep(_SENDING_SECONDS)


def _worker() -> str:
    """Return who does it: the address of a worker of dask, or this process."""
    try:
        # Where it is not loaded there is no worker; loading it takes half a second.
        return (
            str(import_module("distributed").get_worker().address) if "distributed" in sys.modules else _this_process()
        )
    except ValueError:
        return _this_process()


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


class _Alone:
    """How many sessions this process is at, and what dask was told to compute with while it is at any."""

    lock = threading.Lock()
    n_running = 0
    setting: Any = None


@contextmanager
def _no_cluster() -> Iterator[None]:
    """Let dask compute in this thread what the function asks it to: the parallelism is over sessions."""
    with _Alone.lock:
        if _Alone.n_running == 0:
            _Alone.setting = dask.config.set(scheduler="synchronous")
        _Alone.n_running += 1
    try:
        yield
    finally:
        with _Alone.lock:
            _Alone.n_running -= 1
            if _Alone.n_running == 0:
                _Alone.setting.__exit__(None, None, None)
